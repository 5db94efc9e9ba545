"""A cluster file in a few lines: what it starts, and what a study gets from it."""

from collections.abc import Iterator

from study.cluster.checks import tracking
from study.cluster.files import ClusterFile
from study.cluster.nodes import NodeKind, expected, node_kinds
from study.config import StudyFile
from study.home import without_password


def summary(cluster: ClusterFile, study: StudyFile | None = None, store: str | None = None) -> Iterator[str]:
    """What `study cluster check` says of a file without faults."""
    kinds = node_kinds(cluster)
    yield f"{cluster.config['cluster_name']}: {cluster.provider['type']}; {', '.join(_count(kind) for kind in kinds)}"
    yield f"storage: {cluster.settings.environment.get('GO4ALIGN_HOME', 'of the head alone')}"
    if uri := tracking(cluster, study, store):
        yield f"MLflow: {without_password(uri)}"
    if study:
        yield _room(cluster, study, kinds)
    yield "No faults found. Nothing was asked of a network: `study launch` finds out the rest."


def _count(kind: NodeKind) -> str:
    number = str(kind.least) if kind.least == kind.most else f"{kind.least}..{kind.most}"
    gpus = "GPUs unknown" if kind.gpus is None else f"{kind.gpus:g} GPUs each" if kind.gpus else "no GPU"
    return f"{number} {kind.name} ({gpus})"


def _room(cluster: ClusterFile, study: StudyFile, kinds: list[NodeKind]) -> str:
    trial = study.resources
    needs = f"{study.name}: a trial takes {trial.cpus:g} CPUs and {trial.gpus:g} GPUs"
    if any(kind.holds(trial) is None for kind in kinds):
        return f"{needs}; how many fit shows once the hosts have joined"
    return f"{needs}; {expected(cluster, trial).room} run at once"

"""What runs on the head of a cluster: waiting for its nodes, and following a study's job there."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from go4align.benchmarks.registry import build_benchmark
from go4align.errors import RunFailedError, UserError
from go4align.home import data_home
from study.cluster.data import bring
from study.cluster.nodes import Expected
from study.home import home
from study.spec import BenchmarkSection, Resources
from study.tuning import ask_for_room, ray_session

_POLL_S, _TELL_S = 2.0, 15.0

Tell = Callable[[str], None]


class _Joined(NamedTuple):
    nodes: int
    gpus: int


def wait_until_ready(
    expected: Expected, trial: Resources, benchmark: BenchmarkSection, *, minutes: float, tell: Tell
) -> None:
    """Wait until all expected nodes and GPUs have joined, and see that all share the study's folder and have its data.

    Where the cluster grows on demand, its autoscaler is asked for room first; once the nodes are there the request is
    withdrawn, so that those which get no trial are given back.

    Args:
        expected: what to wait for.
        trial: what one trial takes.
        benchmark: whose data every node needs.
        minutes: not longer than this.
        tell: told of the progress.

    Raises:
        RunFailedError: not all came in time.
        UserError: no cluster runs here, or a node does not see `$GO4ALIGN_HOME`, or lacks the data.
    """
    with ray_session("auto"):
        if expected.room:
            ask_for_room(trial, expected.room)
        try:
            _wait(expected, minutes=minutes, tell=tell)
        finally:
            if expected.room:
                ask_for_room(trial, 0)
        if expected.nodes > 1:
            _check_storage(tell)
        _check_data(benchmark, tell)


def running_job(study: str) -> str | None:
    """The job of a study that has not ended; None where there is none."""
    return next((job.submission_id for job in _jobs(study) if not job.status.is_terminal()), None)


def follow(study: str | None, tell: Tell) -> int:
    """Show what the newest job of a study prints, from its beginning, until it ends.

    Args:
        study: its name; None for whichever began last.
        tell: given the text, in pieces.

    Returns:
        An exit code: 0 where the study was completed.

    Raises:
        UserError: no such job.
    """
    jobs = sorted(_jobs(study), key=lambda job: job.start_time or 0)
    if not jobs:
        what = f"study '{study}'" if study else "study"
        raise UserError(f"No {what} was launched on this cluster: `study launch CLUSTER_FILE NAME|FILE`.")
    name = jobs[-1].submission_id or ""

    async def tail() -> None:
        async for text in _client().tail_job_logs(name):
            tell(text)

    asyncio.run(tail())
    info = _client().get_job_info(name)
    tell(f"Job {name}: {info.status.value.lower()}\n")
    return 0 if info.status == JobStatus.SUCCEEDED else 1


def _wait(expected: Expected, *, minutes: float, tell: Tell) -> None:
    began, told, before = time.monotonic(), 0.0, _Joined(-1, -1)
    while True:
        found, waited = _joined(), time.monotonic() - began
        done = found.nodes >= expected.nodes and found.gpus >= expected.gpus
        if found != before or waited - told > _TELL_S or done:
            told, before = waited, found
            tell(f"{found.nodes}/{expected.nodes} nodes, {found.gpus}/{expected.gpus} GPUs after {waited:.0f} s")
        if done:
            return
        if waited > 60 * minutes:
            raise RunFailedError(
                f"Only {found.nodes} of {expected.nodes} nodes with {found.gpus} of {expected.gpus} GPUs joined within "
                f"{minutes:g} minutes. See why with `ray monitor CLUSTER_FILE`, or launch with fewer --workers."
            )
        time.sleep(_POLL_S)


def _joined() -> _Joined:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return _Joined(len(alive), int(sum(resources.get("GPU", 0) for resources in alive)))


def _check_storage(tell: Tell) -> None:
    """A file that the head writes must be seen from every node."""
    mark = home() / f".seen-{time.time_ns()}"
    mark.touch()
    try:
        blind = [address for address, sees in _ask_every_node(_sees, mark) if not sees]
    finally:
        mark.unlink(missing_ok=True)
    if blind:
        raise UserError(
            f"The folder {mark.parent} must be on storage that all nodes share, but {', '.join(blind)} does not see "
            "what the head writes there. Mount it on every node at the same path."
        )
    tell(f"All nodes see {mark.parent}")


def _check_data(section: BenchmarkSection, tell: Tell) -> None:
    """Every node must have the head's data. Those that can be made or fetched are made on the head, before the nodes
    are asked."""
    benchmark = build_benchmark(section.name, **section.options)
    benchmark.prepare()
    digest = benchmark.data_digest
    if digest is None:
        return
    lacking = [(address, found) for address, found in _ask_every_node(_data, section) if found != digest]
    if lacking:
        told = [f"{address} has {'none' if found is None else f'other ones ({found})'}" for address, found in lacking]
        remedy = bring(data_home() / section.name, "the head", lacking[0][0])
        raise UserError(f"Every node needs the data of '{section.name}' ({digest}), but {', '.join(told)}. {remedy}")
    tell(f"All nodes have the data of {section.name} ({digest})")


def _sees(path: Path) -> bool:
    try:
        list(path.parent.iterdir())  # makes network storage look again
        return path.exists()
    except OSError:
        return False


def _data(section: BenchmarkSection) -> str | None:
    """The digest of a node's data; None where it has none."""
    try:
        return build_benchmark(section.name, **section.options).data_digest
    except UserError:
        return None


def _ask_every_node(question: Callable[[Any], Any], about: Any) -> list[tuple[str, Any]]:
    """What a function says on each node, by its address."""
    task = ray.remote(num_cpus=0)(question)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            here = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            asked[node["NodeManagerAddress"]] = task.options(scheduling_strategy=here).remote(about)
    return list(zip(asked, ray.get(list(asked.values())), strict=True))


def _jobs(study: str | None) -> list[JobDetails]:
    """Jobs of `study launch`, of one study or all."""
    ours = [job for job in _client().list_jobs() if "study" in (job.metadata or {})]
    return [job for job in ours if study is None or (job.metadata or {})["study"] == study]


def _client() -> JobSubmissionClient:
    try:
        return JobSubmissionClient()  # $RAY_API_SERVER_ADDRESS
    except ConnectionError as error:
        raise UserError(f"Ray's dashboard does not answer on this head: {error} Is Ray running?") from None

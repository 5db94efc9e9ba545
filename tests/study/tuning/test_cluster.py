"""A study that names no cluster has Ray to itself, whatever else runs on the machine; one that does is joined."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from go4align.errors import RunFailedError
from study.spec.run_sections import Resources
from study.tuning import cluster as tuned
from study.tuning.cluster import NodeWatch

SCRIPT = "import ray, study.tuning\nwith study.tuning.ray_session(): print(ray.get_runtime_context().gcs_address)"
WORKERS_HOME = """
import sys, ray, study.tuning
from go4align.home import data_home
with study.tuning.ray_session(sys.argv[1]): print(ray.get(ray.remote(lambda: str(data_home())).remote()))
"""


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster that somebody started."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("GO4ALIGN_HOME", raising=False)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
def test_a_cluster_that_runs_is_joined_where_it_is_named_and_looks_in_this_process_home(
    running: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _said(SCRIPT) not in {"", running}
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    assert _said(WORKERS_HOME, running) == str(tmp_path / "data")


def _said(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


def test_workers_that_never_start_end_a_study_and_a_trial_under_way_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_BEGIN_S", 0.05), ("_LOOK_EVERY_S", 0.0)):
        monkeypatch.setattr(tuned, name, value)
    for name in ("check_resources", "count_slots"):
        monkeypatch.setattr(tuned, name, lambda resources: 2)
    monkeypatch.setattr(tuned, "ask_for_room", lambda resources, trials: None)
    watch = NodeWatch(Resources(cpus=1), patience_s=20.0, remedy="go on")
    watch.check(3, begun=False)
    time.sleep(0.1)
    watch.check(3, begun=True)
    with pytest.raises(RunFailedError, match="No worker has started within .* though there is room for 2: .*logs"):
        watch.check(3, begun=False)

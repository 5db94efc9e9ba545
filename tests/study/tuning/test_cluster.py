"""A study that names no cluster has Ray to itself, whatever else runs on the machine."""

import subprocess
import sys
import time

import pytest
from ray.cluster_utils import Cluster

from go4align.errors import RunFailedError
from study.spec.study_file import Resources
from study.tuning import cluster as tuned
from study.tuning.cluster import NodeWatch

SCRIPT = "import ray, study.tuning\nwith study.tuning.ray_session(): print(ray.get_runtime_context().gcs_address)"


@pytest.mark.slow
def test_a_cluster_that_runs_on_the_machine_is_not_joined_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        own = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120)
        assert own.stdout.strip() not in {"", cluster.address}
    finally:
        cluster.shutdown()


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

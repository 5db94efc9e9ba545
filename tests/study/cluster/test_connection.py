"""A study that names no cluster has Ray to itself, whatever else runs on the machine."""

import subprocess
import sys

import pytest
from ray.cluster_utils import Cluster

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

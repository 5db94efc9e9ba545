"""Where trials train on a cluster of GPU nodes, seen from the processes of each node while a study runs.

Four nodes on this machine say that they have a GPU. There is none, so trials train on the CPU; Ray places them all the
same.
"""

from collections.abc import Iterator

import psutil
import pytest
from ray.cluster_utils import Cluster
from studies import Sandbox, audit, trains, wait_for

N_NODES = 4
N_TRIALS = 2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without room for trials, and nodes with a GPU and more CPUs than their trials take; one is to come."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(N_NODES - 1):
        add_node(cluster)
    yield cluster
    cluster.shutdown()


def add_node(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=2, num_gpus=1)


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("placement"))
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize(("gpus", "cpus", "per_node"), [(1.0, 1.0, 1), (0.5, 0.5, 2)])
def test_trials_fill_the_gpus_and_no_more_also_those_that_join_and_outlive_a_node(
    gpus: float, cpus: float, per_node: int, sandbox: Sandbox, cluster: Cluster
) -> None:
    sandbox.write(
        benchmark={"name": "toy", "n_tasks": 3 * N_NODES * per_node, "pause_s": 0.5},  # a reference run of each task
        training={"epochs": 20, "batch_size": 64, "lr": 5.0e-3},
        methods=["ls"],
        budget={"trials": N_TRIALS},
        resources={"cpus": cpus, "gpus": gpus},
        scheduler={"name": "fifo"},
    )
    process = sandbox.start("run", "drill.yaml", "--address", cluster.address)

    def placed() -> list[int]:
        """How many trials each node trains right now, never more than it may."""
        head, *nodes = [raylet(node) for node in cluster.list_all_nodes()]
        found = [training(node) for node in nodes]
        assert training(head) == 0
        assert max(found) <= per_node, found
        return found

    def fill() -> None:
        wait_for(lambda: min(placed()) == per_node or process.poll() is not None, 240)
        assert process.poll() is None, f"never {per_node} on each node: {sandbox.output}"

    fill()
    add_node(cluster)
    fill()
    cluster.remove_node(cluster.list_all_nodes()[-2], allow_graceful=False)
    wait_for(lambda: placed() and process.poll() is not None, 400)

    assert process.returncode == 0, sandbox.output
    assert "lost its worker or its node" in sandbox.output
    found = audit(sandbox, N_TRIALS)
    assert found.faults == []
    assert set(found.trials.values()) == {"finished"}


def raylet(node: object) -> psutil.Process:
    """The process of a node that starts its workers."""
    [process] = node.all_processes["raylet"]  # type: ignore[attr-defined]
    return psutil.Process(process.process.pid)


def training(node: psutil.Process) -> int:
    """How many trials train on a node at this moment."""
    try:
        return sum(trains(worker, "ray::ImplicitFunc.train") for worker in node.children())
    except psutil.NoSuchProcess:
        return 0

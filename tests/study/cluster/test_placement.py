"""Where trials train on a cluster of GPU nodes, seen from the processes of each node while a study runs.

Three nodes on this machine say that they have a GPU. There is none, so trials train on the CPU; Ray places them all the
same. Every trial is stopped (SIGSTOP) as soon as it is seen to train, until all nodes were counted: how many train at
once is then no matter of how long a trial or the start of a worker takes.
"""

import itertools
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from ray.cluster_utils import Cluster
from studies import Sandbox, audit, trains, wait_for

N_NODES = 3
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
        benchmark={"name": "toy", "n_tasks": N_NODES * per_node, "pause_s": 0.3},  # a reference run of each task
        training={"epochs": 10, "batch_size": 64, "lr": 5.0e-3},
        methods=["ls"],
        budget={"trials": N_TRIALS},
        resources={"cpus": cpus, "gpus": gpus},
        scheduler={"name": "fifo"},
    )
    process = sandbox.start("run", "drill.yaml", "--address", cluster.address)
    held: set[psutil.Process] = set()

    def fill() -> None:
        """Hold every trial that trains until each node has as many as it may."""

        def full() -> bool:
            head, *nodes = [workers(node) for node in cluster.list_all_nodes()]
            assert process.poll() is None, sandbox.output
            for worker in itertools.chain(head, *nodes):
                if worker not in held and trains(worker, "ray::ImplicitFunc.train"):
                    worker.suspend()
                    held.add(worker)
            placed = [len(held.intersection(node)) for node in nodes]
            assert not held.intersection(head)
            assert max(placed) <= per_node, placed
            return min(placed) == per_node

        wait_for(full, 240)

    fill()
    add_node(cluster)
    fill()
    cluster.remove_node(cluster.list_all_nodes()[-2], allow_graceful=False)
    for worker in held:
        with suppress(psutil.NoSuchProcess):
            worker.resume()

    assert process.wait(400) == 0, sandbox.output
    assert "lost its worker or its node" in sandbox.output
    found = audit(sandbox, N_TRIALS)
    assert found.faults == []
    assert set(found.trials.values()) == {"finished"}


def workers(node: object) -> list[psutil.Process]:
    """The processes that a node has started."""
    [raylet] = node.all_processes["raylet"]  # type: ignore[attr-defined]
    return psutil.Process(raylet.process.pid).children()

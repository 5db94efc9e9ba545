"""Ray's real launcher on three hosts that are this machine: launch, lose the terminal and a host, attach, stop."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hosts import Host, end, make_key, why_not
from servers import MlflowServer, free_port
from studies import Sandbox, audit, wait_for
from trees import write_tree

from go4align.benchmarks.nyuv2.source import NYUv2Source

ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
ROOT = Path(__file__).parents[3]
N_TRIALS = 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    if (reason := why_not(ADDRESSES)) is not None:
        pytest.skip(reason)
    return make_key(tmp_path)


@pytest.fixture
def hosts(tmp_path: Path, key: Path) -> Iterator[list[Host]]:
    started = [Host(address, tmp_path / address, key) for address in ADDRESSES]
    try:
        for host in started:
            host.start()
        yield started
    finally:
        for host in started:
            host.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An MLflow server on this machine's loopback, which all three hosts share."""
    server = MlflowServer(tmp_path)
    yield server.uri
    server.kill()


@pytest.fixture
def sandbox(tmp_path: Path, server: str) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path, server)
    yield made
    for process in made.started:
        end(process)


def test_a_launched_study_survives_its_terminal_and_a_host(
    tmp_path: Path, hosts: list[Host], sandbox: Sandbox, key: Path
) -> None:
    data = NYUv2Source.name
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(sandbox.home))
        digest = NYUv2Source().prepare(write_tree(tmp_path / "tree", 24, 4, size=(32, 32)), (), ())[0].digest
    sandbox.write(
        benchmark={"name": data, "val_size": 4, "network": {"width": 1 / 16}},
        training={"epochs": 15, "batch_size": 4, "lr": 5.0e-3, "schedule": "constant"},
        methods=["go4align"],
        budget={"trials": N_TRIALS},
        resources={"cpus": 1},
        scheduler={"name": "fifo"},
        search_space=data,
        seeds={"final": [101]},
    )
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(cluster_file(sandbox, key)))
    at_home = launching_machine(tmp_path)

    hosts[1].kill()
    hosts[1].start(hidden=sandbox.home / "data")
    assert sandbox.start("cluster", "check", "cluster.yaml", "drill.yaml", environment=at_home).wait(120) == 2
    assert f"127.0.0.2 has no data of '{data}'. Bring them from 127.0.0.1, there: rsync" in sandbox.output
    hosts[1].kill()
    hosts[1].start()

    terminal = sandbox.start("launch", "cluster.yaml", "drill.yaml", "--final", environment=at_home)
    wait_for(lambda: terminal.poll() is not None or _training(sandbox, hosts), 480)
    assert terminal.poll() is None, sandbox.output
    assert "3/3 nodes" in sandbox.output
    assert "All nodes see" in sandbox.output
    assert f"All nodes have the data of {data} ({digest})" in sandbox.output
    end(terminal)
    hosts[2].kill()

    assert sandbox.start("attach", "cluster.yaml", environment=at_home).wait(600) == 0, sandbox.output
    found = audit(sandbox, n_search=N_TRIALS)
    assert found.faults == []
    assert set(found.trials.values()) == {"finished"}
    assert "it goes on from its last epoch" in sandbox.output
    assert "drill: test split" in sandbox.output

    assert sandbox.start("down", "cluster.yaml", environment=at_home).wait(120) == 1
    assert "127.0.0.3 does not answer" in sandbox.output
    hosts[2].start()
    assert sandbox.start("down", "cluster.yaml", environment=at_home).wait(120) == 0, sandbox.output
    assert "Nothing of loopback is left" in sandbox.output
    assert not [host for host in hosts if host.runs("raylet") or host.runs("gcs_server")]


def cluster_file(sandbox: Sandbox, key: Path) -> dict[str, object]:
    """On-premise, with the Python environment of this test on all hosts, and ports that nobody else here uses."""
    port, agent = free_port(), free_port()
    path = f"export PATH={Path(sys.executable).parent}:$PATH"
    prefix = f"{path} PYTHONPATH={ROOT} RAY_AUTH_MODE=token RAY_enable_autoscaler_v2=0"
    common = f"--num-cpus=1 --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port={agent}"
    dashboard = f"--dashboard-host=127.0.0.1 --dashboard-port={free_port()}"
    head = f"--head --port={port} --ray-client-server-port={free_port()} {dashboard}"
    quick = "RAY_health_check_period_ms=1000 RAY_health_check_failure_threshold=3"  # a dead host is missed in seconds
    return {
        "cluster_name": "loopback",
        "provider": {"type": "local", "head_ip": ADDRESSES[0], "worker_ips": ADDRESSES[1:]},
        "auth": {"ssh_user": "root", "ssh_private_key": str(key)},
        "file_mounts": {"~/.ray/auth_token": "~/.ray/auth_token"},
        "head_start_ray_commands": [
            f"{path}; ray stop --force",
            f"{prefix} {quick}; ray start {head} {common} --autoscaling-config=~/ray_bootstrap_config.yaml",
        ],
        "worker_start_ray_commands": [
            f"{path}; ray stop --force",
            f"{prefix}; set -- $SSH_CONNECTION; ray start --address=$RAY_HEAD_IP:{port} --node-ip-address=$3 {common}",
        ],
        "metadata": {"environment": {"GO4ALIGN_HOME": str(sandbox.home), "MLFLOW_TRACKING_URI": sandbox.uri}},
    }


def launching_machine(folder: Path) -> dict[str, str]:
    """A home of its own, without a token as yet, and no word of the store but the cluster file's."""
    temporary = folder / "tmp"
    temporary.mkdir()
    own = {"HOME": str(folder / "me"), "RAY_TMPDIR": str(temporary), "TMPDIR": str(temporary)}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW_", "GO4ALIGN_"))}
    return kept | own | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


def _training(sandbox: Sandbox, hosts: list[Host]) -> bool:
    """Every host trains a trial, and as many trials have epochs behind them."""
    begun = {event["trial"] for event in sandbox.events("log")}
    return len(begun) >= len(hosts) and all(host.runs("ray::ImplicitFunc.train") for host in hosts)

"""Workers and nodes are killed under a running study, which ends as if nothing had happened."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster
from studies import Audit, Sandbox, audit, wait_for

SEARCHED = 8


@pytest.mark.slow
def test_workers_killed_at_random_moments_cost_no_trial(sandbox: Sandbox, undisturbed: Audit) -> None:
    moments, kills = random.Random(1), 0
    process = sandbox.start("run", str(sandbox.write()))
    while process.poll() is None and kills < 6:
        epochs = len(sandbox.events("log")) + moments.randint(4, 9)
        wait_for(lambda: len(sandbox.events("log")) >= epochs or process.poll() is not None)  # noqa: B023
        time.sleep(0.2 * moments.random())
        for worker in sandbox.workers(process):
            try:
                worker.kill()
                kills += 1
            except psutil.NoSuchProcess:
                continue
    assert process.wait(480) == 0, sandbox.output
    assert kills >= 4
    assert "Traceback" not in sandbox.output
    assert audit(sandbox, SEARCHED) == undisturbed


@pytest.mark.slow
def test_eight_trials_at_once_lose_and_double_nothing_whatever_lies_in_the_working_folder(sandbox: Sandbox) -> None:
    """Called as a person calls it: a program does not import from the folder that it is called in."""
    for name in ("study", "numpy", "torch", "go4align", "json"):
        (sandbox.folder / f"{name}.py").write_text("raise SystemExit('the wrong file')")
    sandbox.write(resources={"cpus": (os.cpu_count() or 1) / 8}, scheduler={"name": "fifo"})
    command = [Path(sys.executable).with_name("study"), "run", "drill.yaml"]
    done = subprocess.run(
        command, cwd=sandbox.folder, env=sandbox.environment, capture_output=True, text=True, check=False, timeout=480
    )
    assert done.returncode == 0, done.stderr
    assert "the wrong file" not in done.stdout + done.stderr
    found = audit(sandbox, SEARCHED)
    assert found.faults == []
    assert set(found.trials.values()) == {"finished"}


@pytest.mark.slow
def test_a_local_ray_that_crashes_ends_the_study_in_one_line(sandbox: Sandbox, undisturbed: Audit) -> None:
    process = sandbox.start("run", str(sandbox.write()))
    wait_for(lambda: len(sandbox.events("log")) > 30)
    [raylet] = [child for child in psutil.Process(process.pid).children() if child.name() == "raylet"]
    raylet.kill()
    code = process.wait(120)
    assert "Traceback" not in sandbox.output
    if code:  # the worker that is left may also train all that is left
        assert code == 1 and "study resume" in sandbox.output
        wait_for(lambda: not sandbox.orphans(), 20)
        assert sandbox.finish("resume", "drill") == 0, sandbox.output
    assert audit(sandbox, SEARCHED) == undisturbed


SPOILT_WORKER = """
import sys
if "default_worker.py" in " ".join(sys.orig_argv):
    sys.modules[{module!r}] = None  # importing it raises ImportError, as where it is not installed
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["study.tuning.pool", "optuna"])
def test_an_environment_in_which_no_worker_can_start_ends_the_study_in_one_line(sandbox: Sandbox, module: str) -> None:
    (sandbox.folder / "site").mkdir()
    (sandbox.folder / "site" / "sitecustomize.py").write_text(SPOILT_WORKER.format(module=module))
    path = f"{sandbox.folder / 'site'}{os.pathsep}{sandbox.environment['PYTHONPATH']}"
    process = sandbox.start("run", str(sandbox.write()), environment=sandbox.environment | {"PYTHONPATH": path})
    assert process.wait(480) == 1, sandbox.output
    assert "study: No worker can start a trial here: " in sandbox.output
    assert f"import of {module} halted" in sandbox.output and "Traceback" not in sandbox.output
    wait_for(lambda: not sandbox.orphans(), 20)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Three nodes on this machine: a head without room for trials, and two workers with a slot each."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_a_node_that_is_lost_costs_no_trial(sandbox: Sandbox, cluster: Cluster) -> None:
    sandbox.write(resources={"cpus": 1})
    process = sandbox.start("run", "drill.yaml", "--address", cluster.address)
    wait_for(lambda: len(sandbox.events("log")) > 60)  # past the references
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    assert process.wait(480) == 0, sandbox.output
    assert "lost its worker or its node" in sandbox.output
    found = audit(sandbox, SEARCHED)
    assert found.faults == []
    assert "failed" not in found.trials.values()

"""The study is stopped by signals, to its driver or to all of its processes, and resumed: nothing is left running."""

import os
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest
from studies import Audit, Sandbox, audit, wait_for

from study.results import studies

SEARCHED = 8

Driver = subprocess.Popen[str]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study_stopped_by_every_signal_in_turn_ends_with_the_trials_of_an_undisturbed_study(
    sandbox: Sandbox, undisturbed: Audit
) -> None:
    process = sandbox.start("run", str(sandbox.write()))
    for stop in (ctrl_c, terminate, ctrl_c_twice, ctrl_c_then_terminate, terminate_the_whole_group):
        epochs = len(sandbox.events("log")) + 8
        wait_for(lambda: len(sandbox.events("log")) > epochs or process.poll() is not None)  # noqa: B023
        assert process.poll() is None, f"ended before {stop.__name__}: {sandbox.output}"
        stop(sandbox, process)
        assert "Traceback" not in sandbox.output
        wait_for(lambda: not sandbox.orphans(), 10)
        process = sandbox.start("resume", "drill")
    assert process.wait(480) == 0, sandbox.output
    assert audit(sandbox, SEARCHED) == undisturbed


def ctrl_c(sandbox: Sandbox, process: Driver) -> None:
    """A terminal signals every process in the foreground."""
    os.killpg(process.pid, signal.SIGINT)
    ends(process, 130, within_s=30)
    is_closed(sandbox)


def terminate(sandbox: Sandbox, process: Driver) -> None:
    """The driver alone, which stops as by Ctrl-C."""
    process.terminate()
    ends(process, 130, within_s=30)
    is_closed(sandbox)


def ctrl_c_twice(sandbox: Sandbox, process: Driver, second: signal.Signals = signal.SIGINT) -> None:
    """Who signals again does not wait."""
    asked = sandbox.output.count("once more to stop at once")
    os.killpg(process.pid, signal.SIGINT)
    wait_for(lambda: sandbox.output.count("once more to stop at once") > asked, 10)
    process.send_signal(second)
    ends(process, -second, within_s=5)


def ctrl_c_then_terminate(sandbox: Sandbox, process: Driver) -> None:
    ctrl_c_twice(sandbox, process, signal.SIGTERM)


def terminate_the_whole_group(sandbox: Sandbox, process: Driver) -> None:
    """As `timeout`, SLURM, systemd or a closing container do: all that is Ray's is gone before the driver ends."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    ends(process, 130, within_s=20)
    assert "GCS" not in sandbox.output
    is_closed(sandbox)
    assert [study.status for study in studies(sandbox.uri)] == ["interrupted"]


def ends(process: Driver, code: int, *, within_s: float) -> None:
    began = time.monotonic()
    assert process.wait(60) == code
    assert time.monotonic() - began < within_s


def is_closed(sandbox: Sandbox) -> None:
    """The records say that it was interrupted, and the last line says how to go on."""
    assert sandbox.events("close")[-1]["data"]["status"] == "interrupted"
    assert "Go on with: study resume drill" in sandbox.output.strip().splitlines()[-1]

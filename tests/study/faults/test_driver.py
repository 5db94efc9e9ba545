"""The driver is killed, and the study resumed: the same trials, each once, nothing left running."""

import random
import time

import pytest
from studies import Audit, Sandbox, audit, kill, wait_for

SEARCHED = 8
KILLS = 10


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_driver_killed_ten_times_ends_with_the_trials_of_an_undisturbed_study(
    sandbox: Sandbox, undisturbed: Audit
) -> None:
    moments = random.Random(0)
    process = sandbox.start("run", str(sandbox.write()))
    for number in range(KILLS):
        if number % 2:  # while it starts, or shortly after
            time.sleep(6 * moments.random())
        else:
            epochs = len(sandbox.events("log")) + moments.randint(1, 12)
            wait_for(lambda: len(sandbox.events("log")) >= epochs or process.poll() is not None)  # noqa: B023
            time.sleep(0.3 * moments.random())
        assert process.poll() is None, f"ended before kill {number}: {sandbox.output}"
        kill(process)
        process = sandbox.start("resume", "drill")
    assert process.wait(480) == 0, sandbox.output
    disturbed = audit(sandbox, SEARCHED)
    assert disturbed.faults == []
    assert disturbed == undisturbed
    assert disturbed.best == undisturbed.best
    wait_for(lambda: not sandbox.orphans(), 20)


@pytest.mark.slow
def test_final_runs_that_were_killed_are_resumed(sandbox: Sandbox) -> None:
    sandbox.write(methods=["ls"], budget={"trials": 2}, seeds={"final": [7, 8]})
    assert sandbox.finish("run", "drill.yaml") == 0
    process = sandbox.start("final", "drill")
    before = len(sandbox.events("log"))
    wait_for(lambda: len(sandbox.events("log")) > before + 5)
    kill(process)
    assert sandbox.finish("resume", "drill") == 0, sandbox.output
    assert "test split, mean" in sandbox.output
    final = {event["trial"] for event in sandbox.events("start") if event["trial"].startswith("final-")}
    assert len(final) == 4 or len(final) == 2  # default and tuned may be one configuration
    assert audit(sandbox, 2).faults == []

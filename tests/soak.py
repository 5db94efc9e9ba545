"""Studies that are hurt again and again, with real kills, until they are complete; prints what that cost.

`make soak` hurts three studies ten times each. Each is then compared, record by record, with a study that nothing
happened to. More: .venv/bin/python tests/soak.py --studies 10 --faults 20 --seed 7
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from studies import Audit, Sandbox, audit, kill, wait_for

SEARCHED = 16
FAULTS = ("driver kills", "kills at the start", "worker kills", "interrupts")
"""kill -9 of the driver, while it trains or while it starts, kill -9 of a trial's worker, and Ctrl-C."""


class Soak:
    """One study under fire.

    Args:
        folder: empty.
        seed: decides which faults come and when.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.sandbox, self._moments = Sandbox(folder), random.Random(seed)
        self.faults: Counter[str] = Counter()
        self._process = self.sandbox.start("run", str(self.sandbox.write(budget={"trials": SEARCHED // 2})))

    def run(self, faults: int) -> Audit:
        """Hurt it so often, unless it ends before, and then let it end."""
        while sum(self.faults.values()) < faults:
            fault = self._moments.choice(FAULTS)
            if fault == "kills at the start":
                time.sleep(8 * self._moments.random())
            epochs = len(self.sandbox.events("log")) + (0 if "start" in fault else self._moments.randint(1, 8))
            wait_for(lambda: len(self.sandbox.events("log")) >= epochs or self._ended, 300)  # noqa: B023
            time.sleep(0.3 * self._moments.random())
            if self._ended:
                break
            self._hurt(fault)
        code = self._process.wait(600)
        if code:
            raise SystemExit(f"The study ended with {code}:\n{self.sandbox.output}")
        return audit(self.sandbox, SEARCHED)

    @property
    def _ended(self) -> bool:
        return self._process.poll() is not None

    def _hurt(self, fault: str) -> None:
        if fault == "worker kills":
            for worker in self.sandbox.workers(self._process)[:1]:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
                    self.faults[fault] += 1
            return
        if fault == "interrupts":
            os.killpg(self._process.pid, signal.SIGINT)
        else:
            kill(self._process)
        self._process.wait(120)
        self.faults[fault] += 1
        begun = any((self.sandbox.home / "studies" / "drill").glob("*/plan.json"))
        self._process = self.sandbox.start(*(("resume", "drill") if begun else ("run", "drill.yaml")))


def main() -> None:
    """Print a row per study and a sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=3)
    parser.add_argument("--faults", type=int, default=10, help="per study")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calm = Soak(Path(folder), 0)
        expected = calm.run(0)
    if expected.faults:
        raise SystemExit(f"Without any fault: {expected.faults}")
    columns = [*FAULTS, "trials", "lost", "duplicates", "other faults", "same as calm"]
    print(" | ".join(["study", *columns]))
    survived = 0
    for number in range(options.studies):
        with tempfile.TemporaryDirectory() as folder:
            soak = Soak(Path(folder), options.seed + number)
            try:
                found = soak.run(options.faults)
            finally:
                soak.sandbox.close()
        survived += sum(soak.faults.values())
        doubled = [fault for fault in found.faults if "runs of" in fault or "twice" in fault]
        lost = set(expected.trials) - set(found.trials)
        cells = [number, *(soak.faults[fault] for fault in FAULTS), len(found.trials), len(lost), len(doubled)]
        same = "yes" if found == expected else "NO"
        print(" | ".join(map(str, [*cells, len(found.faults) - len(doubled), same])), flush=True)
        for fault in found.faults:
            print(f"  {fault}")
    print(f"faults survived: {survived}")


if __name__ == "__main__":
    main()

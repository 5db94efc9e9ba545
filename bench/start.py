"""How soon the command answers: `python bench/start.py`.

Every candidate is a process of its own, all measured in turn; the figure is the least of ROUNDS. Read the ratios,
machines differ.
"""

import os
import subprocess
import sys
import time

ROUNDS = 10
GOAL = "import typer, rich"
STUDY = "import sys; sys.argv = ['study', {arguments}]; from study.cli import main; main()"
CANDIDATES = {
    "python alone": "pass",
    GOAL: "import typer, rich.console, rich.table, rich.markdown",
    "study --help": STUDY.format(arguments="'--help'"),
    "study run --help": STUDY.format(arguments="'run', '--help'"),
    "study run qm9-<TAB>": STUDY.format(arguments=""),
    "import torch": "import torch",
}
TAB = {"_STUDY_COMPLETE": "complete_bash", "COMP_WORDS": "study run qm9-", "COMP_CWORD": "2"}


def seconds(name: str) -> float:
    """One run of a candidate, from the start of its process to the end."""
    environment = {**os.environ, **(TAB if "<TAB>" in name else {})}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", CANDIDATES[name]], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the least seconds of each candidate, and how many times as long as importing typer and rich that is."""
    least = dict.fromkeys(CANDIDATES, float("inf"))
    for _ in range(ROUNDS):
        for name in CANDIDATES:
            least[name] = min(least[name], seconds(name))
    print(f"  {'':24}{'s':>8}{f'of {GOAL!r}':>26}   (goal for study --help: at most 3x)")
    for name, found in least.items():
        print(f"  {name:24}{found:8.3f}{found / least[GOAL]:25.2f}x")


if __name__ == "__main__":
    main()

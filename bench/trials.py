"""Wall time of 16 trivial trials, two at a time: this project's `run_trials` against Ray Tune as it comes.

Both run the same training (one epoch of the toy benchmark, torch imported) on a fresh local Ray of two CPUs, each in a
process of its own. Prints seconds from the first trial to the last, and the ratio.

    python bench/trials.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ray
from ray import tune

from go4align.errors import UserError
from study.search.source import FixedTrials
from study.spec.configuration import Configuration
from study.spec.run_sections import Resources
from study.trials.records import Trial
from study.trials.run import run_trial
from study.tuning import run_trials

TRIALS = 16
CONFIGURATION = Configuration.model_validate(
    {
        "benchmark": {"name": "toy", "train_size": 64, "val_size": 64, "test_size": 64},
        "method": {"name": "ls"},
        "training": {"epochs": 1, "batch_size": 64, "lr": 0.01},
    }
)


def trial(number: int) -> Trial:
    return Trial(f"bench-{number:02d}", "final", CONFIGURATION, seed=number)


def ours(folder: Path) -> None:
    results = run_trials(
        FixedTrials(map(trial, range(TRIALS))), resources=Resources(), trackers=[], folder=folder, stage="bench"
    )
    if [r.status for r in results] != ["finished"] * TRIALS:
        raise UserError(f"All {TRIALS} trials must finish, found {results}.")


def stock(folder: Path) -> None:
    def train(config: dict[str, int]) -> None:
        result = run_trial(trial(config["number"]), lambda record: tune.report({"score": record.best}))
        tune.report({"score": result.score})

    tuner = tune.Tuner(
        train,
        param_space={"number": tune.grid_search(list(range(TRIALS)))},
        tune_config=tune.TuneConfig(metric="score", mode="min"),
        run_config=tune.RunConfig(storage_path=str(folder)),
    )
    if len(tuner.fit()) != TRIALS:
        raise UserError(f"All {TRIALS} trials must finish.")


def measure(variant: str) -> float:
    """Seconds of one variant, in this process."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=40)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        {"ours": ours, "stock": stock}[variant](Path(folder))
        return time.perf_counter() - start


def main() -> None:
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
        return
    seconds = {}
    for variant in ("stock", "ours"):
        done = subprocess.run([sys.executable, __file__, variant], capture_output=True, text=True, check=True)
        seconds[variant] = float(done.stdout.split()[-1])
        print(f"{variant:>6}: {seconds[variant]:6.1f} s")
    print(f"ours / stock = {seconds['ours'] / seconds['stock']:.2f} (target: at most 0.25)")


if __name__ == "__main__":
    main()

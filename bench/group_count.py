"""How GO4Align's number of groups and clustering space change the demo's result, and whether "auto" finds a good one.

Trains the preset `qm9-demo` (targets in their own units, published learning rate, beta 1e-7) with every fixed K, with
"auto", and with a plain sum, over several seeds. The figure is the geometric mean over the 11 tasks of the test MAE,
relative to the plain sum's: 1 is no better than a plain sum, lower is better.

    python bench/group_count.py [--seeds 3]
"""

import argparse
import math
import statistics
import tempfile
from pathlib import Path

from study.search.source import FixedTrials
from study.spec.loading import load_study
from study.trials.records import Trial, TrialResult
from study.tuning import ray_session, run_trials

COUNTS: tuple[int | str, ...] = (2, 3, 5, 8, 11, "auto")


def log_mean(result: TrialResult) -> float:
    """Mean over tasks of log test MAE."""
    errors = [value for key, value in result.metrics.items() if key.startswith("test/") and key.endswith("/mae")]
    return statistics.fmean(map(math.log, errors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(201, 201 + parser.parse_args().seeds)
    study = load_study("qm9-demo")
    lanes = {("ls", ""): study.configuration("ls")} | {
        (str(count), space): study.configuration("go4align", {"n_groups": count, "space": space, "beta": 1e-7})
        for space in ("linear", "log")
        for count in COUNTS
    }
    trials = [
        Trial(f"{'-'.join(lane)}-{seed}", "final", configuration, seed, test=True)
        for lane, configuration in lanes.items()
        for seed in seeds
    ]
    with tempfile.TemporaryDirectory() as folder, ray_session():
        ended = run_trials(
            FixedTrials(trials), resources=study.resources, trackers=[], folder=Path(folder), stage="bench"
        )
    results = {result.trial: log_mean(result) for result in ended}
    plain = statistics.fmean(results[f"ls--{seed}"] for seed in seeds)
    print(f"geometric mean of test MAE over 11 tasks relative to a plain sum, mean and sd over {len(seeds)} seeds")
    for lane in lanes:
        values = [math.exp(results[f"{'-'.join(lane)}-{seed}"] - plain) for seed in seeds]
        name = "plain sum" if lane[0] == "ls" else f"K = {lane[0]}, {lane[1]}"
        print(f"{name:>18}: {statistics.fmean(values):.2f} (sd {statistics.stdev(values):.2f})")


if __name__ == "__main__":
    main()

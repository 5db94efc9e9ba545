"""What logging every epoch to MLflow adds to a study's wall time, against a tracker that keeps nothing.

The same eight trials of the preset `qm9-demo` (six epochs each, two at a time) run with either tracker in turn, on one
local Ray; the figure is the median over rounds of the ratio of wall times, waiting for MLflow's last write included.

    python bench/logging_overhead.py [--rounds 5]
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from go4align.home import data_home
from study.search.source import FixedTrials
from study.spec.loading import load_study
from study.spec.study_file import StudyFile
from study.tracking import JournalTracker, Tracker
from study.trials.records import Trial
from study.tuning import ray_session, run_trials


def wall_s(study: StudyFile, tracker: Tracker, folder: Path) -> float:
    """Seconds from opening the tracker to having closed it."""
    configuration = study.configuration("go4align")
    short = configuration.model_copy(update={"training": dataclasses.replace(configuration.training, epochs=6)})
    trials = [Trial(f"bench-{n}", "final", short, seed=n) for n in range(8)]
    start = time.perf_counter()
    tracker.open()
    run_trials(FixedTrials(trials), resources=study.resources, trackers=[tracker], folder=folder, stage="bench")
    tracker.close("finished")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    study = load_study("qm9-demo")
    with tempfile.TemporaryDirectory() as name, ray_session():
        # journals and the database of this measurement go there; the data stay where they are
        (Path(name) / "data").symlink_to(data_home(), target_is_directory=True)
        os.environ["GO4ALIGN_HOME"] = name
        makers: dict[str, Callable[[], Tracker]] = {
            "nothing": Tracker,
            "MLflow": lambda: JournalTracker(study, f"sqlite:///{name}/mlflow.db", notify=print),
        }
        seconds: dict[str, list[float]] = {maker: [] for maker in makers}
        for number in range(-1, rounds):  # the first round, which imports and creates, is not counted
            for maker, make in makers.items():
                taken = wall_s(study, make(), Path(name) / f"{maker}-{number}")
                if number >= 0:
                    seconds[maker].append(taken)
    for maker, times in seconds.items():
        print(f"{maker:>9}: median {statistics.median(times):.1f} s ({', '.join(f'{t:.1f}' for t in times)})")
    ratios = [mlflow / nothing for mlflow, nothing in zip(seconds["MLflow"], seconds["nothing"], strict=True)]
    print(f"MLflow / nothing = {statistics.median(ratios):.3f} (target: at most 1.05)")


if __name__ == "__main__":
    main()

"""What Optuna costs the driver per trial and per epoch, up to a thousand trials: no Ray, no MLflow, no training.

128 trials at a time, as on so many GPUs, of two methods in turns; every epoch is reported, scores are random.

    python bench/proposals.py [--trials 1000] [--epochs 100]
"""

import argparse
import random
import tempfile
import time
from collections import deque
from pathlib import Path

import psutil

from study.search.source import OptunaSearch
from study.spec.configuration import Reference
from study.spec.search_space import load_space
from study.spec.study_file import StudyFile
from study.trials.records import Trial, TrialResult

AT_ONCE, STEP = 128, 250


def study_file(trials: int) -> StudyFile:
    return StudyFile.model_validate(
        {
            "name": "bench",
            "benchmark": {"name": "toy"},
            "training": {"epochs": 1, "batch_size": 64, "lr": 1.0e-2},
            "methods": ["ls", "go4align"],
            "search_space": "toy",
            "budget": {"trials": trials // 2},
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    study, memory = study_file(options.trials), psutil.Process().memory_info
    reference = Reference(source="measured", val={}, test={})
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "optuna.journal"
        proposals = OptunaSearch(study, load_space(study, study.build_benchmark()), reference, journal)
        running: deque[Trial] = deque()
        began, before, propose_s, report_s, finish_s = 0, memory().rss, 0.0, 0.0, 0.0
        print("| trials | propose ms | an epoch ms | end ms | memory MB | journal MB |\n" + "|---:" * 6 + "|")
        for done in range(1, options.trials + 1):
            while len(running) < AT_ONCE and began < options.trials:
                start = time.perf_counter()
                trial = proposals.next()
                propose_s += time.perf_counter() - start
                assert trial is not None
                running.append(trial)
                began += 1
            trial = running.popleft()
            start = time.perf_counter()
            for epoch in range(1, options.epochs + 1):
                proposals.report(trial, epoch, random.random())
            report_s += time.perf_counter() - start
            start = time.perf_counter()
            proposals.finish(trial, TrialResult(trial.id, "finished", random.random(), epochs=options.epochs))
            finish_s += time.perf_counter() - start
            if done % STEP == 0:
                size = (memory().rss - before) / 2**20
                print(
                    f"| {done} | {1000 * propose_s / STEP:.0f} | {1000 * report_s / STEP / options.epochs:.2f} "
                    f"| {1000 * finish_s / STEP:.1f} | {size:.0f} | {journal.stat().st_size / 2**20:.1f} |",
                    flush=True,
                )
                propose_s, report_s, finish_s = 0.0, 0.0, 0.0


if __name__ == "__main__":
    main()

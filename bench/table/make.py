"""The table of real trainings that searches are replayed against: made by the study's own workers, and resumed.

    python bench/table/make.py qm9-demo|toy [--minutes 60]

A row of `bench/table/PRESET.parquet` is a training: method, hyperparameters, seed, and the validation score after each
epoch (Delta m in percent against the single-task runs of `PRESET.reference.json`, which are trained first). What the
table has is not trained again; stopped at any moment, it loses the trainings of the last minute.
"""

import argparse
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pandas as pd
from cells import Cell, cells
from command import HERE, in_one_line
from rich.console import Console

from go4align.training import EpochRecord
from study.spec import Reference
from study.spec.loading import load_study
from study.spec.study_file import StudyFile
from study.stages.reference import run_reference
from study.stages.session import open_session
from study.tracking import Tracker
from study.trials.records import Trial, TrialResult

_SAVE_S = 60.0


class Table(Tracker):
    """Takes in what trials tell, and keeps it in the file.

    Args:
        preset: names the file.
        minutes: after so many no further rows are wanted.
    """

    def __init__(self, preset: str, minutes: float) -> None:
        self.path = HERE / f"{preset}.parquet"
        self.study_run = f"table-{preset}"
        rows = pd.read_parquet(self.path).to_dict("records") if self.path.exists() else []
        wanted = {cell.key for cell in cells(preset)}
        self.rows = {row["cell"]: row for row in rows if row["cell"] in wanted}
        self._trials: dict[str, Cell] = {}
        self._scores: dict[str, list[float]] = {}
        self._saved = time.monotonic()
        self.until = time.monotonic() + 60 * minutes

    def trial(self, study: StudyFile, cell: Cell, reference: Reference) -> Trial:
        """The training of a cell."""
        name = f"search-{cell.method}-{hashlib.sha256(cell.key.encode()).hexdigest()[:12]}"
        self._trials[name] = cell
        configuration = study.configuration(cell.method, dict(cell.hyperparameters))
        return Trial(name, "search", configuration, cell.seed, reference={"val": reference.val})

    def log(self, trial_id: str, record: EpochRecord) -> None:
        if trial_id in self._trials:
            self._scores.setdefault(trial_id, []).append(record.monitored)

    def finish(self, trial_id: str, result: TrialResult) -> None:
        """One that diverged is a row without scores; one that failed otherwise, or broke off, is trained again."""
        cell = self._trials.get(trial_id)
        scores = self._scores.pop(trial_id, [])
        if cell is None or (result.status != "finished" and "diverged" not in result.reason):
            return
        scores = scores if result.status == "finished" else []
        self.rows[cell.key] = {
            "cell": cell.key,
            "method": cell.method,
            "hyperparameters": json.dumps(dict(cell.hyperparameters)),
            "seed": cell.seed,
            "seconds": result.seconds,
            "status": result.status,
            "scores": scores,
        }
        if time.monotonic() - self._saved > _SAVE_S:
            self.save()

    def save(self) -> None:
        """Write the file anew."""
        frame = pd.DataFrame(sorted(self.rows.values(), key=lambda row: row["cell"]))
        partial = self.path.with_suffix(".partial")
        frame.to_parquet(partial, compression="zstd", index=False)
        partial.replace(self.path)
        self._saved = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=("qm9-demo", "toy"))
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long; the same command goes on")
    asked = parser.parse_args()
    os.environ.setdefault("GO4ALIGN_HOME", str(Path.home() / ".go4align"))
    study = load_study(asked.preset)
    table = Table(asked.preset, asked.minutes)
    kept = HERE / f"{asked.preset}.reference.json"
    with open_session(study, table, console=Console()) as session:
        shutil.rmtree(session.folder / "checkpoints", ignore_errors=True)  # epochs that no row would have
        if not kept.exists():
            kept.write_text(run_reference(session).model_dump_json(indent=1) + "\n")
        reference = Reference.model_validate_json(kept.read_text())
        missing = [cell for cell in cells(asked.preset) if cell.key not in table.rows]
        print(f"{len(table.rows)} trainings are there, {len(missing)} are missing")
        try:
            while missing and time.monotonic() < table.until:
                batch, missing = missing[:40], missing[40:]
                session.run_all("search", [table.trial(study, cell, reference) for cell in batch])
        except KeyboardInterrupt:
            print("Stopped. The same command goes on.")
        finally:
            table.save()


if __name__ == "__main__":
    in_one_line(main)

"""A study as its tracking store has it: frames for a notebook, the best configurations, the final table.

Reads the store and nothing else, so it works on any machine with the tracking URI, also while the study runs; writes
nothing anywhere. Of a study that was run again (`study run --again`), the newest run with a complete search trial
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from go4align.benchmarks.registry import build_benchmark
from go4align.errors import UserError, unknown_name
from study.results.best import best_configuration, best_configurations, kept_file, only_of, parse_tag
from study.results.epochs import Progress, epoch_frames
from study.results.final_networks import load_network
from study.results.final_table import FinalTable, candidates, final_table
from study.results.frames import Outcome, metrics_frame, outcome_of_result, outcome_of_run, trials_frame
from study.results.times import FILE, MethodTime, read_times
from study.spec.configuration import BestConfiguration, BestFile, Configuration, Reference
from study.spec.study_file import Budgeted, StudyFile
from study.store.client import NoStoreError, connect
from study.store.queries import has_trials, read_study
from study.store.references import find_references
from study.store.texts import read_file
from study.store.uri import tracking_uri as resolve_uri
from study.trials.records import Trial, TrialResult
from study.trials.reference import measured_reference, published_reference

if TYPE_CHECKING:
    import pandas as pd

    from go4align.models.base import MultiTaskModel


def open_study(name: str, tracking_uri: str | None = None, *, progress: Progress | None = None) -> StoredStudy:
    """A study of a tracking store, to be read: the way in for notebooks and scripts.

    Args:
        name: the study.
        tracking_uri: the MLflow store; default `$MLFLOW_TRACKING_URI`, else a SQLite file in `$GO4ALIGN_HOME`.
        progress: told while trials' files are read, which takes seconds where there are hundreds: how many have been,
            and how many there are.

    Raises:
        UserError: no such study (the nearest is named), or the store cannot be read.
    """
    return StoredStudy(name, tracking_uri, progress=progress)


def exists(name: str, uri: str | None = None) -> bool:
    """Whether the store holds a trial of a study of that name; a run of it that never got to a trial does not count.

    Raises:
        UserError: the store cannot be read (one that does not exist yet holds none).
    """
    try:
        return has_trials(connect(uri), name)
    except NoStoreError:
        return False


class StoredStudy:
    """One study of a tracking store. Connects and reads its runs once; `refresh` reads them anew.

    Frames have these columns also where they have no rows:

    - `trials`, a row per trial, in the order they began: `trial`, `run_id`, `stage` (reference, search, final,
      grouping), `method`, `origin` (default, proposed, tuned, reference, grouping), `seed`, `status` (running,
      finished, stopped by the scheduler, failed, interrupted), `reason` of a failure, `score` (the selection rule's
      value on validation, lower is better: by default the lowest Delta m in percent, or the task's loss of a reference
      run; so far while it runs), `epochs`, `seconds` (wall clock), `epoch_s` (median seconds of an epoch),
      `peak_host_mib` and `peak_device_mib` (the most memory of its worker process and of its tensors on a GPU, MiB; so
      far while it runs), `started` (UTC), and `params.KEY` for every parameter, defaults included. What a trial does
      not have is NaN, NA, or an empty text.
    - `metrics`, tidy, of the epochs that selection chose: `trial`, `method`, `origin`, `seed`, `stage`, `split` (val,
      test), `task`, `metric`, `value` in the metric's unit (`loss` is the task's), and `change` against single-task
      learning in percent, lower is better. `delta_m` and `median_change` (percent) have an empty `task` and no change.
    - `epochs`, from the trials' files: `trial`, `epoch` (from 1), `task`, `quantity` (`train/loss`, `train/weight`,
      `train/group`, `train/group_centre`, `val/loss`, `val/METRIC`; with an empty `task` `monitored`, `best`, `lr`,
      `wall_s`), `value`. See `study.store.epochs.epoch_table`.
    - `co_assignment`, of methods with groups: `trial`, `epoch`, `task`, `other`, `share` of the epoch's steps (0 to 1)
      in which both were in one group.

    `epochs` and `co_assignment` hold trials that have ended. One file per trial is read when one of them is first asked
    for; a file that is missing or half-written leaves that trial's rows out, with a warning.

    Args:
        name: the study.
        tracking_uri, progress: see `open_study`.

    Raises:
        UserError: no such study (the nearest is named), or the store cannot be read.
    """

    def __init__(self, name: str, tracking_uri: str | None = None, *, progress: Progress | None = None) -> None:
        self.name = name
        self._progress = progress or _nobody
        self._uri = resolve_uri(tracking_uri)
        self._client = connect(self._uri)
        self._run = read_study(self._client, name, self._uri)

    def refresh(self) -> None:
        """Read the study anew: it may be running.

        Raises:
            UserError: it is gone, or the store cannot be read.
        """
        self._run = read_study(connect(self._uri), self.name, self._uri)
        for kept in ("study", "trials", "metrics", "times", "carried_over", "_outcomes", "_epochs"):
            vars(self).pop(kept, None)

    @property
    def uri(self) -> str:
        """The store."""
        return self._uri

    @property
    def run_id(self) -> str:
        """Of its parent run."""
        return str(self._run.parent.info.run_id)

    @property
    def study_run(self) -> str:
        """Names the run of the study that is read."""
        return str(self._run.parent.data.tags["study_run"])

    @property
    def space_hash(self) -> str:
        """The hash of the search space that it searched."""
        return self.tags["space_hash"]

    @property
    def tags(self) -> dict[str, str]:
        """Of its parent run: hashes, version of the code, how it ended."""
        return dict(self._run.parent.data.tags)

    @property
    def started(self) -> datetime:
        """When the run of the study that is read began (UTC)."""
        return datetime.fromtimestamp(self._run.parent.info.start_time / 1000, UTC)

    @cached_property
    def study(self) -> StudyFile:
        """The study file that it ran with.

        Raises:
            UserError: this version does not know the file any more.
        """
        return parse_tag(StudyFile, self._run.parent, "study_file")

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row per trial, see the class."""
        return trials_frame(self._outcomes)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """A row per trial, split, task and metric, see the class."""
        return metrics_frame(self._outcomes)

    @property
    def epochs(self) -> pd.DataFrame:
        """A row per trial, epoch, task and quantity, see the class."""
        return self._epochs[0]

    @property
    def co_assignment(self) -> pd.DataFrame:
        """A row per trial, epoch and two tasks, see the class."""
        return self._epochs[1]

    def best(self, method: str | None = None) -> BestFile:
        """The best configuration of each method (or of one) by `score`, best method first; complete search trials only.
        Last those of `fixed_weights`; such as cannot be read are left out, with a warning, unless they are asked for.
        Of a study that was not searched: those of another study that it trains.

        Raises:
            UserError: no such method, no complete search trial yet, no single-task reference, or no weights to fix.
        """
        if (carried := self.carried_over) is not None:
            return only_of(carried, method)
        chosen = best_configurations(self._run, self.study, self._uri, method)
        return BestFile(study=self.name, reference=self.reference(), configurations=chosen)

    def epoch_of(self, run_id: str) -> int:
        """How many epochs of a trial have ended, while it runs; asks the store anew."""
        return max((point.step for point in self._client.get_metric_history(run_id, "wall_s")), default=0)

    def load_model(self, method: str | None = None, seed: int | None = None) -> MultiTaskModel:
        """The network of a tuned final run, in eval mode, on the CPU.

        `study.build_final_benchmark()` is the benchmark that it belongs to: `go4align.training.evaluate` measures it on
        a split, and the benchmark's `predict` runs it on new samples.

        Args:
            method: whose; default that of the best configuration.
            seed: of which final seed; default the first. Where several configurations of the method were run, as after
                a search that went on, the last one counts.

        Raises:
            UserError: no such network, or this machine cannot read it.
        """
        if method is None and (self._run.ranked or self.carried_over):
            method = self.best().configurations[0].method.key
        return load_network(self._client, self.uri, self._run, method, seed)

    def configuration(self, trial: str) -> Configuration:
        """What a trial ran with.

        Raises:
            UserError: no such trial.
        """
        runs = {run.data.tags["trial"]: run for run in self._run.trials}
        if trial not in runs:
            raise unknown_name(f"trial of the study '{self.name}'", trial, runs)
        return parse_tag(Configuration, runs[trial], "configuration")

    def searched(self) -> list[BestConfiguration]:
        """The configuration of every complete search trial, best first."""
        return [best_configuration(run) for run in self._run.ranked]

    def defaults(self) -> dict[str, Configuration]:
        """The defaults that its search began with, by method."""
        wanted = {"stage": "search", "origin": "default"}
        runs = [run for run in self._run.trials if wanted.items() <= run.data.tags.items()]
        return {run.data.tags["method"]: parse_tag(Configuration, run, "configuration") for run in runs}

    def reference(self, stage: Budgeted = "search") -> Reference:
        """The metrics that its Delta m is relative to, in the search or in final runs.

        Raises:
            UserError: the store lacks a single-task run.
        """
        benchmark = build_benchmark(self.study.benchmark.name, **self.study.benchmark.options)
        if self.study.reference == "published":
            return published_reference(benchmark)
        return measured_reference(
            self.study, benchmark, lambda keys: find_references(self._client, keys), self._refuse_to_train, stage
        )

    def final_table(
        self,
        best: BestFile | None = None,
        seeds: Sequence[int] | None = None,
        fresh: Sequence[tuple[Trial, TrialResult]] = (),
        reference: Reference | None = None,
    ) -> FinalTable:
        """Published defaults and tuned configurations over the final seeds, from the final runs that there are.

        Args:
            best: the tuned configurations and their reference; default `best()`.
            seeds: which final seeds count; default the study file's.
            fresh: results that the store may not have taken yet.
            reference: of the final runs, where it is known.

        Raises:
            UserError: as `best`.
        """
        best = best or self.best()
        reference = reference or (self.reference("final") if self.study.final_reference_differs else best.reference)
        chosen = candidates(self.study, best, self.defaults())
        seeds = self.study.seeds.final if seeds is None else seeds
        outcomes = {one.trial: one for one in self._outcomes}
        outcomes |= {trial.id: outcome_of_result(trial, result) for trial, result in fresh}
        trials, metrics = trials_frame(outcomes.values()), metrics_frame(outcomes.values())
        frames = {"trials": trials, "metrics": metrics}
        return final_table(self.study, chosen, seeds, reference, **frames, tuned_with=best.tuned_with)

    @property
    def was_searched(self) -> bool:
        """Whether it has search trials of its own."""
        return any(run.data.tags["stage"] == "search" for run in self._run.trials)

    @cached_property
    def carried_over(self) -> BestFile | None:
        """The configurations of another study that it trains; None where it was searched, or trains none yet."""
        return None if self.was_searched else kept_file(self._run, self._uri)

    @cached_property
    def times(self) -> list[MethodTime]:
        """What `study time` measured last, the quickest method first; empty where it has not."""
        try:
            return read_times(read_file(self._run.parent.info.artifact_uri, self.uri, FILE).decode())
        except Exception:  # without the file, MLflow and its stores of artifacts each raise their own
            return []

    @cached_property
    def _outcomes(self) -> list[Outcome]:
        return [outcome_of_run(run) for run in self._run.trials]

    @cached_property
    def _epochs(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return epoch_frames(self._uri, self._outcomes, self._progress)

    def _refuse_to_train(self, trials: Sequence[Trial]) -> NoReturn:
        raise UserError(
            f"The tracking store has no finished single-task run for {trials[0].id} of the study '{self.name}'. "
            f"Train it with: study run {self.name} --again (or its file, where that is no preset)."
        )


def _nobody(read: int, of: int) -> None:
    """Nobody waits for it."""

"""Final runs: each method's defaults and tuned configuration over the final seeds."""

import shlex
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from go4align.checks import whole_number
from go4align.errors import UserError
from study.results import CARRIED_OVER, Candidate, FinalTable, StoredStudy, candidates, final_id, main_csv, open_study
from study.spec import Reference, Seeds, digest
from study.stages.plan import FinalPlan, Plan, plan_of
from study.stages.progress import notices
from study.stages.reference import run_reference
from study.stages.session import open_session
from study.store.uri import tracking_uri, without_password
from study.tracking import JournalTracker
from study.trials.records import Trial, TrialResult

_MOST_SEEDS = 1000
"""Far more than a standard error needs; every one is a training run of each configuration."""


def final_seeds(seeds: Seeds, count: int | None) -> list[int]:
    """The study's first `count` final seeds, continued upwards where it names fewer."""
    if count is None:
        return list(seeds.final)
    whole_number("--seeds", count, 1, _MOST_SEEDS)
    taken = {seeds.search, *seeds.references}
    last = max(seeds.final)
    upwards = (seed for seed in range(last + 1, last + 1 + count + len(taken)) if seed not in taken)
    return [*seeds.final, *upwards][:count]


def final_trials(
    chosen: Sequence[Candidate], seeds: Sequence[int], reference: Reference, *, keep_networks: bool = False
) -> list[Trial]:
    """Candidates x seeds; a configuration that is both default and tuned is run once.

    Args:
        chosen: what is run.
        seeds: with which seeds.
        reference: what Delta m is relative to.
        keep_networks: whether tuned runs keep their networks.
    """
    keeps = {candidate.configuration.key for candidate in chosen if candidate.origin == "tuned" and keep_networks}
    trials: dict[str, Trial] = {}
    for seed in seeds:
        for candidate in chosen:
            trial_id = final_id(candidate, seed, reference)
            trials.setdefault(
                trial_id,
                Trial(
                    id=trial_id,
                    stage="final",
                    configuration=candidate.configuration,
                    seed=seed,
                    origin=candidate.origin,
                    reference=reference.splits,
                    test=True,
                    keep_network=candidate.configuration.key in keeps,
                ),
            )
    return list(trials.values())


def final_name(trials: Sequence[Trial]) -> str:
    """A short name for a set of final runs."""
    return digest({"trials": [trial.id for trial in trials]})[:8]


def run_final(asked: FinalPlan, store: str, *, address: str | None, console: Console | None) -> FinalTable:
    """The table of final runs; those that the store does not hold yet are trained first.

    With nothing left to train this only reads, wherever the study was run and whoever is running it now. One exception:
    where this machine has begun these very runs and was stopped before it kept their table, it is kept now.

    Args:
        asked: which final runs.
        store: the tracking store.
        address, console: as of `open_session`.

    Raises:
        UserError: the study is not in the store, or the configurations are of another benchmark.
    """
    stored = open_study(asked.frozen.study, store)
    for configuration in asked.frozen.configurations:
        if configuration.benchmark.written_out != stored.study.benchmark.written_out:
            raise UserError(
                f"{asked.source} has another `benchmark` than the study '{stored.name}'. Write it with `study best`."
            )
    runs = _Finals(asked, stored, store, address, console)
    if not runs.complete:
        return runs.train()
    if (plan := runs.plan) and plan.final == asked:
        runs.keep_late()
    return runs.table()


class _Finals:
    """The final runs that were asked for: which they are, which are missing, and their table."""

    def __init__(
        self,
        asked: FinalPlan,
        stored: StoredStudy,
        store: str,
        address: str | None,
        console: Console | None,
    ) -> None:
        self._asked = asked
        self._stored = stored
        self._say = notices(console)
        self._tracker = JournalTracker(stored.study, store, study_run=stored.study_run, notify=self._say)
        self._session = partial(
            open_session,
            stored.study,
            self._tracker,
            address=address,
            console=console,
            goes_on=None if self.plan else self._command,
            budget="final",
        )
        self._seeds = final_seeds(stored.study.seeds, asked.seeds)
        self._candidates = candidates(stored.study, asked.frozen, stored.defaults())
        self._reference = self._known_reference()

    @property
    def _command(self) -> str:
        """Goes on with them where no plan does: the study was run on another machine."""
        words = ["study", "final", self._asked.source]
        words += [] if self._asked.seeds is None else ["--seeds", str(self._asked.seeds)]
        words += [] if self._stored.uri == tracking_uri() else ["--tracking-uri", without_password(self._stored.uri)]
        return shlex.join(words)

    def _known_reference(self) -> Reference | None:
        """What the final runs' Delta m is relative to; None where that has not been measured yet."""
        if not self._stored.study.final_reference_differs:
            return self._asked.frozen.reference
        try:
            return self._stored.reference("final")
        except UserError:
            return None

    @property
    def _trials(self) -> list[Trial]:
        assert self._reference is not None
        keep = self._stored.study.keep_networks
        return final_trials(self._candidates, self._seeds, self._reference, keep_networks=keep)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to train."""
        return self._reference is not None and not self._missing

    @property
    def _missing(self) -> list[Trial]:
        finished = set(self._stored.trials.query("status == 'finished'")["trial"])
        return [trial for trial in self._trials if trial.id not in finished]

    @property
    def plan(self) -> Plan | None:
        """The plan of the run of the study as it is now; None where this machine has none."""
        return plan_of(self._stored.name, self._stored.study_run)

    def table(self, fresh: Sequence[TrialResult] = ()) -> FinalTable:
        """Of the runs in the store and of `fresh` ones."""
        by_id = {trial.id: trial for trial in self._trials}
        results = [(by_id[result.trial], result) for result in fresh]
        return self._stored.final_table(self._asked.frozen, self._seeds, results, self._reference)

    def train(self) -> FinalTable:
        """Train what is missing, and keep the table."""
        with self._session() as session:
            if plan := self.plan:
                plan.saved_with(final=self._asked)
            if self._asked.frozen.tuned_with:
                self._tracker.artifact(CARRIED_OVER, self._asked.frozen.model_dump_json(indent=1))
            self._reference = self._reference or run_reference(session, "final")
            results = session.run_all("final", self._missing, budget="final")
            table = self.table(results)
            self._keep(table)
            self._tell_networks(results)
            return table

    def _tell_networks(self, results: Sequence[TrialResult]) -> None:
        if sizes := [result.network_mib for result in results if result.network_mib is not None]:
            loads = f"open_study('{self._stored.name}').load_model(METHOD)"
            self._say(f"{len(sizes)} tuned networks kept, {sum(sizes):.2f} MiB: {loads}")

    def keep_late(self) -> None:
        """Keep the table of runs that ended before it was kept. Where that cannot be now, a later call does it."""
        try:
            with self._session(trains=False):
                self._keep(self.table())
        except UserError as error:  # for one, the process that has run them is about to
            self._say(f"Their table is not in the store yet: {error}")

    def _keep(self, table: FinalTable) -> None:
        if table.rows:
            name = "final.csv" if self._are_the_studys_own() else f"final-{final_name(self._trials)}.csv"
            self._tracker.artifact(name, main_csv(table))
        if plan := self.plan:
            plan.saved_with(final=None)

    def _are_the_studys_own(self) -> bool:
        """Whether `study final NAME` means these runs; the study's table is not replaced by a partial one."""
        if self._seeds != self._stored.study.seeds.final:
            return False
        if self._asked.frozen.tuned_with:
            return not self._stored.was_searched
        try:
            return self._stored.best() == self._asked.frozen
        except UserError:  # without its single-task references the store cannot say
            return False

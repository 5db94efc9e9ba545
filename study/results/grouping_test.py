"""Does grouping help? GO4Align's groups against no grouping, one group, the same groups fixed, and random ones.

What is to be trained, and what was found, follow from the store alone: whoever asks gets the same trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from go4align.errors import UserError
from study.analysis.co_assignment import group_table, groups_from, mean_shares, n_groups
from study.analysis.intervals import Comparison, compare, holm
from study.spec import BestConfiguration, Configuration, MethodSection, Reference, digest
from study.trials.records import Trial, TrialResult

if TYPE_CHECKING:
    from study.results.stored import StoredStudy

GROUPED = "grouped"
ARMS = {
    GROUPED: "the groups it finds at every step",
    "no-groups": "every task a group of its own (K = M)",
    "one-group": "one group for all (K = 1)",
    "found-groups": "the groups it found, fixed",
    "random-groups": "random groups of the same sizes",
}
LR_FACTORS = (1 / 3, 1.0, 3.0)
"""Times the tuned learning rate: every arm is trained at each with the search's seed, and keeps the best on validation.
"""
N_SEEDS = 10
_STAGE: Literal["grouping"] = "grouping"


@dataclass(frozen=True)
class Question:
    """What the arms are made from.

    Attributes:
        base: the best search configuration that groups, 1 < K < M.
        k: its K; of "auto" the mean number of groups that it chose, rounded.
        labels: the groups that it found, in task order.
        reference: what Delta m is relative to, in the search and in final runs.
    """

    base: BestConfiguration
    k: int
    labels: tuple[int, ...]
    search_reference: Reference
    final_reference: Reference


@dataclass(frozen=True)
class ArmResult:
    """What became of an arm.

    Attributes:
        arm: its name.
        lr: the learning rate that it kept.
        delta_m: test Delta m by seed, percent.
        against: the grouped arm less this one; None of the grouped arm itself.
        p: of the comparison, corrected for all of them by Holm; None of the grouped arm.
    """

    arm: str
    lr: float
    delta_m: Mapping[int, float]
    against: Comparison | None = None
    p: float | None = None

    @property
    def outcome(self) -> str:
        """Of the grouped arm against this one."""
        return "" if self.against is None else self.against.outcome(p=self.p)


_OTHER_ARMS = {
    "one-group": "one group for all",
    "found-groups": "the same groups fixed",
    "random-groups": "random groups of their sizes",
}


@dataclass(frozen=True)
class GroupingResult:
    """The answer.

    Attributes:
        question: what was asked.
        arms: in the order of `ARMS`, those that have a run with any seed.
        seeds: that were asked for.
    """

    question: Question
    arms: tuple[ArmResult, ...]
    seeds: tuple[int, ...]

    @property
    def verdict(self) -> str:
        """What the comparison with no grouping amounts to, and which other groups are decidedly better or worse."""
        apart = next((arm for arm in self.arms if arm.arm == "no-groups"), None)
        said = {
            "better": "Grouping helps here: better than no grouping.",
            "worse": "Grouping hurts here: worse than no grouping.",
            "undecided": "Undecided: whether grouping is better here than no grouping, these seeds cannot tell.",
            "identical": "Grouping changes nothing here: identical to no grouping.",
            "too few seeds": "Undecided: too few seeds.",
            "": "Undecided: the arm without groups has not been trained.",
        }
        sentences = [said["" if apart is None else apart.outcome]]
        for outcome in ("better", "worse"):
            others = [_OTHER_ARMS[arm.arm] for arm in self.arms if arm.arm in _OTHER_ARMS and arm.outcome == outcome]
            if others:
                sentences.append(f"The groups found at every step are {outcome} than {' and than '.join(others)}.")
        return " ".join(sentences)


def question(stored: StoredStudy) -> Question:
    """What there is to ask of a study.

    Raises:
        UserError: fewer than three tasks, no complete search trial with 1 < K < M, or no reference.
    """
    tasks = stored.study.build_benchmark().task_names
    if len(tasks) < 3:
        raise UserError(
            f"The study '{stored.name}' has {len(tasks)} task{'s' if len(tasks) != 1 else ''}: grouping takes at least "
            "three, for with 1 < K < M there must be something between none and all."
        )
    for candidate in stored.searched():
        k = _group_count(stored, candidate)
        if 1 < k < len(tasks):
            together = stored.co_assignment
            shares = mean_shares(together[together["trial"] == candidate.trial], tasks).fillna(0.0)
            labels = tuple(groups_from(shares, k).values())
            search = stored.reference("search")
            return Question(candidate, max(labels) + 1, labels, search, _final_reference(stored) or search)
    raise UserError(
        f"No complete search trial of the study '{stored.name}' has 1 < K < {len(tasks)}: no grouping to test. "
        "Search such K: `n_groups` in the search space."
    )


def _final_reference(stored: StoredStudy) -> Reference | None:
    """That of final runs where it is another than the search's."""
    if not stored.study.final_reference_differs:
        return None
    try:
        return stored.reference("final")
    except UserError:
        raise UserError(
            f"The final runs of the study '{stored.name}' have a reference of their own, which has not been measured. "
            f"`study final {stored.name}` measures it."
        ) from None


def _group_count(stored: StoredStudy, candidate: BestConfiguration) -> int:
    """K; the mean that "auto" chose, rounded; 0 where nothing is known of its groups."""
    settings = candidate.method.settings
    k = settings.get("n_groups")
    if k is None or settings["clustering"] in {"given", "none"}:
        return 0
    if isinstance(k, int):
        return k
    epochs = stored.epochs
    counts = n_groups(group_table(epochs[epochs["trial"] == candidate.trial]))
    return round(float(counts.mean())) if len(counts) else 0


def lr_trials(stored: StoredStudy, asked: Question) -> list[Trial]:
    """Every arm at every learning rate of the grid, on the search's seed and under its budget."""
    study = stored.study
    trials = []
    for arm in ARMS:
        for factor in LR_FACTORS:
            configuration = _configuration(asked, arm, study.seeds.search)
            training = replace(configuration.training, lr=factor * asked.base.training.lr)
            trials.append(
                _trial(configuration.model_copy(update={"training": training}), study.seeds.search, asked, "lr")
            )
    return trials


def seed_trials(stored: StoredStudy, asked: Question, lrs: Mapping[str, float], seeds: Sequence[int]) -> list[Trial]:
    """Every arm at its learning rate over the seeds, under the budget of final runs; the test split is read."""
    return [
        _trial(stored.study.budgeted(_configuration(asked, arm, seed), "final", lrs[arm]), seed, asked, "test")
        for seed in seeds
        for arm in ARMS
        if arm in lrs
    ]


def chosen_lrs(trials: Sequence[Trial], scores: Mapping[str, float]) -> dict[str, float]:
    """The learning rate of each arm with the best score; arms all of whose trials failed are left out."""
    best: dict[str, tuple[float, float]] = {}
    for trial in trials:
        score = scores.get(trial.id, math.inf)
        arm = trial.method
        if math.isfinite(score) and (arm not in best or score < best[arm][0]):
            best[arm] = score, trial.configuration.training.lr
    return {arm: lr for arm, (_, lr) in best.items()}


class Known(NamedTuple):
    """What is known of trials of the test, by their ids.

    Attributes:
        scores: on validation.
        delta_m: on the test split, percent.
        seeds: with which any was trained.
    """

    scores: dict[str, float]
    delta_m: dict[str, float]
    seeds: set[int]


def known_trials(stored: StoredStudy, fresh: Iterable[tuple[Trial, TrialResult]] = ()) -> Known:
    """Of the store's finished trials, and of fresh ones that it may not have yet."""
    trials = stored.trials.query(f"stage == '{_STAGE}' and status == 'finished'")
    metrics = stored.metrics.query(f"stage == '{_STAGE}' and split == 'test' and metric == 'delta_m'")
    scores = dict(zip(trials["trial"], trials["score"], strict=True))
    values = dict(zip(metrics["trial"], metrics["value"], strict=True))
    seeds = set(trials["seed"].tolist())
    for trial, result in fresh:
        if result.status == "finished" and result.score is not None:
            scores[trial.id] = result.score
            values |= {trial.id: result.metrics["test/delta_m"]} if "test/delta_m" in result.metrics else {}
            seeds.add(trial.seed)
    return Known(scores, values, seeds)


def grouping_result(
    stored: StoredStudy, seeds: Sequence[int] | None = None, known: Known | None = None
) -> GroupingResult | None:
    """What is known of a study's test of grouping; None where that is nothing.

    Args:
        stored: the study.
        seeds: that count; default all that there are.
        known: what is known; default what the store holds.

    Raises:
        UserError: as `question`.
    """
    known = known or known_trials(stored)
    if not known.delta_m:
        return None
    asked = question(stored)
    lrs = chosen_lrs(lr_trials(stored, asked), known.scores)
    seeds = sorted(known.seeds - {stored.study.seeds.search}) if seeds is None else list(seeds)
    values = known.delta_m
    found: dict[str, dict[int, float]] = {}
    for trial in seed_trials(stored, asked, lrs, seeds):
        if trial.id in values:
            found.setdefault(trial.method, {})[trial.seed] = values[trial.id]
    return GroupingResult(asked, _compared(found, lrs), tuple(seeds)) if found else None


def _compared(found: Mapping[str, Mapping[int, float]], lrs: Mapping[str, float]) -> tuple[ArmResult, ...]:
    others = [arm for arm in ARMS if arm in found and arm != GROUPED]
    if GROUPED not in found:
        return tuple(ArmResult(arm, lrs[arm], found[arm]) for arm in others)
    comparisons = {arm: compare(found[GROUPED], found[arm]) for arm in others}
    corrected = dict(zip(others, holm([comparisons[arm].p for arm in others]), strict=True))
    first = ArmResult(GROUPED, lrs[GROUPED], found[GROUPED])
    return (first, *(ArmResult(arm, lrs[arm], found[arm], comparisons[arm], corrected[arm]) for arm in others))


def _configuration(asked: Question, arm: str, seed: int) -> Configuration:
    """The base with the arm's groups. All arms have weights of the same sum: K changes that otherwise."""
    given: dict[str, Any] = {"clustering": "given", "clustering_options": {"labels": list(asked.labels)}}
    changes: dict[str, dict[str, Any]] = {
        GROUPED: {},
        "no-groups": {"n_groups": len(asked.labels)},
        "one-group": {"n_groups": 1},
        "found-groups": given | {"n_groups": "auto"},
        "random-groups": {
            "clustering": "given",
            "clustering_options": {"labels": list(asked.labels), "permute": "once"},
            "n_groups": "auto",
            "seed": seed,
        },
    }
    base = asked.base
    options = {**base.method.options, "normalise": True, **changes[arm]}
    method = MethodSection(name=base.method.name, label=arm, **options)
    return Configuration(benchmark=base.benchmark, method=method, training=base.training)


def _trial(configuration: Configuration, seed: int, asked: Question, what: str) -> Trial:
    reference = asked.final_reference if what == "test" else asked.search_reference
    decides = {"configuration": configuration.key, "reference": reference.model_dump(mode="json"), "what": what}
    return Trial(
        id=f"{_STAGE}-{what}-{configuration.method.key}-{digest(decides)[:6]}-s{seed}",
        stage=_STAGE,
        configuration=configuration,
        seed=seed,
        origin="grouping",
        reference={"val": reference.val} if what == "lr" else reference.splits,
        test=what == "test",
    )

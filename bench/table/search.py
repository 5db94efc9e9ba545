"""How well searches search: replayed against the table of real trainings.

    python bench/table/search.py samplers|pruners|parallel|gains [--preset qm9-demo] [--searches 100] [--trials 33]

Real proposals (`study.search`) and real decisions to stop (`study.tuning.asha`, or Optuna's pruners), only the training
is looked up. A search sees one seed of the table; its regret is the true score of the best trial that it has completed,
the mean over the table's seeds, minus the table's best, in points of Delta m. Budgets are shares of the paper's grid,
three learning rates x every K, all trained to the end.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import optuna
import yaml
from cells import FACTORIALS, PAPERS_GRIDS, cells
from landscape import Landscape

from study.search.gain import expected_gain
from study.search.source import OptunaSearch
from study.spec import Reference
from study.spec.loading import load_study
from study.spec.search_space import SearchSpace, load_space
from study.spec.study_file import Scheduler, Search, StudyFile
from study.trials.records import Trial
from study.tuning.replay import Replayed, Stops, asha, replay

HERE = Path(__file__).parent
SHARES = (0.1, 0.25, 0.5, 1.0)
AFTER = (12, 16, 20)
FURTHER = 10
METHOD = "go4align"
_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class Variant:
    """One way to search."""

    name: str
    search: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=lambda: {"name": "fifo"})
    pruner: str = ""
    at_once: int = 1


SAMPLERS = [
    Variant("random", {"sampler": "random"}),
    Variant("random, sobol", {"sampler": "random", "start": "sobol", "startup": 1000}),
    Variant("tpe, startup 3", {"startup": 3}),
    Variant("tpe, startup 5", {"startup": 5}),
    Variant("tpe, startup 10", {"startup": 10}),
    Variant("tpe, startup 10, sobol", {"startup": 10, "start": "sobol"}),
    Variant("tpe, startup 10, groups", {"startup": 10, "group": True}),
    Variant("gp, startup 5", {"sampler": "gp", "startup": 5}),
    Variant("gp, startup 10, sobol", {"sampler": "gp", "startup": 10, "start": "sobol"}),
]


def pruners(search: dict[str, Any]) -> Iterator[Variant]:
    """Every way to stop trials, with one sampler."""
    yield Variant("none", search)
    for grace, factor in ((1, 3), (2, 3), (3, 3), (4, 3), (3, 2), (6, 2)):
        options = {"name": "asha", "grace_epochs": grace, "reduction_factor": factor}
        yield Variant(f"asha {grace}/{factor}", search, options)
    for pruner in ("halving 1/3", "halving 3/3", "hyperband 1/3", "hyperband 3/3", "median 3", "wilcoxon"):
        yield Variant(pruner, search, pruner=pruner)


def _pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    kind, _, numbers = name.partition(" ")
    grace, _, factor = numbers.partition("/")
    if kind == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=int(grace), reduction_factor=int(factor))
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner(int(grace), epochs, int(factor))
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=int(grace) - 1)
    return optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=3)


@lru_cache(maxsize=4)
def _loaded(preset: str) -> tuple[StudyFile, SearchSpace, Landscape]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = load_study(preset).model_copy(update={"methods": [METHOD]})
    landscape = Landscape(HERE / f"{preset}.parquet", METHOD, FACTORIALS[preset][METHOD])
    return study, landscape.space(load_space(study, study.build_benchmark())), landscape


def search_once(variant: Variant, preset: str, trials: int, number: int) -> list[float]:
    """A search's regret at each share of the grid's cost."""
    study, _, landscape = _loaded(preset)
    return regrets(searched(variant, preset, trials, number), landscape, grid_cost(preset, study))


def gains_once(variant: Variant, preset: str, trials: int, number: int) -> list[float]:
    """After some trials what ten more are expected to bring, and what they brought, one after the other."""
    scores = [one.score for one in searched(variant, preset, trials, number) if one.status == "finished"]
    found = []
    for n in AFTER:
        predicted = expected_gain(scores[:n], FURTHER)
        brought = min(scores[:n]) - min(scores[: n + FURTHER]) if len(scores) >= n + FURTHER else None
        found += [float("nan") if value is None else value for value in (predicted, brought)]
    return found


def searched(variant: Variant, preset: str, trials: int, number: int) -> list[Replayed]:
    """One search's trials."""
    study, space, landscape = _loaded(preset)
    seed = landscape.seeds[number % len(landscape.seeds)]
    asked = study.model_copy(
        update={
            "search": Search.model_validate(variant.search),
            "scheduler": Scheduler.model_validate(variant.scheduler),
            "budget": study.budget.model_copy(update={"trials": trials}),
            "seeds": study.seeds.model_copy(update={"search": 1000 + number}),
        }
    )
    with tempfile.TemporaryDirectory(dir=_MEMORY if Path(_MEMORY).is_dir() else None) as folder:
        proposals = OptunaSearch(asked, space, Reference(source="measured", val={}, test={}), Path(folder) / "journal")
        stops = _optunas(proposals, variant.pruner, study) if variant.pruner else asha(asked.scheduler)
        return replay(proposals, lambda trial: _scores(landscape, trial, seed), stops, at_once=variant.at_once)


def _scores(landscape: Landscape, trial: Trial, seed: int) -> list[float]:
    return landscape.scores[landscape.nearest(trial), seed].tolist()


def _optunas(proposals: OptunaSearch, name: str, study: StudyFile) -> Stops:
    """The decisions of one of Optuna's pruners."""
    search = proposals._searches[METHOD]
    search.pruner = _pruner(name, study.training.epochs)

    def stops(trial: Trial, epoch: int, score: float) -> bool:
        return proposals._running[trial.id][0].should_prune()

    return stops


def grid_cost(preset: str, study: StudyFile) -> int:
    """Epochs of the paper's grid."""
    levels = PAPERS_GRIDS[preset]
    return len(levels["lr"]) * len(levels["n_groups"]) * study.training.epochs


def regrets(ended: Sequence[Replayed], landscape: Landscape, cost: int) -> list[float]:
    """By share of the cost: what the search would have chosen by then, by what it saw, is worth."""
    found = []
    for share in SHARES:
        complete = [one for one in ended if one.status == "finished" and one.cost <= share * cost]
        chosen = min(complete, key=lambda one: one.score, default=None)
        found.append(landscape.true[landscape.nearest(chosen.trial)] - landscape.best if chosen else float("nan"))
    return found


def grids_regret(preset: str) -> float:
    """Of the best of the paper's grid, chosen by one seed, against the best of the whole table; mean over seeds."""
    grid = Landscape(HERE / f"{preset}.parquet", METHOD, PAPERS_GRIDS[preset])
    _, _, landscape = _loaded(preset)
    chosen = []
    for seed in grid.seeds:
        of_seed = {point: scores.min() for (point, of), scores in grid.scores.items() if of == seed and len(scores)}
        chosen.append(grid.true[min(of_seed, key=lambda point: of_seed[point])])
    return fmean(chosen) - landscape.best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("samplers", "pruners", "parallel", "gains"))
    parser.add_argument("--preset", default="qm9-demo", choices=tuple(FACTORIALS))
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--trials", type=int, default=None, help="of a search; default as many as the paper's grid has")
    parser.add_argument("--search", default="startup=10", help="of pruners and parallel, as KEY=VALUE,KEY=VALUE")
    asked = parser.parse_args()
    if not (HERE / f"{asked.preset}.parquet").exists():
        sys.exit(f"There is no table yet. First: python bench/table/make.py {asked.preset}")
    study, _, landscape = _loaded(asked.preset)
    if missing := [cell for cell in cells(asked.preset) if cell.key not in landscape.known]:
        sys.exit(f"The table lacks {len(missing)} trainings. First: python bench/table/make.py {asked.preset}")
    trials = asked.trials or grid_cost(asked.preset, study) // study.training.epochs
    if asked.what == "gains":
        trials = max(AFTER) + FURTHER
    options = yaml.safe_load("{" + asked.search.replace("=", ": ") + "}")
    if asked.what == "samplers":
        variants = SAMPLERS
    elif asked.what == "pruners":
        variants = list(pruners(options))
    elif asked.what == "gains":
        variants = [Variant("random", {"sampler": "random"}), Variant("tpe", options)]
    else:
        stopping = {"name": "asha", "grace_epochs": 3, "reduction_factor": 3}
        variants = [Variant(f"{n} at once", options, stopping, at_once=n) for n in (1, 4, 16)]
    cost = grid_cost(asked.preset, study)
    print(f"{asked.preset}: best {landscape.best:.1f} %, seed error {landscape.seed_error:.1f} points;", end=" ")
    print(f"the paper's grid costs {cost} epochs and has a regret of {grids_regret(asked.preset):.1f} points\n")
    once, columns = search_once, [f"{share:.0%}" for share in SHARES]
    if asked.what == "gains":
        once = gains_once
        columns = [f"{what} after {n}" for n in AFTER for what in ("expected", "brought")]
    print("| search | " + " | ".join(columns) + " |\n|---" + "|---:" * len(columns) + "|")
    with ProcessPoolExecutor(2) as pool:
        for variant in variants:
            n = min(asked.searches, 10) if variant.search.get("sampler") == "gp" else asked.searches
            rows = list(pool.map(partial(once, variant, asked.preset, trials), range(n)))
            print(f"| {variant.name} | " + " | ".join(map(_cell, zip(*rows, strict=True))) + " |")
            sys.stdout.flush()


def _cell(values: Sequence[float]) -> str:
    known = [value for value in values if value == value and value != float("inf")]
    if len(known) < len(values) / 2:
        return "none yet"
    error = 1.96 * stdev(known) / len(known) ** 0.5 if len(known) > 1 else 0.0
    return f"{fmean(known):.1f} ± {error:.1f}"


if __name__ == "__main__":
    main()

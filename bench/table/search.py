"""How well searches search: replayed against the table of real trainings.

    python bench/table/search.py samplers|gp|pruners|wilcoxon|parallel|starts|chosen|gains [--preset qm9-demo]
        [--searches 100] [--trials 33] [--search startup=5] [--figure FILE.svg]

Real proposals (`study.search`) and real decisions to stop, only the training is looked up. A search sees one seed of
the table; its regret is the true score of the best trial that it has completed, the mean over its seeds, minus the
table's best, in points of Delta m. Budgets are shares of the paper's grid, three learning rates x every K, all trained
to the end. The last column: after how many epochs the regret is below the standard deviation of one training over
seeds, the median over searches and its 95 % interval.
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import optuna
import yaml
from cells import FACTORIALS, PAPERS_GRIDS
from command import HERE, at_least_one, in_one_line, whole_table
from figure import draw
from landscape import Landscape
from pydantic import ValidationError
from scipy.stats import binom
from variants import COMPARED, Variant, pruner_of

from go4align.errors import UserError
from study.search.gain import expected_gain
from study.search.source import OptunaSearch
from study.spec import Reference, explain
from study.spec.loading import load_study
from study.spec.search_sections import Scheduler, Search
from study.spec.search_space import SearchSpace, load_space
from study.spec.study_file import StudyFile
from study.trials.records import Trial
from study.tuning.replay import Replayed, Stops, asha, replay

FIGURES = (".svg", ".png", ".pdf")
SHARES = (0.1, 0.25, 0.5, 1.0)
CURVE = tuple(part / 40 for part in range(1, 41))
AFTER = (12, 16, 20)
FURTHER = 10
METHOD = "go4align"
_MEMORY = "/dev/shm"


@lru_cache(maxsize=4)
def loaded(preset: str) -> tuple[StudyFile, SearchSpace, Landscape]:
    """A preset with one method, its search space within the table's levels, and the table."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = load_study(preset).model_copy(update={"methods": [METHOD]})
    landscape = Landscape(HERE / f"{preset}.parquet", METHOD, FACTORIALS[preset][METHOD])
    return study, landscape.space(load_space(study, study.build_benchmark())), landscape


def grid_cost(preset: str) -> int:
    """Epochs of the paper's grid."""
    levels = PAPERS_GRIDS[preset]
    return len(levels["lr"]) * len(levels["n_groups"]) * loaded(preset)[0].training.epochs


def grids_regret(preset: str) -> float:
    """Of the best of the paper's grid, chosen by one seed, against the best of the whole table; mean over seeds."""
    grid = Landscape(HERE / f"{preset}.parquet", METHOD, PAPERS_GRIDS[preset])
    chosen = []
    for seed in grid.seeds:
        of_seed = {point: scores.min() for (point, of), scores in grid.scores.items() if of == seed and len(scores)}
        chosen.append(grid.true[min(of_seed, key=lambda point: of_seed[point])])
    return fmean(chosen) - loaded(preset)[2].best


def searched(variant: Variant, preset: str, trials: int, number: int) -> list[Replayed]:
    """One search's trials."""
    study, space, landscape = loaded(preset)
    seed = landscape.seeds[number % len(landscape.seeds)]
    asked = study.model_copy(
        update={
            "search": Search.model_validate(variant.search),
            "scheduler": Scheduler.model_validate(variant.scheduler),
            "budget": study.budget.model_copy(update={"trials": trials}),
            "seeds": study.seeds.model_copy(update={"search": 1000 + number}),
        }
    )
    if not variant.published_first:
        asked, space = _begun_anywhere(asked, space, landscape, number)
    with tempfile.TemporaryDirectory(dir=_MEMORY if Path(_MEMORY).is_dir() else None) as folder:
        proposals = OptunaSearch(asked, space, Reference(source="measured", val={}, test={}), Path(folder) / "journal")
        stops = _optunas(proposals, variant.pruner, study) if variant.pruner else asha(asked.scheduler)
        return replay(proposals, lambda trial: _scores(landscape, trial, seed), stops, at_once=variant.at_once)


def regrets(ended: Sequence[Replayed], landscape: Landscape, cost: int) -> list[float]:
    """After each share of the cost: what the search would have chosen by then, by what it saw, is worth."""
    found = []
    for share in CURVE:
        complete = [one for one in ended if one.status == "finished" and one.cost <= share * cost]
        chosen = min(complete, key=lambda one: one.score, default=None)
        found.append(landscape.true[landscape.nearest(chosen.trial)] - landscape.best if chosen else float("nan"))
    return found


def regrets_once(variant: Variant, preset: str, trials: int, number: int) -> list[float]:
    """A search's regret along `CURVE`, and after how many epochs it is below the seed error; infinite if never."""
    landscape = loaded(preset)[2]
    cost = grid_cost(preset)
    curve = regrets(searched(variant, preset, trials, number), landscape, cost)
    below = [share * cost for share, regret in zip(CURVE, curve, strict=True) if regret < landscape.seed_error]
    return [*curve, min(below, default=float("inf"))]


def gains_once(variant: Variant, preset: str, trials: int, number: int) -> list[float]:
    """After some trials what ten more are expected to bring, and what they brought, one after the other."""
    scores = [one.score for one in searched(variant, preset, trials, number) if one.status == "finished"]
    found = []
    for n in AFTER:
        predicted = expected_gain(scores[:n], FURTHER)
        brought = min(scores[:n]) - min(scores[: n + FURTHER]) if len(scores) >= n + FURTHER else None
        found += [float("nan") if value is None else value for value in (predicted, brought)]
    return found


def main() -> None:
    asked = _arguments()
    options = _options(asked.search)
    whole_table(asked.preset)
    study, _, landscape = loaded(asked.preset)
    cost = grid_cost(asked.preset)
    print(f"{asked.preset}: best {landscape.best:.1f} %, seed error {landscape.seed_error:.1f} points;", end=" ")
    print(f"the paper's grid costs {cost} epochs and has a regret of {grids_regret(asked.preset):.1f} points\n")
    if asked.what == "gains":
        _tell_gains(asked, [Variant("random", {"sampler": "random"}), Variant("TPE", options)])
        return
    trials = asked.trials or cost // study.training.epochs
    curves: dict[str, list[float]] = {}
    print("| search | " + " | ".join(f"{share:.0%}" for share in SHARES) + " | epochs to seed error |")
    print("|---" + "|---:" * (len(SHARES) + 1) + "|")
    with ProcessPoolExecutor(2) as pool:
        for variant in COMPARED[asked.what](options):
            n = min(asked.searches, variant.most or asked.searches)
            rows = list(pool.map(partial(regrets_once, variant, asked.preset, trials), range(n)))
            *along, needed = zip(*rows, strict=True)
            shown = [_mean(along[CURVE.index(share)]) for share in SHARES]
            print(f"| {variant.name} | " + " | ".join(shown) + f" | {_median(needed)} |", flush=True)
            curves[variant.name] = [fmean(values) for values in along]
    if asked.figure:
        draw(asked.figure, curves, [share * cost for share in CURVE], cost, asked.preset)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*COMPARED, "gains"))
    parser.add_argument("--preset", default="qm9-demo", choices=tuple(FACTORIALS))
    parser.add_argument("--searches", type=at_least_one, default=100)
    parser.add_argument(
        "--trials", type=at_least_one, default=None, help="of a search; default as many as the paper's grid has"
    )
    parser.add_argument("--search", default="startup=5", help="of all but samplers, as KEY=VALUE,KEY=VALUE")
    parser.add_argument("--figure", type=Path, default=None, help="draw regret against cost")
    asked = parser.parse_args()
    if asked.figure and not (asked.figure.parent.is_dir() and asked.figure.suffix in FIGURES):
        parser.error(f"--figure must be a file in a folder that exists, ending in {', '.join(FIGURES)}: {asked.figure}")
    return asked


def _options(text: str) -> dict[str, Any]:
    """The section `search` of a study file, from KEY=VALUE,KEY=VALUE."""
    try:
        options = yaml.safe_load("{" + text.replace("=", ": ") + "}")
        Search.model_validate(options)
    except ValidationError as error:
        raise UserError(f"--search: {explain(error, Search)}") from None
    except yaml.YAMLError:
        raise UserError(f"--search must be KEY=VALUE,KEY=VALUE, found '{text}'.") from None
    return dict(options)


def _tell_gains(asked: argparse.Namespace, variants: Sequence[Variant]) -> None:
    columns = [f"{what} after {n}" for n in AFTER for what in ("expected", "brought")]
    print("| search | " + " | ".join(columns) + " |\n|---" + "|---:" * len(columns) + "|")
    with ProcessPoolExecutor(2) as pool:
        for variant in variants:
            once = partial(gains_once, variant, asked.preset, max(AFTER) + FURTHER)
            rows = list(pool.map(once, range(asked.searches)))
            print(f"| {variant.name} | " + " | ".join(map(_mean, zip(*rows, strict=True))) + " |", flush=True)


def _scores(landscape: Landscape, trial: Trial, seed: int) -> list[float]:
    return landscape.scores[landscape.nearest(trial), seed].tolist()


def _begun_anywhere(
    study: StudyFile, space: SearchSpace, landscape: Landscape, number: int
) -> tuple[StudyFile, SearchSpace]:
    """With a random point of the table in the place of the published values."""
    drawn = dict(zip(landscape.levels, random.Random(number).choice(sorted(landscape.true, key=str)), strict=True))
    parameters = {
        key: parameter if key == "lr" else parameter.model_copy(update={"default": drawn[key]})
        for key, parameter in space.methods[METHOD].items()
    }
    training = study.training.__class__(**{**vars(study.training), "lr": drawn["lr"]})
    space = space.model_copy(update={"methods": {**space.methods, METHOD: parameters}})
    return study.model_copy(update={"training": training}), space


def _optunas(proposals: OptunaSearch, name: str, study: StudyFile) -> Stops:
    """The decisions of one of Optuna's pruners."""
    search = proposals._searches[METHOD]
    search.pruner = pruner_of(name, study.training.epochs)

    def stops(trial: Trial, epoch: int, score: float) -> bool:
        return proposals._running[trial.id][0].should_prune()

    return stops


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    if len(known) < len(values) / 2:
        return "none yet"
    error = 1.96 * stdev(known) / len(known) ** 0.5 if len(known) > 1 else 0.0
    return f"{fmean(known):.1f} ± {error:.1f}"


def _median(values: Sequence[float]) -> str:
    """With an interval between order statistics, which needs no distribution and takes infinite ones."""
    ordered = sorted(values)
    n = len(ordered)
    low, high = int(binom.ppf(0.025, n, 0.5)), min(n - 1, int(binom.ppf(0.975, n, 0.5)))
    middle, *ends = (f"{ordered[place]:.0f}".replace("inf", "more") for place in (n // 2, low, high))
    return f"{middle} ({ends[0]} to {ends[1]})"


if __name__ == "__main__":
    in_one_line(main)

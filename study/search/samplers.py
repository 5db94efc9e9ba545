"""What proposes the trials of a search, by name. Each is seeded anew for every proposal, see `OptunaSearch`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler

from go4align.errors import UserError
from study.search.distributions import Distributions
from study.spec.search_sections import Search

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_LARGEST_GRID = 100_000


def sampler_of(search: Search, seed: int) -> BaseSampler:
    """The sampler of a proposal.

    Args:
        search: which sampler, and its options.
        seed: of this proposal.
    """
    return _SAMPLERS[search.sampler](search, seed)


def spread(distributions: Distributions, seed: int, number: int) -> dict[str, Any]:
    """The trial of that number (from 0) of a scrambled Sobol sequence: the first n of them are spread evenly."""
    from scipy.stats import qmc

    engine = qmc.Sobol(len(distributions), rng=seed)
    point = engine.fast_forward(number).random(1)[0] if number else engine.random(1)[0]
    return {name: _at(one, float(part)) for (name, one), part in zip(distributions.items(), point, strict=True)}


def grid(distributions: Distributions, levels: int, seed: int) -> list[dict[str, Any]]:
    """Every combination of all choices and of `levels` values of each range, in a random order.

    Raises:
        UserError: there are more than anybody would train.
    """
    import numpy as np

    check_grid(distributions, levels)
    names = list(distributions)
    axes = [_levels(one, levels) for one in distributions.values()]
    every = [dict(zip(names, values, strict=True)) for values in product(*axes)]
    order: NDArray[np.int64] = np.random.default_rng(seed).permutation(len(every))
    return [every[place] for place in order]


def check_grid(distributions: Distributions, levels: int, method: str = "") -> None:
    """Raise `UserError` for a grid of more combinations than anybody would train."""
    if (size := math.prod(len(_levels(one, levels)) for one in distributions.values())) > _LARGEST_GRID:
        of = f" of '{method}'" if method else ""
        raise UserError(f"A grid{of} may have {_LARGEST_GRID:,} combinations, found {size:,}. Lower `search.levels`.")


def _tpe(search: Search, seed: int) -> BaseSampler:
    return TPESampler(
        seed=seed, multivariate=True, constant_liar=True, group=search.group, n_startup_trials=search.startup
    )


def _gp(search: Search, seed: int) -> BaseSampler:
    return GPSampler(seed=seed, n_startup_trials=search.startup, deterministic_objective=False)


def _cmaes(search: Search, seed: int) -> BaseSampler:
    choices = TPESampler(seed=seed, constant_liar=True, n_startup_trials=search.startup)
    return CmaEsSampler(
        seed=seed, n_startup_trials=search.startup, independent_sampler=choices, warn_independent_sampling=False
    )


def _random(search: Search, seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


_SAMPLERS: Mapping[str, Callable[[Search, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "random": _random,
    "grid": _random,  # beyond the last combination
}


def _at(distribution: BaseDistribution, part: float) -> Any:
    """The value at a share, from 0 to 1, of what a distribution covers."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[min(int(part * len(distribution.choices)), len(distribution.choices) - 1)]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high = distribution.low, distribution.high
    whole = isinstance(distribution, IntDistribution)
    if whole:
        high = high + 1
    value = low * (high / low) ** part if distribution.log else low + (high - low) * part
    return min(int(value), int(high) - 1) if whole else min(max(value, low), high)


def _levels(distribution: BaseDistribution, levels: int) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if isinstance(distribution, IntDistribution) and distribution.high - distribution.low < levels:
        return list(range(distribution.low, distribution.high + 1))
    parts = [place / max(1, levels - 1) for place in range(levels)]
    return list(dict.fromkeys(_at(distribution, part) for part in parts))

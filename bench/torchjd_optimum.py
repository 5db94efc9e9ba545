"""How far TorchJD's methods, and ours of the same name, end from the condition that defines them: a table.

    python bench/torchjd_optimum.py

Gradients are random, at equal lengths and at lengths from 1e-3 to 1e3. The worst of eight draws is shown.
All is float64, as a step hands TorchJD the Gramian. A method whose packages are missing is left out.
"""

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from go4align import UserError, build_weighting

DRAWS = 8
Gap = Callable[[Tensor, Tensor], float]


def longer_than_least(rows: Tensor, weights: Tensor) -> float:
    """The norm over the least one of a convex combination, minus 1."""
    best = _weights("mgda", rows, scale="none")
    return float((weights / weights.sum() @ rows).norm() / (best @ rows).norm()) - 1


def unfair(rows: Tensor, weights: Tensor) -> float:
    """max |w (G w) - 1|, which Nash-MTL and FairGrad with alpha = 1 make zero."""
    return float((weights * (rows @ (weights @ rows)) - 1).abs().max())


def uneven(rows: Tensor, weights: Tensor) -> float:
    """How far the projections on the unit gradients, which IMTL-G makes equal, are apart, relative to their mean."""
    projections = rows @ (weights @ rows) / rows.norm(dim=1)
    return float((projections.max() - projections.min()) / projections.mean().abs())


def conflicting(rows: Tensor, weights: Tensor) -> float:
    """The largest negative cosine of the step with a gradient, which a projection on the dual cone has none of."""
    step = weights @ rows
    return float((-(rows @ step) / rows.norm(dim=1) / step.norm()).max().clamp(min=0))


def vanished(_: Tensor, weights: Tensor) -> float:
    """1 where the step is zero, which CAGrad's is not."""
    return float((weights == 0).all())


GAPS: Mapping[str, tuple[Gap, Mapping[str, object]]] = {
    "mgda": (longer_than_least, {}),
    "torchjd.mgda": (longer_than_least, {}),
    "nash_mtl": (unfair, {"max_norm": 0.0}),
    "torchjd.nash_mtl": (unfair, {"max_norm": 0.0}),
    "torchjd.fairgrad": (unfair, {}),
    "imtl_g": (uneven, {}),
    "torchjd.imtl_g": (uneven, {}),
    "cagrad": (vanished, {}),
    "torchjd.cagrad": (vanished, {}),
    "torchjd.upgrad": (conflicting, {}),
    "torchjd.dualproj": (conflicting, {}),
}


def worst(name: str, n_tasks: int, spread: float) -> float:
    """The largest gap of the draws; lengths are from 10^-spread to 10^spread."""
    gap, options = GAPS[name]
    generator = torch.Generator().manual_seed(n_tasks)
    found = []
    for _ in range(DRAWS):
        rows = torch.randn(n_tasks, 60, generator=generator, dtype=torch.float64)
        rows *= 10 ** (spread * (2 * torch.rand(n_tasks, 1, generator=generator, dtype=torch.float64) - 1))
        found.append(gap(rows, _weights(name, rows, **options)))
    return max(found)


def _weights(name: str, rows: Tensor, **options: object) -> Tensor:
    """A method's weights where the tasks' gradients are these."""
    shared = torch.nn.Parameter(torch.zeros(rows.shape[1], dtype=torch.float64))
    return build_weighting(name, len(rows), **options).weigh(rows @ shared, shared_parameters=[shared]).weights


def main() -> None:
    columns = [(n_tasks, spread) for spread in (0.0, 3.0) for n_tasks in (3, 11, 40)]
    heads = [f"M={n_tasks}, {'1e-3..1e3' if spread else 'equal'}" for n_tasks, spread in columns]
    print(f"{'method':18}", *(f"{head:>16}" for head in heads), " condition")
    for name, (gap, _) in GAPS.items():
        try:
            build_weighting(name, 3)
        except UserError as error:
            print(f"{name:18} {error}")
            continue
        cells = [f"{worst(name, n_tasks, spread):16.1e}" for n_tasks, spread in columns]
        print(f"{name:18}", *cells, "", gap.__name__.replace("_", " "))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()

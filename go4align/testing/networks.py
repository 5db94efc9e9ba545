"""What the checks of weightings train: little networks whose losses and gradients are known."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from go4align.testing.common import here
from go4align.weighting._engine.base import StepRecord, Weighting

BuildWeighting = Callable[..., Weighting]
"""A class, or a function like one: called with `n_tasks`, and with `task_names` by name."""


def losses_of(n_tasks: int, steps: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Positive losses that spread over two orders of magnitude and fall."""
    generator = torch.Generator().manual_seed(n_tasks)
    level = torch.exp(1.5 * torch.randn(n_tasks, generator=generator, dtype=torch.float64, device="cpu"))
    noise = torch.randn(steps, n_tasks, generator=generator, dtype=torch.float64, device="cpu")
    return [here(level * torch.exp(-0.05 * t + 0.2 * noise[t])).to(dtype) for t in range(steps)]


def optimizer_of(weighting: Weighting) -> torch.optim.Optimizer | None:
    """Of what a weighting learns by gradients; None where that is nothing."""
    groups = weighting.parameter_groups()
    return torch.optim.Adam(groups) if groups else None


def train(
    weighting: Weighting, losses: Iterable[Tensor], optimizer: torch.optim.Optimizer | None = None
) -> list[Tensor]:
    """Steps on these losses, each task with a shared parameter of its own, an epoch of four; the weights of each."""
    weights = []
    for step, values in enumerate(losses):
        shared = nn.Parameter(torch.ones_like(values))
        if optimizer is not None:
            optimizer.zero_grad()
        weights.append(weighting.backward(values * shared, shared_parameters=[shared]).weights)
        if optimizer is not None:
            optimizer.step()
        if weighting.needs_losses_after:
            weighting.after_step(values * 0.9)
        if step % 4 == 3:
            weighting.end_epoch()
    return weights


class Heads(nn.Module):
    """A shared layer, and a head for each task."""

    def __init__(self, n_tasks: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        rows = here(torch.randn(n_tasks + 1, 5, generator=generator, dtype=torch.float64, device="cpu"))
        self.shared = nn.Parameter(rows[0].clone())
        self.heads = nn.ParameterList(nn.Parameter(row.clone()) for row in rows[1:])

    def losses(self, tasks: Iterable[int], bad: Sequence[int] = ()) -> Tensor:
        """Positive scalars, stacked; those of `bad` tasks are not finite, nor are their gradients."""
        values = [(self.shared * self.heads[task]).square().sum() + 0.1 * (task + 1) for task in tasks]
        return torch.stack([v * torch.nan if t in bad else v for v, t in zip(values, tasks, strict=True)])


class Scaled:
    """Losses [3] of given sizes, of four shared parameters and one further parameter for each task."""

    def __init__(self, scales: Sequence[float], dtype: torch.dtype, rows: Sequence[Sequence[float]]) -> None:
        self.shared = nn.Parameter(torch.ones(4, dtype=dtype))
        self.heads = [nn.Parameter(torch.ones((), dtype=dtype)) for _ in scales]
        self.scales = torch.tensor(scales, dtype=torch.float64).to(dtype)
        self.rows = torch.tensor(rows, dtype=dtype)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [self.shared, *self.heads]

    def losses(self) -> Tensor:
        products = [(row * self.shared).sum() for row in self.rows]
        return torch.stack([s * p * h for s, p, h in zip(self.scales, products, self.heads, strict=True)])

    def step(self, weighting: Weighting) -> StepRecord:
        """A step from no gradients."""
        for parameter in self.parameters:
            parameter.grad = None
        return weighting.backward(self.losses(), shared_parameters=[self.shared])

    def gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]


class Rooted:
    """Losses [3] of which the second is finite, and its gradient is not."""

    def __init__(self) -> None:
        self.shared = nn.Parameter(torch.ones(2))
        self.heads = [nn.Parameter(torch.zeros(())) for _ in range(3)]

    def losses(self) -> Tensor:
        first, second, third = self.heads
        base = self.shared.sum()
        return torch.stack([base * 9 + first, base + second.sqrt(), base + third])

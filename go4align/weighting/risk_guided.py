"""The risk-guided indicator of GO4Align: scale times smoothness (Shen et al., NeurIPS 2024, Eq. 5-7)."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy
import torch
from torch import Tensor

from go4align.arrays import Array, Matrix, like, to_array, to_tensor
from go4align.checks import flag, option, real_number
from go4align.grouping import Grouping, Groups
from go4align.kernels import agrees, has_triton
from go4align.weighting._engine.loss_weighting import LossWeighting
from go4align.weighting._engine.shared import Shared

Scale = Literal["sum", "mean", "none"]
LARGEST = 1e147
"""Upper limit of the scale in float64: squares of the indicator, which clustering needs, stay finite."""


class RiskGuided(LossWeighting):
    r"""The risk-guided indicator gamma = p * q of GO4Align (Shen et al., NeurIPS 2024), kept as log gamma.

    - scale (Eq. 5): p = sum(L) / L, so that a task with a small loss is not drowned by one with a large loss;
    - smoothness (Eq. 6): q_t = normalise(q_{t-1} * exp(-beta * L_t)), q_0 = 1/M; the current loss enters first;
    - indicator (Eq. 7): gamma = p * q.

    log q is kept instead of q: a product of exponentials underflows within a few hundred steps where losses differ by
    orders of magnitude, whereas log q is renormalised at every step and neither underflows nor drifts.

    A loss of zero has no scale of its own and takes that of the smallest other loss of the step (1 if all are zero), so
    its weight is finite. Zero here means too small for 1 / L in the losses' dtype: below its smallest normal number, or
    below 4 / (its largest number) of the sum (float32: 1.2e-38 both).

    Args:
        n_tasks: number of tasks M.
        beta: temperature of the smoothness, at least 0. Default 1e-4, the official code's `robust_step_size`.
        scale: "sum" (default) is what the official code computes and the published numbers were made with; equal losses
            then give gamma = 1. "mean" is Eq. 5 as printed, 1/M of that. "none" leaves the scale out (an ablation) and
            gives gamma = M * q.
        smooth: False leaves the smoothness out (an ablation): q stays 1/M.
        task_names: M names for error messages.
    """

    needs_positive_losses = True
    per_task: ClassVar[Mapping[str, int]] = {**LossWeighting.per_task, "log_q": 0}
    renewed: ClassVar[frozenset[str]] = frozenset({"log_q"})

    log_q: Tensor

    def __init__(
        self,
        n_tasks: int,
        beta: float = 1e-4,
        *,
        scale: Scale = "sum",
        smooth: bool = True,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.beta = real_number("beta", beta)
        self.scale = option("scale", scale, Scale)
        self.smooth = flag("smooth", smooth)
        self.takes_scaled_losses = not self.smooth or self.beta == 0.0
        self._offset = self._offset_of(n_tasks)
        self.register_buffer("log_q", torch.full((n_tasks,), -math.log(n_tasks), dtype=torch.float64))

    def _offset_of(self, n_tasks: int) -> float:
        """What is added to log q and the logarithm of the scale's sum."""
        log_m = math.log(n_tasks)
        return {"sum": 0.0, "mean": -log_m, "none": log_m}[self.scale]

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        return {**super().narrowed_attributes(tasks), "_offset": self._offset_of(len(tasks))}

    def gathered(self, name: str, whole: Tensor, tasks: Tensor) -> Tensor:
        """q of some of the tasks sums to 1 among them, ..."""
        part = super().gathered(name, whole, tasks)
        return part - part.logsumexp(0) if name == "log_q" else part

    def spread(self, name: str, whole: Tensor, part: Tensor, tasks: Tensor) -> None:
        """... and together they keep the share that they had, so that the others keep theirs."""
        if name == "log_q":
            part = part + whole[tasks].logsumexp(0)
        super().spread(name, whole, part, tasks)

    def forward(self, losses: Tensor) -> Tensor:
        """Take a step with losses [M] as `weigh` does; returns gamma [M] float64, exact in the losses' dtype."""
        return self.weigh(losses).weights.double()

    def grouped_by(self, grouping: Grouping, losses: Tensor, shared: Shared, gramian: Matrix | None = None) -> Groups:
        """As `Weighting.grouped_by`, of log gamma."""
        return grouping.group_log(self._log_gamma(losses), gramian)

    def _weigh(self, losses: Tensor) -> Tensor:
        return to_tensor(self._log_gamma(losses)).exp()

    def _log_gamma(self, losses: Tensor) -> Any:
        on_host = self.checks_on_host
        kernel = None if on_host else _kernel(losses.device, losses.dtype, self.smooth, self.scale != "none")
        if kernel is None:
            return self.log_gamma(to_array(losses, on_host), losses.dtype)
        settings = _settings(self.beta, self._offset, losses.dtype, losses.device)
        self.log_q, log_gamma = kernel(losses, self.log_q, settings, self.smooth, self.scale != "none")
        return log_gamma

    def log_gamma(self, losses: Array, dtype: torch.dtype = torch.float64) -> Array:
        """Update q with this step's losses and return log gamma, which no accumulated loss makes underflow.

        Args:
            losses: [M], an array (`go4align.arrays`), finite and not negative.
            dtype: the dtype of which gamma must be a finite number.
        """
        if self.smooth:
            self._smooth(losses)
        log_gamma: Array = like(self.log_q, losses)
        if self.scale != "none":
            log_gamma = log_gamma + log_scale(losses, torch.finfo(dtype))
        return log_gamma + self._offset if self._offset else log_gamma

    def _smooth(self, losses: Array) -> None:
        if isinstance(losses, Tensor):
            self.log_q = self.log_q.sub(losses, alpha=self.beta).log_softmax(0)
            return
        log_q = like(self.log_q, losses)
        logits = log_q - self.beta * losses
        log_q[:] = logits - numpy.logaddexp.reduce(logits)


Kernel = Callable[[Tensor, Tensor, Tensor, bool, bool], tuple[Tensor, Tensor]]


@lru_cache(maxsize=64)
def _kernel(device: torch.device, dtype: torch.dtype, smooth: bool, scaled: bool) -> Kernel | None:
    """`fused_log_gamma`, where it takes a sample's step as the host does, for which the host waits once."""
    if not has_triton(device):
        return None
    sample = numpy.array([0.0, 0.25, 3.0, 700.0])
    with torch.device("cpu"):
        host = RiskGuided(len(sample), 0.5, scale="sum" if scaled else "none", smooth=smooth)
        before = host.log_q.clone()
    log_gamma = host.log_gamma(sample, dtype)
    expected = (host.log_q.numpy(), log_gamma)

    def attempt() -> tuple[Tensor, Tensor]:
        settings = _settings(host.beta, host._offset, dtype, device)
        losses = torch.from_numpy(sample).to(device, dtype)
        return _fused()(losses, before.to(device), settings, smooth, scaled)

    return _fused() if agrees("the risk-guided indicator", attempt, expected) else None


def _fused() -> Kernel:
    """Where Triton is not installed, nothing imports this."""
    from go4align.weighting.fused_indicator import fused_log_gamma

    return fused_log_gamma


@lru_cache(maxsize=64)
def _settings(beta: float, offset: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    limits = torch.finfo(dtype)
    values = [beta, offset, limits.tiny, _smallest_share(limits)]
    return torch.tensor(values, dtype=torch.float64, device=device)


def _smallest_share(limits: torch.finfo) -> float:
    """Of the losses' sum, below which a loss counts as zero."""
    return 4.0 / min(limits.max, LARGEST)


@lru_cache(maxsize=64)
def _scalar(value: float, device: torch.device) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, device=device)


def log_scale(losses: Array, limits: torch.finfo) -> Array:
    """log(sum(L) / L), [M]; losses that count as zero take the smallest other loss, or 1 where all are zero."""
    total = losses.sum()
    share = _smallest_share(limits)
    scale: Array
    if isinstance(losses, Tensor):  # looking whether there is a zero would stop the host
        zero = losses <= _scalar(limits.tiny, losses.device).add(total, alpha=share)
        smallest = losses.masked_fill(zero, math.inf).amin().nan_to_num(posinf=1.0)
        losses = torch.where(zero, smallest, losses)
        scale = (losses.sum() / losses).log()
        return scale
    floor = total * share + limits.tiny
    if losses.min() <= floor:
        smallest = numpy.where(losses <= floor, math.inf, losses).min()
        losses = numpy.where(losses <= floor, smallest if smallest < math.inf else 1.0, losses)
        total = losses.sum()
    scale = numpy.log(total) - numpy.log(losses)
    return scale

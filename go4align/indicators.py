"""Losses [M] to the risk-guided indicator [M]: scale times smoothness (GO4Align, Eq. 5-7)."""

import math

import numpy
import torch
from torch import Tensor, nn

from go4align.arrays import Array, namespace, shared, to_array, to_tensor
from go4align.checks import choice, flag, real_number, whole_number


class RiskGuided(nn.Module):
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
    """

    log_q: Tensor

    def __init__(self, n_tasks: int, beta: float = 1e-4, *, scale: str = "sum", smooth: bool = True) -> None:
        super().__init__()
        self.n_tasks = whole_number("n_tasks", n_tasks, 1)
        self.beta = real_number("beta", beta)
        log_m = math.log(n_tasks)
        scales = {"sum": (True, 0.0), "mean": (True, -log_m), "none": (False, log_m)}
        self._scaled, self._offset = choice("scale", scale, scales)
        self.scale = scale
        self.smooth = flag("smooth", smooth)
        self.register_buffer("log_q", torch.full((n_tasks,), -log_m, dtype=torch.float64))

    def forward(self, losses: Tensor) -> Tensor:
        """Update q with this step's losses [M], finite and not negative, and return gamma [M] float64."""
        return to_tensor(self.log_gamma(to_array(losses.detach()), losses.dtype)).exp()

    def log_gamma(self, losses: Array, dtype: torch.dtype = torch.float64) -> Array:
        """Update q with this step's losses and return log gamma, which no accumulated loss makes underflow.

        Args:
            losses: [M], an array (`go4align.arrays`), finite and not negative.
            dtype: the dtype of which gamma must be a finite number.
        """
        log_q = shared(self.log_q)
        if self.smooth:
            logits = log_q - self.beta * losses
            log_q[:] = logits - log_sum_exp(logits)
        if self._scaled:
            return log_q + log_scale(losses, torch.finfo(dtype)) + self._offset
        return log_q + self._offset


def log_sum_exp(logits: Array) -> Array:
    """log(sum(exp(logits))) without overflow."""
    return logits.logsumexp(0) if isinstance(logits, Tensor) else numpy.logaddexp.reduce(logits)


def log_scale(losses: Array, limits: torch.finfo) -> Array:
    """log(sum(L) / L), [M]; losses that count as zero take the smallest other loss, or 1 where all are zero."""
    xp = namespace(losses)
    total = losses.sum()
    floor = total * (4.0 / min(limits.max, LARGEST)) + limits.tiny
    if xp is torch or losses.min() <= floor:  # a GPU takes this branch always, as looking would stop the host
        smallest = xp.where(losses <= floor, math.inf, losses).min()
        losses = xp.where(losses <= floor, xp.where(smallest < math.inf, smallest, 1.0), losses)
        total = losses.sum()
    return xp.log(total) - xp.log(losses)


LARGEST = 1e147
"""Upper limit of the scale in float64: squares of the indicator, which clustering needs, stay finite."""

"""`RiskGuided.log_gamma` on a GPU in one launch, a kernel written in Triton."""

import torch
import triton
import triton.language as tl
from torch import Tensor


def fused_log_gamma(
    losses: Tensor, log_q: Tensor, settings: Tensor, smooth: bool, scaled: bool
) -> tuple[Tensor, Tensor]:
    """The next log q and log gamma, both [M] float64.

    Args:
        losses: [M], any floating dtype, finite and not negative.
        log_q: [M] float64.
        settings: [4] float64: beta; what is added to log gamma; the number, and the share of the losses' sum, whose sum
            is the largest loss that counts as zero.
        smooth: whether log q moves.
        scaled: whether log gamma has the scale.
    """
    renewed = torch.empty_like(log_q) if smooth else log_q
    log_gamma = torch.empty_like(log_q)
    with torch.cuda.device_of(losses):
        _log_gamma[(1,)](
            losses.contiguous(),
            log_q.contiguous(),
            settings,
            renewed,
            log_gamma,
            len(losses),
            BLOCK=max(2, triton.next_power_of_2(len(losses))),
            SMOOTH=smooth,
            SCALED=scaled,
        )
    return renewed, log_gamma


@triton.jit(do_not_specialize=["size"])
def _log_gamma(
    losses_at,
    log_q_at,
    settings_at,
    renewed_at,
    log_gamma_at,
    size,
    BLOCK: tl.constexpr,
    SMOOTH: tl.constexpr,
    SCALED: tl.constexpr,
):
    places = tl.arange(0, BLOCK)
    exists = places < size
    losses = tl.load(losses_at + places, mask=exists, other=0.0).to(tl.float64)
    log_q = tl.load(log_q_at + places, mask=exists, other=-float("inf"))
    if SMOOTH:
        log_q -= tl.load(settings_at) * losses
        log_q -= tl.max(log_q, axis=0)
        log_q -= tl.log(tl.sum(tl.exp(log_q), axis=0))
        tl.store(renewed_at + places, log_q, mask=exists)
    log_gamma = log_q + tl.load(settings_at + 1)
    if SCALED:
        floor = tl.load(settings_at + 2) + tl.load(settings_at + 3) * tl.sum(losses, axis=0)
        zero = losses <= floor
        smallest = tl.min(tl.where(zero, float("inf"), losses), axis=0)
        losses = tl.where(zero, tl.where(smallest < float("inf"), smallest, 1.0), losses)
        log_gamma += tl.log(tl.sum(tl.where(exists, losses, 0.0), axis=0) / losses)
    tl.store(log_gamma_at + places, log_gamma, mask=exists)

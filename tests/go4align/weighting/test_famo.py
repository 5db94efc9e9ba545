"""FAMO against TorchJD's, step by step."""

import pytest
import torch
from devices import here
from torch import Tensor
from torchjd import scalarization

from go4align import UserError, build_weighting
from go4align.weighting.famo import FAMO


def assert_equal_here(ours: Tensor, peers: Tensor) -> None:
    """Bit for bit on a CPU; on a GPU the two take Adam's steps by different kernels, the peer's in float32 parts."""
    tolerance = 0.0 if ours.is_cpu else 1e-6
    torch.testing.assert_close(ours, peers, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 11, 40])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-5, 1e-2])
def test_every_weight_and_logit_is_torchjd_s(n_tasks: int, weight_decay: float) -> None:
    ours = FAMO(n_tasks, 0.025, weight_decay=weight_decay)
    peer = scalarization.FAMO(n_tasks, lr=0.025, weight_decay=weight_decay).double()
    generator = torch.Generator().manual_seed(n_tasks)
    scales = torch.logspace(-3, 3, n_tasks, dtype=torch.float64)
    for _ in range(100):
        draws = here(torch.rand(2, n_tasks, generator=generator, dtype=torch.float64, device="cpu"))
        before = (scales * draws[0]).requires_grad_()
        after = before.detach() * (0.8 + 0.4 * draws[1])
        (expected,) = torch.autograd.grad(peer(before), before)
        assert_equal_here(ours.weigh(before.detach()).weights, expected)
        ours.after_step(after)
        peer.update(after)
    assert_equal_here(ours.logits, peer._w.detach())


def test_a_gpu_learns_what_a_cpu_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The torch path of a GPU; where there is none, run on the CPU."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.rand(30, 2, 5, generator=generator, dtype=torch.float64, device="cpu") + 0.1
    host, device = FAMO(5, weight_decay=1e-3).cpu(), FAMO(5, weight_decay=1e-3)
    for before, after in pairs:
        host.weigh(before)
        host.after_step(after)
    monkeypatch.setattr(FAMO, "checks_on_host", False)
    for before, after in pairs:
        device.weigh(here(before))
        device.after_step(here(after))
    torch.testing.assert_close(device.logits.cpu(), host.logits, rtol=1e-11, atol=1e-13)


@pytest.mark.cpu_only("a GPU is not asked how many steps it has seen")
@pytest.mark.parametrize("options", [{"name": "famo"}, {"name": "go4align", "indicator": "famo"}])
def test_losses_after_a_step_need_a_step(options: dict[str, str]) -> None:
    with pytest.raises(UserError, match="`after_step` needs a `backward` before it, found none"):
        build_weighting(n_tasks=2, **options).after_step(torch.ones(2))

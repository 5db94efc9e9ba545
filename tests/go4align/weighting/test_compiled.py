"""Networks of `torch.compile`, whose backward pass may be compiled to use its memory again ("donated buffers")."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from go4align import UserError, available_methods, build_weighting, hyperparameters

METHODS = available_methods()
COMPARING = [name for name in METHODS if build_weighting(name, n_tasks=2).needs_gradients]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it compiles


class Encoder(nn.Module):
    """It saves what only its backward pass reads, which can therefore be donated."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.sin(self.first(inputs))
        return self.second(torch.exp(hidden) * torch.cos(hidden)).softmax(1)


@pytest.fixture
def donated() -> Iterator[Callable[[bool], None]]:
    """Sets whether buffers are donated, with nothing compiled before."""
    from torch._functorch import config

    before = config.donated_buffer

    def donate(whether: bool) -> None:
        torch.compiler.reset()
        config.donated_buffer = whether

    yield donate
    donate(before)


def compiled() -> tuple[Encoder, Callable[[], Tensor], Tensor]:
    """An encoder, its losses [2] when compiled, and the inputs; a plain backward pass has been taken."""
    torch.manual_seed(0)
    encoder, inputs = Encoder(), torch.randn(3, 6)
    forward = torch.compile(encoder, backend="aot_eager")
    forward(inputs).sum().backward()
    encoder.zero_grad()
    return encoder, lambda: losses_of(forward(inputs)), inputs


def losses_of(z: Tensor) -> Tensor:
    return torch.stack([z.square().mean(), z[:, 0].mean()])


@pytest.mark.parametrize("name", COMPARING)
def test_donated_buffers_are_told_with_the_remedy_and_the_remedy_works(
    name: str, donated: Callable[[bool], None]
) -> None:
    options = {"seed": 0} if "seed" in hyperparameters(name) else {}
    weighting = build_weighting(name, 2, **options)
    donated(True)
    encoder, losses, inputs = compiled()
    with pytest.raises(UserError, match=r"_functorch\.config\.donated_buffer = False before .*torch\.compiler\.reset"):
        weighting.backward(losses(), shared_parameters=encoder.parameters())
    assert weighting.step == 0 and all(p.grad is None for p in encoder.parameters())
    donated(False)
    found = weighting.backward(losses(), shared_parameters=encoder.parameters())
    gradients = [p.grad for p in encoder.parameters()]
    encoder.zero_grad()
    plain = build_weighting(name, 2, **options)
    expected = plain.backward(losses_of(encoder(inputs)), shared_parameters=encoder.parameters())
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients, [p.grad for p in encoder.parameters()], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in COMPARING])
def test_loss_oriented_methods_take_one_pass_and_need_no_remedy(name: str, donated: Callable[[bool], None]) -> None:
    donated(True)
    encoder, losses, _ = compiled()
    build_weighting(name, 2).backward(losses())
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize("name", [name for name in COMPARING if "gramian" in hyperparameters(name)])
def test_vectorised_passes_are_told_to_leave_a_compiled_encoder(name: str, donated: Callable[[bool], None]) -> None:
    donated(False)
    encoder, losses, _ = compiled()
    with pytest.raises(UserError, match=r'compiled backward function within vmap.*Use gramian="stored"'):
        build_weighting(name, 2, gramian="layerwise").backward(losses(), shared_parameters=encoder.parameters())

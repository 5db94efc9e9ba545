"""What a loop may get wrong about a step is one line, and leaves no trace."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from devices import here
from torch import Tensor, nn

from go4align import GO4Align, UserError, Weighting, available_methods, build_weighting, exact_kmeans, torchjd_methods
from go4align.weighting._engine.base import StepRecord
from go4align.weighting._engine.loss_weighting import LossWeighting

GRADIENTS = [name for name in available_methods() if build_weighting(name, 3).needs_gradients]
SOME = torch.tensor([True, False, True], device="cpu")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 5)
        self.heads = nn.ModuleList(nn.Linear(5, 1) for _ in range(3))

    def losses(self) -> Tensor:
        told = self.encoder(torch.ones(2, 4))
        return torch.stack([(scale * head(told)).square().mean() for scale, head in enumerate(self.heads, start=1)])


def refused(net: Net, weighting: Weighting, match: str, step: Callable[[], object]) -> None:
    before = pickle.dumps(weighting.state_dict())
    with pytest.raises(UserError, match=match):
        step()
    assert pickle.dumps(weighting.state_dict()) == before
    assert all(parameter.grad is None for parameter in net.parameters())


WRONG: dict[str, tuple[Callable[[Net], Any], str]] = {
    "a module": (lambda net: net.encoder, "an iterable of tensors, found a Linear. Pass model.encoder.parameters()"),
    "none": (lambda net: None, "an iterable of tensors, found a NoneType"),
    "a parameter": (lambda net: net.encoder.weight, "an iterable of tensors, found a Parameter"),
    "names too": (lambda net: net.encoder.named_parameters(), "found a tuple in it"),
    "a dict": (lambda net: dict(net.encoder.named_parameters()), "found a dict"),
    "names": (lambda net: ["encoder.weight"], "found a str in it"),
    "rows": (lambda net: list(net.encoder.weight), "found a tensor that was computed from others"),
}


@pytest.mark.parametrize("method", ["go4align", "mgda"])
@pytest.mark.parametrize("what", WRONG)
def test_what_are_no_shared_parameters(method: str, what: str) -> None:
    net, weighting = Net(), here(build_weighting(method, 3))
    named, match = WRONG[what]
    refused(net, weighting, match, lambda: weighting.backward(net.losses(), shared_parameters=named(net)))


@pytest.mark.parametrize("method", [*GRADIENTS, "torchjd.upgrad"])
def test_shared_parameters_of_another_network(method: str) -> None:
    net, weighting = Net(), here(build_weighting(method, 3))
    other = list(Net().encoder.parameters())
    match = "must name parameters that the losses depend on, found none"
    refused(net, weighting, match, lambda: weighting.backward(net.losses(), shared_parameters=other))
    refused(net, weighting, match, lambda: weighting.weigh(net.losses(), shared_parameters=other))


@pytest.mark.parametrize("method", GRADIENTS)
def test_a_parameter_that_is_named_twice_counts_once(method: str) -> None:
    found = []
    for times in (1, 2):
        torch.manual_seed(0)
        net, weighting = Net(), here(build_weighting(method, 3))
        record = weighting.backward(net.losses(), shared_parameters=[*net.encoder.parameters()] * times)
        found.append((record.weights, *(parameter.grad for parameter in net.parameters())))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize("wrong", [3, "z", [1]], ids=str)
def test_what_is_no_representation(wrong: Any) -> None:
    net, weighting = Net(), here(build_weighting("mgda", 3))
    shared = list(net.encoder.parameters())
    match = "`representation` must be an iterable of tensors"
    step = lambda: weighting.backward(net.losses(), shared_parameters=shared, representation=wrong)  # noqa: E731
    refused(net, weighting, match, step)


@pytest.mark.parametrize("labelled", [None, SOME, torch.zeros_like(SOME)], ids=["all", "some", "none"])
@pytest.mark.parametrize("method", ["go4align", "famo", "mgda"])
@pytest.mark.parametrize(
    ("losses", "match"),
    [
        ([1.0, 2.0, 3.0], r"shape \(3,\), one entry per task; found list"),
        (None, "found NoneType"),
        (torch.ones(2), r"found \(2,\)"),
        (torch.ones(3, dtype=torch.int64), "must be floating point, found torch.int64"),
    ],
    ids=["list", "None", "two", "whole"],
)
def test_what_are_no_losses(method: str, losses: Any, match: str, labelled: Tensor | None) -> None:
    net, weighting = Net(), here(build_weighting(method, 3))
    for step in (weighting.backward, weighting.weigh, weighting.after_step):
        refused(net, weighting, match, lambda step=step: step(losses, labelled=labelled))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: build_weighting("ls", 3, task_names=3), "`task_names` must be 3 names"),
        (lambda: build_weighting("go4align", 3, n_groups=torch.ones(2).numpy()), "`n_groups` must be"),
        (lambda: GO4Align.of("risk_guided", 3), "`indicator` must be a Weighting .* found str"),
        (lambda: GO4Align.of(build_weighting("ls", 3), "exact"), "`grouping` must be a Grouping, found str"),
        (lambda: exact_kmeans([1.0, 2.0], 1), "found list"),
        (lambda: exact_kmeans(torch.ones(2, 2), 1), r"found \(2, 2\)"),
        (lambda: exact_kmeans(torch.ones(0), 1), r"at least one entry, found \(0,\)"),
        (lambda: exact_kmeans(torch.tensor([1.0, torch.inf], device="cpu"), 1), "must be finite, found inf"),
    ],
)
def test_what_parts_cannot_be_made_of(call: Callable[[], object], match: str) -> None:
    with pytest.raises(UserError, match=match):
        call()


@pytest.mark.parametrize("found", [lambda losses: losses[:2], lambda losses: losses.tolist()], ids=["short", "list"])
def test_weights_that_are_none_of_anyones_own_method(found: Callable[[Tensor], Any]) -> None:
    class Own(LossWeighting):
        def _weigh(self, losses: Tensor) -> Tensor:
            return found(losses)

    net, weighting = Net(), here(Own(3))
    refused(
        net,
        weighting,
        r"The weights of Own must be a tensor of shape \(3,\), found",
        lambda: weighting.backward(net.losses()),
    )


def test_a_scaled_loss_is_refused_by_weigh_as_by_backward() -> None:
    net, weighting = Net(), here(build_weighting("go4align", 3))
    scaler = torch.amp.GradScaler(torch.get_default_device().type)
    for step in (weighting.weigh, weighting.backward):
        refused(net, weighting, "must not be scaled", lambda step=step: step(scaler.scale(net.losses())))


@pytest.mark.parametrize("method", [*available_methods(), *torchjd_methods()])
def test_pickled_it_goes_on_alike(method: str) -> None:
    try:
        weighting = here(build_weighting(method, 3))
    except UserError as error:
        pytest.skip(str(error))  # what TorchJD's method needs is not installed
    net = Net()

    def step(taken: Weighting) -> StepRecord:
        return taken.weigh(net.losses(), shared_parameters=list(net.encoder.parameters()))

    step(weighting)
    other = pickle.loads(pickle.dumps(weighting))
    assert type(other) is type(weighting)
    if method not in ("pcgrad", "rlw", "grad_drop", "torchjd.pcgrad", "torchjd.random", "torchjd.graddrop"):
        torch.testing.assert_close(step(other).weights, step(weighting).weights)

"""One training step: what the weighting is told of the network."""

from typing import Any

import pytest
import torch
from devices import here
from torch import Tensor, nn

from go4align import UserError, available_methods, build_weighting, hyperparameters
from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.qm9 import QM9
from go4align.benchmarks.toy import Toy, ToyModel
from go4align.training import Trainer, TrainingOptions, train_step
from go4align.training.precision import BFloat16, Float32
from go4align.weighting import StepRecord

GRAMIAN_METHODS = [name for name in available_methods() if "gramian" in hyperparameters(name)]


def step(benchmark: Benchmark, model: Any, weighting: Any) -> tuple[Tensor, StepRecord]:
    optimizer = torch.optim.Adam([{"params": list(model.parameters())}, *weighting.parameter_groups()])
    batch = here(next(benchmark.batches("train", 16)))
    return train_step(benchmark, model, batch, weighting, optimizer, model.shared_parameters())


@pytest.mark.parametrize(
    ("method", "options", "wanted"),
    [
        ("ls", {}, False),
        ("famo", {}, False),
        ("grad_drop", {}, False),
        *((name, {}, False) for name in GRAMIAN_METHODS),
        *((name, {"gramian": "layerwise"}, True) for name in GRAMIAN_METHODS),
        ("go4align", {}, False),
        ("go4align", {"indicator": "mgda"}, False),
        ("go4align", {"indicator": "mgda", "indicator_options": {"gramian": "layerwise"}}, True),
    ],
)
def test_the_representation_is_given_exactly_when_wanted(
    method: str, options: dict[str, Any], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Toy()
    model, weighting = toy.build_model(), build_weighting(method, 6, **options)
    decode, backward = model.decode, weighting.backward
    read: list[Tensor] = []
    told: list[Tensor | None] = []

    def noting_decode(representation: Tensor) -> Tensor:
        read.append(representation)
        return decode(representation)

    def noting_backward(losses: Tensor, *, representation: Tensor | None = None, **others: Any) -> StepRecord:
        told.append(representation)
        return backward(losses, representation=representation, **others)

    monkeypatch.setattr(model, "decode", noting_decode)
    monkeypatch.setattr(weighting, "backward", noting_backward)
    step(toy, model, weighting)
    assert weighting.uses_representation == wanted
    assert len(told) == 1
    assert told[0] is (read[0] if wanted else None)


@pytest.mark.parametrize("name", [*GRAMIAN_METHODS, "go4align"])
def test_training_layer_by_layer_equals_training_with_stored_gradients(name: str) -> None:
    found = []
    for gramian in ("stored", "layerwise"):
        options: dict[str, Any] = {"gramian": gramian}
        if name == "go4align":
            options = {"indicator": "nash_mtl", "indicator_options": options}
        run = Trainer(
            Toy(),
            lambda options=options: build_weighting(name, 6, **options),
            TrainingOptions(epochs=3, batch_size=64, lr=1e-2),
            seed=0,
            monitor=lambda evaluation: sum(evaluation.losses),
        )
        records = list(run.epochs())
        found.append((records[-1].val.losses, records[-1].train.weights, list(run.model.parameters())))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_a_shared_parameter_in_the_heads_is_refused() -> None:
    class Bypassing(ToyModel):
        def decode(self, representation: Tensor) -> Tensor:
            return super().decode(representation) + self.skip

        def shared_parameters(self) -> list[nn.Parameter]:
            return [*super().shared_parameters(), self.skip]

    model = Bypassing(6, 32)
    model.skip = nn.Parameter(torch.zeros(6))
    with pytest.raises(UserError, match=r'through `representation` alone.*gramian="stored"'):
        step(Toy(), model, build_weighting("mgda", 6, gramian="layerwise"))
    step(Toy(), model, build_weighting("mgda", 6))


def test_an_encoder_that_cannot_be_vectorised_gives_one_line_with_the_remedy() -> None:
    class SmallQM9(QM9):
        _limit = 400

    benchmark = SmallQM9(train_size=40, val_size=40, test_size=40)
    model = benchmark.build_model()
    with pytest.raises(UserError, match=r'vmap can vectorise, found: .*Use gramian="stored"') as error:
        step(benchmark, model, build_weighting("mgda", benchmark.n_tasks, gramian="layerwise"))
    assert "\n" not in str(error.value)
    step(benchmark, model, build_weighting("mgda", benchmark.n_tasks))


class TwoScales(ToyModel):
    """Heads that read both hidden layers, in a list."""

    def __init__(self, n_tasks: int, width: int) -> None:
        super().__init__(n_tasks, width)
        self.more_heads = nn.Linear(width, n_tasks)

    def encode(self, batch: Any) -> list[Tensor]:
        fine = self.trunk[:2](batch.inputs)
        return [fine, self.trunk[2:](fine)]

    def decode(self, representation: list[Tensor]) -> Tensor:
        fine, coarse = representation
        return self.more_heads(fine) + self.heads(coarse)


@pytest.mark.parametrize("method", available_methods())
def test_a_network_may_hand_several_tensors_to_its_heads(method: str) -> None:
    toy = Toy()
    found = []
    for gramian in ("stored", "layerwise") if method in GRAMIAN_METHODS else ("",):
        torch.manual_seed(0)
        model = TwoScales(6, 16)
        weighting = build_weighting(method, 6, **({"gramian": gramian} if gramian else {}))
        losses, record = step(toy, model, weighting)
        assert losses.isfinite().all()
        assert all(parameter.grad is not None for parameter in model.shared_parameters())
        found.append(record.weights)
    torch.testing.assert_close(found[0], found[-1], rtol=1e-3, atol=1e-5)


class Normalised(ToyModel):
    """With BatchNorm in the trunk."""

    def __init__(self) -> None:
        super().__init__(6, 32)
        self.trunk = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU())


def test_running_statistics_see_a_batch_once_whatever_the_method() -> None:
    statistics = []
    for method in ("ls", "famo"):
        torch.manual_seed(0)
        model = Normalised().train()
        step(Toy(), model, build_weighting(method, 6))
        norm = model.trunk[1]
        assert norm.track_running_stats and int(norm.num_batches_tracked) == 1
        statistics.append((norm.running_mean.clone(), norm.running_var.clone()))
    for ls, famo in zip(*statistics, strict=True):
        assert torch.equal(ls, famo)


def test_famo_learns_from_the_same_augmented_batch_normalised_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses after the step are those of a second forward pass in training mode."""
    toy, model = Toy(), Normalised().train()
    weighting = build_weighting("famo", 6)
    told: list[Tensor] = []
    monkeypatch.setattr(weighting, "after_step", lambda losses, labelled: told.append(losses))
    batch = here(next(toy.batches("train", 16)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    train_step(toy, model, batch, weighting, optimizer, model.shared_parameters())
    with torch.no_grad():
        assert torch.equal(told[0], toy.losses(model(batch), batch))


@pytest.mark.parametrize("method", ["ls", "famo", "go4align", "mgda", "pcgrad", "grad_drop"])
def test_bf16_computes_the_network_in_bfloat16_and_gives_the_weighting_float32(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Toy()
    told: list[torch.dtype] = []
    read: list[torch.dtype] = []
    found = []
    for precision in (Float32(), BFloat16()):
        torch.manual_seed(0)
        model, weighting = toy.build_model(), build_weighting(method, 6)
        decode, backward = model.decode, weighting.backward
        monkeypatch.setattr(model, "decode", lambda x, decode=decode: read.append(x.dtype) or decode(x))
        monkeypatch.setattr(
            weighting, "backward", lambda x, backward=backward, **more: told.append(x.dtype) or backward(x, **more)
        )
        batch = here(next(toy.batches("train", 16)))
        optimizer = torch.optim.SGD([*model.parameters(), *weighting.parameters()], lr=1e-3)
        train_step(toy, model, batch, weighting, optimizer, model.shared_parameters(), precision=precision)
        found.append([parameter.grad.clone() for parameter in model.parameters()])
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert set(told) == {torch.float32}
    assert set(read) == {torch.float32, torch.bfloat16}
    if method in ("ls", "famo"):
        for full, half in zip(*found, strict=True):
            assert torch.nn.functional.cosine_similarity(full.flatten(), half.flatten(), dim=0) > 0.99
            assert not torch.equal(full, half)


def test_clipping_scales_the_networks_gradient_down_to_the_norm_and_never_up() -> None:
    toy = Toy()
    norms = []
    for clip_norm in (None, 0.5, 1e9):
        torch.manual_seed(0)
        model, weighting = toy.build_model(), build_weighting("ls", 6)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        batch = here(next(toy.batches("train", 16)))
        train_step(toy, model, batch, weighting, optimizer, model.shared_parameters(), clip_norm=clip_norm)
        norms.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm().item())
    free, clipped, loose = norms
    assert free > 1 and clipped == pytest.approx(0.5, rel=1e-4) and loose == free

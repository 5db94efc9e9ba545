"""One training step: what the weighting is told of the network."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from go4align import UserError, available_methods, build_weighting, hyperparameters
from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.qm9 import QM9
from go4align.benchmarks.toy import Toy, ToyModel
from go4align.training import Trainer, TrainingOptions, train_step
from go4align.weighting import StepRecord

GRAMIAN_METHODS = [name for name in available_methods() if "gramian" in hyperparameters(name)]


def step(benchmark: Benchmark, model: Any, weighting: Any) -> tuple[Tensor, StepRecord]:
    optimizer = torch.optim.Adam([{"params": list(model.parameters())}, *weighting.parameter_groups()])
    batch = next(benchmark.batches("train", 16))
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

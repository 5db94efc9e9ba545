"""Networks made quicker train as they did, but for rounding."""

from typing import Any

import pytest
import torch

from go4align import UserError, build_weighting
from go4align.benchmarks.celeba.benchmark import CelebA
from go4align.benchmarks.toy import Toy
from go4align.training import Trainer, TrainingOptions

COMPILES = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute")
"""What torch warns itself of, while it compiles."""
OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 1e-3}


def trainer(benchmark: Any, method: str = "go4align", **options: Any) -> Trainer:
    made: Trainer = Trainer(
        benchmark,
        lambda: build_weighting(method, benchmark.n_tasks),
        TrainingOptions(**OPTIONS | options),
        seed=0,
        monitor=lambda evaluation: sum(evaluation.losses),
    )
    return made


def test_channels_last_keeps_results_and_checkpoints() -> None:
    plain, last = (trainer(CelebA.small(), channels_last=chosen) for chosen in (False, True))
    weights = [p for p in last.model.parameters() if p.dim() == 4]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert last.evaluate("val").losses == pytest.approx(plain.evaluate("val").losses, rel=1e-5)
    last.run_epoch()
    plain.load_state_dict(last.state_dict())
    assert plain.evaluate("val").losses == pytest.approx(last.evaluate("val").losses, rel=1e-5)
    assert plain.run_epoch().train.losses == pytest.approx(last.run_epoch().train.losses, rel=5e-2)


@pytest.fixture
def quick_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler's own steps without generated code, which takes half a minute."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda part: real(part, backend="aot_eager"))
    torch.compiler.reset()


@COMPILES
@pytest.mark.parametrize("method", ["go4align", "famo", "uw", "mgda"])
def test_a_compiled_network_trains_alike(method: str, quick_backend: None) -> None:
    benchmark = Toy(n_tasks=3, train_size=64)
    plain, compiled = (trainer(benchmark, method, compile=chosen) for chosen in (False, True))
    assert list(plain.state_dict()["model"]) == list(compiled.state_dict()["model"])
    try:
        found = compiled.run_epoch()
    except UserError as error:
        assert method == "mgda", error
        assert "compiled" in str(error)
        return
    assert found.train.losses == pytest.approx(plain.run_epoch().train.losses, rel=1e-4)


@pytest.mark.cpu_only("a GPU's compiler is tested by bench/gpu.py")
@COMPILES
def test_generated_code_trains_alike() -> None:
    torch.compiler.reset()
    benchmark = Toy(n_tasks=3, train_size=64)
    plain, compiled = (trainer(benchmark, compile=chosen) for chosen in (False, True))
    assert compiled.run_epoch().train.losses == pytest.approx(plain.run_epoch().train.losses, rel=1e-4)


@pytest.mark.parametrize("key", ["compile", "channels_last"])
def test_yes_or_no_is_meant(key: str) -> None:
    with pytest.raises(UserError, match=f"`{key}` must be"):
        TrainingOptions(**OPTIONS | {key: "sometimes"})

"""What a network says of new samples, in the benchmark's own units: the same as its metrics are made of."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.celeba.benchmark import CelebA
from go4align.benchmarks.cityscapes.benchmark import CityScapes
from go4align.benchmarks.nyuv2.benchmark import NYUv2
from go4align.benchmarks.qm9.benchmark import QM9
from go4align.benchmarks.qm9.targets import REPORT_FACTOR, TARGET_INDEX
from go4align.benchmarks.toy import Toy
from go4align.errors import UserError
from go4align.training import evaluate


def built(cls: type[Benchmark]) -> tuple[Any, Any]:
    """A small benchmark and a network with statistics of its own."""
    benchmark = cls.small()
    benchmark.prepare()
    torch.manual_seed(0)
    model = benchmark.build_model()
    for _ in range(30):  # until batch norm has the running statistics of these samples
        model(next(iter(benchmark.batches("train", 16))).to(torch.device("cpu")))
    return benchmark, model


def test_toy() -> None:
    benchmark, model = built(Toy)
    [batch] = benchmark.batches("test", 1000)
    found = benchmark.predict(model, batch.inputs)
    errors = evaluate(benchmark, model, "test", 64).metrics
    for m, task in enumerate(benchmark.task_names):
        assert (found[task] - batch.targets[:, m]).abs().mean() == pytest.approx(errors[f"{task}/mae"], rel=1e-5)
    assert model.training
    model.trunk.eval()
    benchmark.predict(model, batch.inputs)
    assert [model.training, model.trunk.training, model.heads.training] == [True, False, True]
    with pytest.raises(UserError, match=r"inputs \[B, 8\], found \[2, 3\]"):
        benchmark.predict(model, torch.zeros(2, 3))


def molecules(benchmark: QM9, places: Any) -> list[Any]:
    """Molecules of the cache in torch_geometric's form, every bond in both directions."""
    cache = benchmark._cache
    atoms, bonds = (np.concatenate([[0], np.cumsum(part, dtype=int)]) for part in (cache.sizes, cache.n_bonds))
    found = []
    for at in places:
        z, pos = (torch.tensor(np.array(part[atoms[at] : atoms[at + 1]])) for part in (cache.z, cache.pos))
        i, j, order = torch.tensor(cache.bonds[bonds[at] : bonds[at + 1]].astype(np.int64)).T
        attributes = torch.nn.functional.one_hot(torch.cat([order, order]) - 1, 4)
        edges = torch.stack([torch.cat([i, j]), torch.cat([j, i])])
        found.append(SimpleNamespace(z=z.long(), pos=pos, edge_index=edges, edge_attr=attributes))
    return found


def test_qm9_in_any_order() -> None:
    benchmark, model = built(QM9)
    places = np.random.default_rng(0).permutation(benchmark._places["test"])
    found = benchmark.predict(model, molecules(benchmark, places))
    errors = evaluate(benchmark, model, "test", 64).metrics
    truth = torch.tensor(benchmark._cache.y[places][:, TARGET_INDEX]).double() * torch.tensor(REPORT_FACTOR)
    for m, task in enumerate(benchmark.task_names):
        assert (found[task] - truth[:, m]).abs().mean().item() == pytest.approx(errors[f"{task}/mae"], rel=1e-4), task


def test_what_is_no_molecule_of_qm9_is_said() -> None:
    benchmark, model = built(QM9)
    [one] = molecules(benchmark, [0])
    with pytest.raises(UserError, match="at least one, found none"):
        benchmark.predict(model, [])
    with pytest.raises(UserError, match="number 1 lacks edge_attr"):
        benchmark.predict(model, [one, SimpleNamespace(z=one.z, pos=one.pos, edge_index=one.edge_index)])
    many = torch.ones(300, dtype=torch.long)
    with pytest.raises(UserError, match="255 atoms and as many bonds; number 0 has more"):
        benchmark.predict(model, [SimpleNamespace(**vars(one) | {"z": many})])
    with pytest.raises(UserError, match="molecule 0 has an atom of number 17"):
        benchmark.predict(model, [SimpleNamespace(**vars(one) | {"z": torch.full_like(one.z, 17)})])


@pytest.mark.parametrize("cls", [NYUv2, CityScapes])
def test_dense(cls: type[Benchmark]) -> None:
    benchmark, model = built(cls)
    [stored] = benchmark.batches("test", 1000)
    found: dict[str, Tensor] = benchmark.predict(model, stored.images)
    metrics = evaluate(benchmark, model, "test", 2).metrics
    batch = stored.to(torch.device("cpu"))
    labelled, there = batch.labels >= 0, batch.depth[:, 0] > 0
    right = (found["segmentation"] == batch.labels)[labelled].double().mean().item()
    assert right == pytest.approx(metrics["segmentation/pixel_acc"], rel=1e-6)
    error = (found["depth"] - batch.depth[:, 0]).abs()[there].mean().item()
    assert error == pytest.approx(metrics["depth/abs_err"], rel=1e-4)
    if "normal" in found:
        length = found["normal"].norm(dim=1)
        assert torch.allclose(length[length > 0], torch.ones(1), atol=1e-5)  # where all channels are 0, there is none
        assert (length > 0).double().mean() > 0.5
    with pytest.raises(UserError, match=r"\[B, H, W, 3\] of bytes \(uint8\), found .* torch.float32"):
        benchmark.predict(model, batch.images)
    with pytest.raises(UserError, match="must have 32 x 32 pixels or more"):
        benchmark.predict(model, stored.images[:, :16])


def test_celeba() -> None:
    benchmark, model = built(CelebA)
    [stored] = benchmark.batches("test", 1000)
    found = benchmark.predict(model, stored.images)
    probabilities = torch.stack(list(found.values()), 1)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    expected = torch.nn.functional.binary_cross_entropy(probabilities, stored.attributes.float(), reduction="none")
    assert expected.mean(0).tolist() == pytest.approx(evaluate(benchmark, model, "test", 7).losses, rel=1e-4)
    assert benchmark.predict(model, stored.images.numpy()).keys() == found.keys()
    with pytest.raises(UserError, match=r"64 x 64 pixels, found \[32, 64\]"):
        benchmark.predict(model, stored.images[:, :32])


def test_a_benchmark_without_a_way_says_so() -> None:
    benchmark, model = built(Toy)
    with pytest.raises(UserError, match="'toy' does not say how new samples are read"):
        Benchmark.predict(benchmark, model, torch.zeros(1, 8))

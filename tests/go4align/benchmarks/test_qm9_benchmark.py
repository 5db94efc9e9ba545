"""QM9 as a benchmark: options, splits, normalisation, batches, losses and metrics, on the first 400 molecules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import here

from go4align.benchmarks.qm9 import QM9, targets
from go4align.benchmarks.qm9.batches import QM9Batch
from go4align.benchmarks.qm9.cache import Cache, QM9Source
from go4align.errors import UserError

SIZES: dict[str, Any] = {"train_size": 300, "val_size": 40, "test_size": 60}
SMALL = {"dim": 8, "edge_hidden": 8}
made_on_the_host = pytest.mark.cpu_only("batches are made on the host, whatever trains on them")


class SmallQM9(QM9):
    _limit = 400


@pytest.fixture(scope="module")
def small() -> QM9:
    return QM9.small()


@pytest.fixture(scope="module")
def cache(small: QM9) -> Cache:
    return QM9Source(limit=400).cache()


def all_targets(benchmark: QM9, split: Any) -> torch.Tensor:
    return torch.cat([batch.targets for batch in benchmark.batches(split, 64)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_size": 0}, r"`train_size` must be a whole number of at least 1 or None \(the rest\), found 0"),
        ({"val_size": -5}, "`val_size` must be a whole number of at least 1, found -5"),
        ({"test_size": None}, "`test_size` must be a whole number of at least 1, found None"),
        ({"train_size": 1.5}, "found 1.5"),
        ({"val_size": True}, "found True"),
        ({"train_size": 120_000}, "add up to 130,831 molecules, found 140,000 .*train_size 120000.*shrink one"),
        ({"train_size": None, "test_size": 120_831}, "found 130,832"),
        ({"network": {"dims": 32}}, "Unknown option of QM9's `network` 'dims'. Did you mean 'dim'"),
        ({"network": {"dim": 0}}, "`network.dim` must be a whole number from 1 to 4096, found 0"),
        (
            {"network": {"dim": 10**9}},
            "`network.dim` must be a whole number from 1 to 4096, found 1000000000",
        ),
        ({"network": 5}, "`network` must hold keys and values .*found 5"),
        ({"split_seed": 2**63}, "`split_seed` must be a whole number"),
        ({"target_units": "standart"}, "Unknown target_units of QM9 'standart'. Did you mean 'standard'"),
        ({"split_seed": -1}, "`split_seed` must be a whole number of at least 0, found -1"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        QM9(**options)
    assert "\n" not in str(caught.value)


def test_sizes_are_checked_against_the_data_at_hand() -> None:
    with pytest.raises(UserError, match="add up to 400 molecules, found 401"):
        SmallQM9(**SIZES | {"train_size": 301}).prepare()


def test_defaults_are_the_papers() -> None:
    benchmark = QM9()
    assert [benchmark.size(split) for split in ("train", "val", "test")] == [110_000, 10_000, 10_000]
    assert sum(p.numel() for p in benchmark.build_model().parameters()) == sum(
        p.numel() for p in QM9(network={"dim": 64, "edge_hidden": 128}).build_model().parameters()
    )
    assert benchmark.task_names == ("mu", "alpha", "homo", "lumo", "r2", "zpve", "U0", "U", "H", "G", "Cv")
    assert benchmark.published_stl()["U0/mae"] == 58.838
    assert benchmark.metrics()["homo/mae"].unit == "meV"
    assert "ICML" in benchmark.published_source


def test_no_data_is_read_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "absent"))
    QM9().build_model()
    assert not (tmp_path / "absent").exists()


def test_splits_are_disjoint_seeded_and_nested(small: QM9) -> None:
    ids = {split: small.molecule_ids(split) for split in ("train", "val", "test")}
    assert len(set(np.concatenate(list(ids.values())).tolist())) == 400
    again = SmallQM9(**SIZES)
    fewer = SmallQM9(**SIZES | {"train_size": 100})
    other = SmallQM9(**SIZES, split_seed=1)
    for split in ("train", "val", "test"):
        assert again.molecule_ids(split).tolist() == ids[split].tolist()
        assert other.molecule_ids(split).tolist() != ids[split].tolist()
    assert fewer.molecule_ids("train").tolist() == ids["train"][:100].tolist()
    assert fewer.molecule_ids("test").tolist() == ids["test"].tolist()


def test_the_rest_is_everything_else() -> None:
    assert SmallQM9(train_size=None, val_size=40, test_size=60).size("train") == 300


@made_on_the_host
def test_targets_are_normalised_by_the_training_split(small: QM9, cache: Cache) -> None:
    train = all_targets(small, "train").double()
    torch.testing.assert_close(train.mean(0), torch.zeros(11).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(0), torch.ones(11).double(), atol=1e-5, rtol=0)
    test = all_targets(small, "test")
    assert test.mean(0).abs().max() > 1e-3
    own = all_targets(SmallQM9(**SIZES, target_units="own"), "train").double()
    rows = np.searchsorted(cache.index, small.molecule_ids("train"))
    std = torch.from_numpy(cache.y[rows][:, targets.TARGET_INDEX].astype(np.float64)).std(0)
    torch.testing.assert_close(own.mean(0), torch.zeros(11).double(), atol=2e-5, rtol=0)
    torch.testing.assert_close(own.std(0), std, rtol=1e-5, atol=0)
    torch.testing.assert_close(own / std, train, rtol=1e-4, atol=1e-5)


@made_on_the_host
def test_a_pass_holds_every_molecule_once_in_batches(small: QM9) -> None:
    generator = torch.Generator().manual_seed(0)
    batches = list(small.batches("train", 64, generator))
    assert [len(batch.targets) for batch in batches] == [64, 64, 64, 64, 44]
    rows = torch.cat([batch.targets for batch in batches])
    assert {tuple(row) for row in rows.tolist()} == {tuple(row) for row in all_targets(small, "train").tolist()}
    again = list(small.batches("train", 64, torch.Generator().manual_seed(0)))
    assert all(
        torch.equal(a.targets, b.targets) and torch.equal(a.pos, b.pos) for a, b in zip(batches, again, strict=True)
    )
    assert not torch.equal(batches[0].targets, next(small.batches("train", 64, generator)).targets)


@made_on_the_host
def test_a_batch_is_laid_out_by_size(small: QM9) -> None:
    batch = next(small.batches("train", 64, torch.Generator().manual_seed(0)))
    counts, sizes = zip(*batch.groups, strict=True)
    assert list(sizes) == sorted(set(sizes))
    assert sum(counts) == len(batch.targets) == 64
    n_atoms = sum(count * n for count, n in batch.groups)
    assert batch.atoms.shape == (n_atoms, 11)
    assert batch.pos.shape == (n_atoms, 3)
    assert batch.distance.shape == batch.bond.shape == (sum(count * n * n for count, n in batch.groups),)
    assert batch.slot.unique().numel() == n_atoms
    assert batch.slot.max() < 64 * sizes[-1]
    assert (batch.distance[batch.bond == 0] == 0).all()


@made_on_the_host
def test_features_are_torch_geometrics() -> None:
    """Methane, formaldehyde and hydrogen cyanide, by their formulas."""
    benchmark = SmallQM9(train_size=None, val_size=1, test_size=1, split_seed=5)
    data: dict[tuple[int, ...], QM9Batch] = {}
    for batch in benchmark.batches("train", 1):
        formula = tuple(sorted(batch.atoms[:, 5].int().tolist()))
        data.setdefault(formula, batch)
    methane, formaldehyde, cyanide = data[1, 1, 1, 1, 6], data[1, 1, 6, 8], data[1, 6, 7]
    assert methane.atoms[0].tolist() == [0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 4]
    assert methane.atoms[1].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert sorted(formaldehyde.bond.tolist()) == [0] * 4 + [1] * 6 + [2] * 4 + [3] * 2
    assert sorted(cyanide.bond.tolist()) == [0] * 3 + [1] * 2 + [2] * 2 + [4] * 2


def test_losses_are_mean_squares_and_metrics_in_reported_units(small: QM9, cache: Cache) -> None:
    shift = torch.linspace(0.1, 1.1, 11)
    accumulator = small.accumulator()
    for batch in map(here, small.batches("val", 16)):
        sign = torch.where(torch.arange(len(batch.targets)) % 2 == 0, 1.0, -1.0)[:, None]
        outputs = batch.targets + sign * shift
        torch.testing.assert_close(small.losses(outputs, batch), shift.square())
        accumulator.update(outputs, batch)
    rows = np.searchsorted(cache.index, small.molecule_ids("train"))
    std = cache.y[rows][:, targets.TARGET_INDEX].astype(np.float64).std(0, ddof=1)
    evaluation = accumulator.compute()
    assert evaluation.losses == pytest.approx(shift.square().tolist(), rel=1e-5)
    values = evaluation.metrics
    assert list(values) == [f"{task}/mae" for task in small.task_names]
    in_mev = {"homo", "lumo", "zpve", "U0", "U", "H", "G"}
    expected = [
        error * scale * (1000 if task in in_mev else 1)
        for task, error, scale in zip(small.task_names, shift.tolist(), std, strict=True)
    ]
    np.testing.assert_allclose(list(values.values()), expected, rtol=1e-5)


def test_a_step_reduces_the_losses(small: QM9) -> None:
    torch.manual_seed(0)
    model = small.build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batch = here(next(small.batches("train", 64, torch.Generator().manual_seed(0))))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = small.losses(model(batch), batch).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]

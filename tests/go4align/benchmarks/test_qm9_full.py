"""All of QM9: the numbers of torch_geometric's data set, to the printed digits. Converts once a test session."""

import numpy as np
import pytest

from go4align.benchmarks.qm9 import QM9, targets
from go4align.benchmarks.qm9.cache import Cache

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cpu_only("data are converted and kept on the host, whatever trains on them"),
]

# Mean and standard deviation over all molecules, as computed from torch_geometric's QM9 (data_v3).
PUBLISHED = {
    "mu": ("2.67295", "1.50348"),
    "alpha": ("75.2812", "8.17383"),
    "homo": ("-6.53645", "0.59774"),
    "lumo": ("0.32204", "1.27486"),
    "r2": ("1189.411", "280.478"),
    "zpve": ("4.05694", "0.90172"),
    "U0": ("-76.1160", "10.3238"),
    "U": ("-76.5805", "10.4152"),
    "H": ("-77.0183", "10.4893"),
    "G": ("-70.8367", "9.49834"),
    "Cv": ("31.6204", "4.06758"),
}


@pytest.fixture(scope="session")
def cache() -> Cache:
    QM9().prepare()
    return QM9.data_source().cache()


@pytest.mark.parametrize("task", PUBLISHED)
def test_means_and_standard_deviations(cache: Cache, task: str) -> None:
    column = targets.TARGET_INDEX[list(PUBLISHED).index(task)]
    values = cache.y[:, column].astype(np.float64)
    for found, printed in zip((values.mean(), values.std(ddof=1)), PUBLISHED[task], strict=True):
        decimals = len(printed.partition(".")[2])
        assert f"{found:.{decimals}f}" == printed


def test_no_molecule_is_missing(cache: Cache) -> None:
    assert len(cache) == 130_831
    assert (np.diff(cache.index) > 0).all()
    assert (cache.index[0], cache.index[-1]) == (1, 133_885)
    assert cache.sizes.astype(int).sum() == len(cache.z) == len(cache.pos)


def test_the_cache_is_compact(cache: Cache) -> None:
    folder = QM9.data_source().folder
    assert sum(path.stat().st_size for path in folder.iterdir()) < 60e6


def test_bonds_are_plausible(cache: Cache) -> None:
    """Molecules are connected (bonds >= atoms - 1), lengths are short, and hydrogens have one bond each."""
    sizes, n_bonds = cache.sizes.astype(int), cache.n_bonds.astype(int)
    assert (n_bonds >= sizes - 1).all()
    base = np.repeat(np.cumsum(sizes) - sizes, n_bonds)
    i, j, order = cache.bonds.astype(int).T
    lengths = np.linalg.norm(cache.pos[base + i] - cache.pos[base + j], axis=1)
    assert lengths.max() < 2.0
    assert set(np.unique(order)) == {1, 2, 3}
    degree = np.bincount(np.concatenate([base + i, base + j]), minlength=len(cache.z))
    assert (degree[cache.z == 1] == 1).mean() > 0.99999
    assert degree.min() >= 1


def test_the_papers_splits(cache: Cache) -> None:
    benchmark = QM9()
    ids = [benchmark.molecule_ids(split) for split in ("train", "val", "test")]
    assert [len(part) for part in ids] == [110_000, 10_000, 10_000]
    assert len(np.unique(np.concatenate(ids))) == 130_000
    assert QM9(train_size=None).size("train") == 110_831
    assert sum(len(batch.targets) for batch in benchmark.batches("val", 120)) == 10_000

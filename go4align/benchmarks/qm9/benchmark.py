"""QM9 as a benchmark: options, splits, normalisation, losses and metrics."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from go4align.benchmarks.base import Benchmark, Split
from go4align.benchmarks.prepared import Prepared
from go4align.benchmarks.qm9 import targets
from go4align.benchmarks.qm9.batches import N_FEATURES, QM9Batch, SplitData
from go4align.benchmarks.qm9.cache import Cache, QM9Source
from go4align.benchmarks.qm9.molecules import cache_of
from go4align.benchmarks.qm9.source import MOLECULES
from go4align.checks import choice, mapping, whole_number
from go4align.errors import UserError, unknown_name
from go4align.metrics import MeanAbsoluteErrors
from go4align.models.base import MultiTaskModel, infer
from go4align.models.mpnn import MPNN

TargetUnits = Literal["standard", "own"]

NETWORK = {"dim": 64, "edge_hidden": 128}
"""The published network."""
WIDEST = 4096
_PREDICTED_AT_ONCE = 256
"""Molecules."""


class QM9(Benchmark):
    """11 quantum-chemical properties of 130,831 small molecules (Ramakrishnan et al. 2014), as 11 regression tasks.

    Data, units, features and tasks are those of torch_geometric's QM9 and of the multi-task literature on it. Splits:
    all molecules are shuffled with `split_seed`; the first `test_size` are the test split, the next `val_size` the
    validation split, the next `train_size` the training split. So a smaller training split is a part of a larger one.
    Targets are normalised with the mean and standard deviation of the training split; official code takes them from
    the whole data set, the test split included.

    Args:
        train_size: molecules to train on; default the paper's 110,000. None takes the rest, 110,831 beside the default
            validation and test splits, as official code does.
        val_size: molecules for validation; default the paper's 10,000.
        test_size: molecules for the test; default the paper's 10,000.
        network: `dim` and `edge_hidden`; what is left out is as published (64, 128).
        target_units: "standard" divides by the standard deviation (the paper). "own" only centres: losses then differ
            by factors of 1e5, which makes even a small run a test of task balancing.
        split_seed: seeds the shuffle.

    Raises:
        UserError: an option that cannot be.
    """

    name: ClassVar[str] = "qm9"
    packages = ("qm9pack", "rdkit")
    tasks = targets.TASKS
    published_source = targets.PUBLISHED_SOURCE
    _limit: int | None = None
    """Only the first molecules are converted: of the small variant."""

    def __init__(
        self,
        *,
        train_size: int | None = 110_000,
        val_size: int = 10_000,
        test_size: int = 10_000,
        network: Mapping[str, int] | None = None,
        target_units: TargetUnits = "standard",
        split_seed: int = 0,
    ) -> None:
        self._sizes: dict[Split, int | None] = {"test": test_size, "val": val_size, "train": train_size}
        self._network = NETWORK | mapping("network", network)
        choice("target_units of QM9", target_units, dict.fromkeys(get_args(TargetUnits)))
        self._own_units = target_units == "own"
        self._split_seed = whole_number("split_seed", split_seed, 0)
        self._splits: dict[Split, SplitData] = {}
        check_sizes(self._sizes, MOLECULES)
        check_network(self._network)

    @classmethod
    def small(cls) -> Self:
        """300 training molecules, and a narrow network."""
        benchmark = cls(train_size=300, val_size=40, test_size=60, network={"dim": 8, "edge_hidden": 8})
        benchmark._limit = 400
        return benchmark

    @classmethod
    def data_source(cls) -> QM9Source:
        return QM9Source(cls._limit)

    @property
    def needed_data(self) -> None:
        """Nothing: molecules that are absent are fetched."""
        return None

    @property
    def data_digest(self) -> str:
        return self._prepared.digest

    def prepare(self) -> None:
        """Convert the molecules once (about ten seconds), with a progress bar; cheap when already done."""
        _ = self._cache

    def size(self, split: Split) -> int:
        size = self._sizes[split]
        return len(self._places[split]) if size is None else size

    def molecule_ids(self, split: Split) -> NDArray[np.int32]:
        """QM9's own numbers, 1 to 133,885, of a split's molecules: what "gdb_N" and "dsgdb9nsd_N" mean elsewhere."""
        ids: NDArray[np.int32] = self._cache.index[self._places[split]]
        return ids

    def build_model(self) -> MPNN:
        return MPNN(self.n_tasks, N_FEATURES, **self._network)

    def batches(self, split: Split, batch_size: int, generator: torch.Generator | None = None) -> Iterator[QM9Batch]:
        """One pass over a split; without a generator molecules come by ascending size, which is the fastest."""
        data = self._split(split)
        normalised = (data.targets[:, targets.TARGET_INDEX].double() - self._mean) / self._std
        yield from data.batches(normalised.float(), batch_size, generator)

    def losses(self, outputs: Tensor, batch: QM9Batch) -> Tensor:
        """Mean squared errors [M] of the standardised or centred targets."""
        return (outputs - batch.targets).square().mean(0)

    def accumulator(self) -> MeanAbsoluteErrors:
        factor = self._std * torch.tensor(targets.REPORT_FACTOR, device="cpu")
        return MeanAbsoluteErrors(self.task_names, self.losses, factor=factor)

    def predict(self, model: MultiTaskModel, samples: Sequence[Any]) -> dict[str, Tensor]:
        """The 11 properties [B] of new molecules, in the units of the metrics (energies of atomisation in meV).

        Needs the prepared data, whose training split's moments the network's targets were normalised with.

        Args:
            model: trained on this benchmark's training split.
            samples: B molecules as torch_geometric's QM9 has them, with `z`, `pos`, `edge_index` and `edge_attr`, bonds
                in Kekule form. Their targets are not read.
        """
        molecules = cache_of(samples)
        order = np.argsort(molecules.sizes, kind="stable")
        nothing = torch.empty(len(molecules), self.n_tasks, device="cpu")
        batches = SplitData(molecules, np.arange(len(molecules))).batches(nothing, _PREDICTED_AT_ONCE, None)
        outputs = torch.cat([infer(model, batch).cpu() for batch in batches]).double()
        own = (outputs * self._std + self._mean) * torch.tensor(targets.REPORT_FACTOR, device="cpu")
        return dict(zip(self.task_names, own[np.argsort(order)].unbind(1), strict=True))

    @cached_property
    def _prepared(self) -> Prepared:
        return QM9Source(self._limit).open()

    @cached_property
    def _cache(self) -> Cache:
        cache = Cache(**self._prepared.arrays)
        check_sizes(self._sizes, len(cache))
        return cache

    @cached_property
    def _places(self) -> dict[Split, NDArray[np.int64]]:
        """Which molecules of the cache belong to which split."""
        generator = torch.Generator().manual_seed(self._split_seed)
        order = torch.randperm(len(self._cache), generator=generator, device="cpu").numpy()
        places = {}
        end = 0
        for split, size in self._sizes.items():
            start, end = end, len(order) if size is None else end + size
            places[split] = order[start:end]
        return places

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        train = self._cache.y[np.sort(self._places["train"])][:, targets.TARGET_INDEX].astype(np.float64)
        return torch.from_numpy(train.mean(0)), torch.from_numpy(train.std(0, ddof=1))

    @property
    def _mean(self) -> Tensor:
        return self._moments[0]

    @property
    def _std(self) -> Tensor:
        """What targets are divided by, [M]."""
        return torch.ones_like(self._moments[1]) if self._own_units else self._moments[1]

    def _split(self, split: Split) -> SplitData:
        if split not in self._splits:
            self._splits[split] = SplitData(self._cache, self._places[split])
        return self._splits[split]


def check_sizes(sizes: Mapping[Split, int | None], available: int) -> None:
    """Sizes must be positive and fit into the data set together."""
    for split, size in sizes.items():
        if split != "train" or size is not None:
            whole_number(f"{split}_size", size, 1, otherwise=" or None (the rest)" if split == "train" else "")
    total = sum(size or 1 for size in sizes.values())
    if total > available:
        given = ", ".join(f"{split}_size {size or 'at least 1'}" for split, size in sizes.items())
        raise UserError(f"QM9's splits may add up to {available:,} molecules, found {total:,} ({given}): shrink one.")


def check_network(network: Mapping[str, int]) -> None:
    """Widths by name."""
    for key, value in network.items():
        if key not in NETWORK:
            raise unknown_name("option of QM9's `network`", key, NETWORK)
        whole_number(f"network.{key}", value, 1, WIDEST)

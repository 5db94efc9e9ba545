"""CelebA as a benchmark: 40 attributes of a face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from go4align.benchmarks.base import Benchmark, Split
from go4align.benchmarks.celeba import figures
from go4align.benchmarks.celeba.accumulator import AttributeScores
from go4align.benchmarks.celeba.attributes import PUBLISHED_F1, PUBLISHED_SOURCE, tasks
from go4align.benchmarks.celeba.source import CelebASource
from go4align.benchmarks.data import DataSource
from go4align.benchmarks.pictures import bytes_of_pictures
from go4align.benchmarks.prepared import Prepared
from go4align.benchmarks.protocol import TrainingProtocol
from go4align.benchmarks.rows import Rows
from go4align.checks import LARGEST, mapping, real_number, whole_number
from go4align.errors import UserError, unknown_name
from go4align.metrics.classification import binary_cross_entropies
from go4align.models.attributes import AttributeNetwork
from go4align.models.base import MultiTaskModel, infer
from go4align.transfer import moved

_WIDEST = 16.0
_GENERATED = {"train_size": 2000, "val_size": 500, "test_size": 500, "seed": 0}
_WRONG = 0.05
"""Share of wrong attributes of generated figures to train on. Those of faces are noisy, too; without any, a method
that weighs tasks by the inverse of their losses gives all to the first that is learned without error."""
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class AttributeBatch:
    """Pictures [B, 3, 64, 64] in [0, 1], and attributes [B, M] of 0 and 1."""

    images: Tensor
    attributes: Tensor

    def to(self, device: torch.device) -> AttributeBatch:
        return AttributeBatch(moved(self.images, device), moved(self.attributes, device))


@dataclass(frozen=True)
class StoredAttributes:
    """A batch as it is stored, a quarter of the decoded one's bytes: images [B, 64, 64, 3] and attributes, uint8."""

    images: Tensor
    attributes: Tensor

    def to(self, device: torch.device) -> AttributeBatch:
        images = moved(self.images, device).permute(0, 3, 1, 2).float() / 255
        return AttributeBatch(images, moved(self.attributes, device).float())


class CelebA(Benchmark):
    """40 attributes of celebrities' faces (Liu et al., ICCV 2015) at 64 x 64 pixels, as 40 binary classifications.

    The official splits: 162,770 faces to train on, 19,867 for validation, 19,962 to test. Nothing is augmented.

    Args:
        train_size, val_size, test_size: samples of each split, the first of an order shuffled with `split_seed`; None
            takes all. So a smaller split is a part of a larger one.
        split_seed: seeds the shuffle.
        network: `width`, a factor of all channels; 1 as published.
        generated: train on generated figures instead: `train_size`, `val_size`, `test_size`, `seed`. The attributes
            are then those of the figures, which no one has published numbers of.

    Raises:
        UserError: an option that cannot be.
    """

    name: ClassVar[str] = "celeba"
    published_source = PUBLISHED_SOURCE
    protocol: ClassVar[TrainingProtocol] = TrainingProtocol(
        schedule="constant", selection={"name": "best", "metric": "f1"}
    )

    def __init__(
        self,
        *,
        train_size: int | None = None,
        val_size: int | None = None,
        test_size: int | None = None,
        split_seed: int = 0,
        network: Mapping[str, Any] | None = None,
        generated: Mapping[str, int] | None = None,
    ) -> None:
        self._sizes: dict[Split, int | None] = {"train": train_size, "val": val_size, "test": test_size}
        for split, size in self._sizes.items():
            if size is not None:
                whole_number(f"{split}_size", size, 1, otherwise=" or None (all)")
        self._split_seed = whole_number("split_seed", split_seed, 0)
        self._width = _width(mapping("network", network))
        self._generated = None if generated is None else _generated(mapping("generated", generated), self._sizes)
        self.tasks = tasks(PUBLISHED_F1, PUBLISHED_F1)
        if self._generated is not None:
            self.tasks = tasks(figures.ATTRIBUTES, {})
            self.published_source = ""

    @classmethod
    def small(cls) -> Self:
        """A few generated figures, and a narrow network."""
        return cls(generated={"train_size": 48, "val_size": 16, "test_size": 20}, network={"width": 1 / 16})

    @classmethod
    def data_source(cls) -> CelebASource:
        return CelebASource()

    @property
    def needed_data(self) -> DataSource | None:
        return None if self._generated else self.data_source()

    @property
    def data_digest(self) -> str | None:
        return None if self._generated else self._prepared.digest

    @property
    def data_note(self) -> str:
        return "generated figures, not celeba" if self._generated else ""

    def prepare(self) -> None:
        """Find the prepared data, and decide which samples are taken."""
        for split in _SPLITS:
            _ = self._arrays[split], self._places[split]

    def keep_on(self, device: torch.device) -> None:
        self._rows["train"].keep_on(device)

    def size(self, split: Split) -> int:
        return len(self._places[split])

    def build_model(self) -> AttributeNetwork:
        return AttributeNetwork(self.n_tasks, self._width)

    def batches(
        self, split: Split, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[StoredAttributes]:
        rows = self._rows[split]
        places = self._places[split]
        order = torch.arange(len(places), device="cpu")
        if generator is not None:
            order = torch.randperm(len(places), generator=generator, device="cpu")
        for chosen in order.split(batch_size):
            yield StoredAttributes(**rows[places[chosen.numpy()]])

    def losses(self, outputs: Tensor, batch: AttributeBatch) -> Tensor:
        """Binary cross-entropies [M], means over the batch."""
        return binary_cross_entropies(outputs, batch.attributes)

    def accumulator(self) -> AttributeScores:
        return AttributeScores(self.task_names, self.losses)

    def predict(self, model: MultiTaskModel, samples: Tensor) -> dict[str, Tensor]:
        """The probability [B] of every attribute, for pictures [B, 64, 64, 3] of bytes, cropped as CelebA's are."""
        pictures = bytes_of_pictures(self.name, samples)
        if pictures.shape[1:3] != (figures.SIZE, figures.SIZE):
            raise UserError(f"New pictures of celeba must have 64 x 64 pixels, found {list(pictures.shape[1:3])}.")
        nothing = torch.empty(len(pictures), self.n_tasks)
        outputs: Tensor = infer(model, StoredAttributes(pictures, nothing))
        return dict(zip(self.task_names, outputs.sigmoid().unbind(1), strict=True))

    @cached_property
    def _prepared(self) -> Prepared:
        return self.data_source().open()

    @cached_property
    def _arrays(self) -> dict[Split, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Images [N, 64, 64, 3] and attributes [N, M] of every split."""
        if self._generated is None:
            stored = self._prepared.arrays
            return {split: (stored[f"{split}_image"], stored[f"{split}_attributes"]) for split in _SPLITS}
        seed = len(_SPLITS) * self._generated["seed"]
        sizes = [self._generated[f"{split}_size"] for split in _SPLITS]
        wrong = {"train": _WRONG, "val": 0.0, "test": 0.0}
        return {split: figures.figures(sizes[place], seed + place, wrong[split]) for place, split in enumerate(_SPLITS)}

    @cached_property
    def _rows(self) -> dict[Split, Rows]:
        return {split: Rows({"images": images, "attributes": known}) for split, (images, known) in self._arrays.items()}

    @cached_property
    def _places(self) -> dict[Split, NDArray[np.int64]]:
        """Which samples of each split are taken, ascending."""
        found: dict[Split, NDArray[np.int64]] = {}
        for split, size in self._sizes.items():
            available = len(self._arrays[split][1])
            if size is not None and size > available:
                raise UserError(f"`{split}_size` of celeba may be at most {available:,}, found {size:,}. Lower it.")
            random = torch.Generator().manual_seed(self._split_seed)
            found[split] = np.sort(torch.randperm(available, generator=random, device="cpu").numpy()[:size])
        return found


def _width(network: dict[str, Any]) -> float:
    for key in network:
        if key != "width":
            raise unknown_name("option of CelebA's `network`", key, ["width"])
    return real_number("network.width", network.get("width", 1.0), above=0.0, high=_WIDEST)


def _generated(found: dict[str, Any], sizes: Mapping[Split, int | None]) -> dict[str, int]:
    """The sizes of `generated` are the only ones."""
    for key in found:
        if key not in _GENERATED:
            raise unknown_name("option of `generated`", key, _GENERATED)
    for split, size in sizes.items():
        if size is not None:
            raise UserError(f"`generated` has sizes of its own, found `{split}_size` beside it. Write it inside.")
    chosen = _GENERATED | found
    for key, value in chosen.items():
        whole_number(f"generated.{key}", value, 0 if key == "seed" else 1, LARGEST if key == "seed" else 100_000)
    return chosen

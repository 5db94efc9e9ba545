"""What NYUv2 and CityScapes have in common: pictures in which every pixel has a class, a depth and perhaps a normal."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from go4align.benchmarks.base import Benchmark, Split
from go4align.benchmarks.data import DataSource
from go4align.benchmarks.dense.accumulator import DenseErrors, valid_pixels
from go4align.benchmarks.dense.augmentation import Crops, DepthRule, bilinear, nearest, scaled_depth, turned
from go4align.benchmarks.dense.batch import DenseBatch, StoredBatch
from go4align.benchmarks.dense.options import Generated, Network, picture_size
from go4align.benchmarks.dense.pixels import Arrays, Pixels
from go4align.benchmarks.pictures import bytes_of_pictures
from go4align.benchmarks.prepared import Prepared
from go4align.benchmarks.protocol import TrainingProtocol
from go4align.checks import flag, option, whole_number
from go4align.directions import unit
from go4align.errors import UserError
from go4align.metrics.depth import l1
from go4align.metrics.normals import one_minus_cosine
from go4align.metrics.segmentation import cross_entropy
from go4align.models.base import MultiTaskModel, infer
from go4align.models.segnet import Output

_SMALLEST = 32
"""Pixels that are halved five times."""


class DenseBenchmark(Benchmark):
    """Segmentation, depth and perhaps surface normals of every pixel.

    The published training set is split here: its last `val_size` samples, of an order shuffled with `split_seed`, are
    the validation split that a search looks at, the next `train_size` before them the training split. What papers call
    validation is the test split.

    Args:
        train_size: samples to train on; None takes all that are left beside validation.
        val_size: samples of the published training set that are held out for validation; None takes an eighth.
        test_size: samples of the test split, from its start; None takes all.
        val_in_train: train on the validation samples, too, as published runs do with the whole training set. What is
            measured on validation is then of no use, and for a selection that does not look at it ("mean_of_last").
        split_seed: seeds the shuffle.
        size: [height, width] to which pictures are resized; None leaves them as they were prepared.
        network: `name` (mtan or segnet) and `width`, a factor of all channels; what is left out is as published.
        augmented: whether training pictures are cropped, scaled and flipped at random.
        depth_rule: what becomes of depth in a picture that is scaled up, "divide", "multiply" or "keep"; None does what
            the geometry asks for: metres are divided by the scale, inverse depth is multiplied. (MTAN's and CAGrad's
            code divides CityScapes's inverse depth, too; MTAN's author multiplied it later.)
        batch_mean: whether depth and angles are means over batches of each batch's mean, as published tables have them,
            instead of over all pixels; to compare with published numbers.
        generated: train on generated scenes instead: `train_size`, `val_size`, `test_size`, `height`, `width`, `seed`.

    Raises:
        UserError: an option that cannot be.
    """

    protocol: ClassVar[TrainingProtocol] = TrainingProtocol(
        schedule={"name": "step", "every": 100, "factor": 0.5}, selection={"name": "mean_of_last", "epochs": 10}
    )
    n_classes: ClassVar[int]
    outputs: ClassVar[Sequence[tuple[Output, int]]]
    """What each task's head gives, and its channels."""
    inverse_depth: ClassVar[bool] = False
    """Whether depth grows as things come nearer."""

    def __init__(
        self,
        *,
        train_size: int | None = None,
        val_size: int | None = None,
        test_size: int | None = None,
        val_in_train: bool = False,
        split_seed: int = 0,
        size: Sequence[int] | None = None,
        network: Mapping[str, Any] | None = None,
        augmented: bool = True,
        depth_rule: DepthRule | None = None,
        batch_mean: bool = False,
        generated: Mapping[str, int] | None = None,
    ) -> None:
        self._train_size = train_size if train_size is None else whole_number("train_size", train_size, 1)
        self._val_size = val_size if val_size is None else whole_number("val_size", val_size, 1)
        self._test_size = test_size if test_size is None else whole_number("test_size", test_size, 1)
        self._val_in_train = flag("val_in_train", val_in_train)
        self._split_seed = whole_number("split_seed", split_seed, 0)
        self._size = picture_size(size)
        self._network = Network.of(network)
        self._augmented = flag("augmented", augmented)
        natural: DepthRule = "multiply" if self.inverse_depth else "divide"
        self._depth_rule = natural if depth_rule is None else option("depth_rule", depth_rule, DepthRule)
        self._batch_mean = flag("batch_mean", batch_mean)
        self._generated = None if generated is None else Generated.of(generated)
        if self._generated is not None:
            others = {"train_size": train_size, "val_size": val_size, "test_size": test_size, "size": size}
            for name in [name for name, value in others.items() if value is not None]:
                raise UserError(f"`generated` has sizes of its own, found `{name}` beside it. Write it inside.")
            self._val_size = self._generated.val_size
            self.tasks = tuple(replace(task, published_stl={}) for task in self.tasks)
            self.published_source = ""

    @classmethod
    def small(cls) -> Self:
        """A few small generated scenes, and a narrow network."""
        return cls(
            generated={"train_size": 12, "val_size": 4, "test_size": 6, "height": 32, "width": 32},
            network={"width": 1 / 16},
        )

    @property
    def needed_data(self) -> DataSource | None:
        return None if self._generated else self.data_source()

    @property
    def data_digest(self) -> str | None:
        return None if self._generated else self._prepared.digest

    @property
    def data_note(self) -> str:
        return f"generated scenes, not {self.name}" if self._generated else self.data_source().note

    def prepare(self) -> None:
        """Find the prepared data, and decide which samples belong to which split."""
        _ = self._splits

    def keep_on(self, device: torch.device) -> None:
        self._splits["train"].keep_on(device)

    def size(self, split: Split) -> int:
        return len(self._splits[split])

    def build_model(self) -> MultiTaskModel:
        return self._network.build(self.outputs)

    def batches(self, split: Split, batch_size: int, generator: torch.Generator | None = None) -> Iterator[StoredBatch]:
        pixels = self._splits[split]
        order = torch.arange(len(pixels), device="cpu")
        if generator is not None:
            order = torch.randperm(len(pixels), generator=generator, device="cpu")
        for chosen in order.split(batch_size):
            yield pixels.batch(chosen.numpy())

    def augment(self, batch: DenseBatch, generator: torch.Generator) -> DenseBatch:
        """Crops, scaled up, and flips: see `go4align.benchmarks.dense.augmentation`."""
        if not self._augmented:
            return batch
        crops = Crops.draw(len(batch.images), batch.images.shape[2], batch.images.shape[3], generator)
        return DenseBatch(
            images=bilinear(batch.images, crops),
            labels=nearest(batch.labels[:, None], crops)[:, 0],
            depth=scaled_depth(nearest(batch.depth, crops), crops, self._depth_rule),
            normals=None if batch.normals is None else turned(bilinear(batch.normals, crops), crops),
            complete=batch.complete,
        )

    def losses(self, outputs: Sequence[Tensor], batch: DenseBatch) -> Tensor:
        """Cross-entropy, absolute error of depth, and one minus the cosine of the angle between normals, [M]; each the
        mean over the pixels that have a target."""
        losses = [cross_entropy(outputs[0], batch.labels), l1(outputs[1], batch.depth)]
        if batch.normals is not None:
            losses.append(one_minus_cosine(outputs[2], batch.normals))
        return torch.stack(losses)

    def labelled(self, batch: DenseBatch) -> Tensor | None:
        """[M], which tasks have a pixel with a target; None, without looking, where all surely have."""
        return None if batch.complete else valid_pixels(batch) > 0

    def accumulator(self) -> DenseErrors:
        return DenseErrors(self.task_names, self.n_classes, self.losses, batch_mean=self._batch_mean)

    def predict(self, model: MultiTaskModel, samples: Tensor) -> dict[str, Tensor]:
        """For pictures [B, H, W, 3] of bytes: the class [B, H, W] of every pixel, its depth [B, H, W] in the
        benchmark's unit, and perhaps its surface normal [B, 3, H, W], of length 1.

        Any height and width that the network halves five times will do; it was trained on one.
        """
        pictures = bytes_of_pictures(self.name, samples, _SMALLEST)
        size = pictures.shape[:3]
        nothing = StoredBatch(pictures, torch.empty(size, dtype=torch.int8), torch.empty(size), None, complete=False)
        outputs: Sequence[Tensor] = infer(model, nothing)
        found = [outputs[0].argmax(1), outputs[1][:, 0], *(unit(normals) for normals in outputs[2:])]
        return dict(zip(self.task_names, found, strict=True))

    @classmethod
    @abstractmethod
    def data_source(cls) -> DataSource:
        """The published files."""

    @staticmethod
    @abstractmethod
    def generate(n: int, height: int, width: int, seed: int) -> Arrays:
        """Generated scenes in the form of prepared data."""

    @cached_property
    def _prepared(self) -> Prepared:
        return self.data_source().open()

    @cached_property
    def _splits(self) -> dict[Split, Pixels]:
        published = self._arrays("train")
        test = self._arrays("test")
        places = self._places(len(published["label"]), len(test["label"]))
        splits = {split: Pixels(test if split == "test" else published, at) for split, at in places.items()}
        if self._size is not None:
            splits = {split: pixels.resized(*self._size) for split, pixels in splits.items()}
        return splits

    def _places(self, n: int, n_test: int) -> dict[Split, NDArray[np.int64]]:
        """Which of n published training samples, and of n_test ones, each split has."""
        held_out = max(1, n // 8) if self._val_size is None else self._val_size
        train_size = n - held_out if self._train_size is None else self._train_size
        if not 1 <= train_size <= n - held_out:
            raise UserError(
                f"`train_size` and `val_size` of {self.name} must leave at least one sample to train on and may add up "
                f"to {n}, found {train_size} and {held_out}. Lower one."
            )
        test_size = n_test if self._test_size is None else self._test_size
        if test_size > n_test:
            raise UserError(f"`test_size` of {self.name} may be at most {n_test}, found {test_size}. Lower it.")
        order = torch.randperm(n, generator=torch.Generator().manual_seed(self._split_seed), device="cpu").numpy()
        end = n if self._val_in_train else n - held_out
        return {
            "train": np.sort(order[n - held_out - train_size : end]),
            "val": np.sort(order[n - held_out :]),
            "test": np.arange(test_size),
        }

    def _arrays(self, split: Split) -> Arrays:
        """The stored arrays of the published training set, or of the test split."""
        if self._generated is None:
            found = self._prepared.arrays.items()
            return {key.removeprefix(f"{split}_"): array for key, array in found if key.startswith(f"{split}_")}
        scenes = self._generated
        n = scenes.train_size + scenes.val_size if split == "train" else scenes.test_size
        return self.generate(n, scenes.height, scenes.width, 2 * scenes.seed + (split == "test"))

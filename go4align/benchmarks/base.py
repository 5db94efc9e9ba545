"""The `Benchmark` seam: data, model, task losses, metrics and protocol behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from go4align.benchmarks.protocol import TrainingProtocol
from go4align.errors import UserError
from go4align.metrics.evaluation import Metric

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from go4align.benchmarks.data import DataSource
    from go4align.metrics import Accumulator
    from go4align.models.base import MultiTaskModel

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Task:
    """A task with its metrics, per metric the published single-task (STL) value, and the family of tasks that tables
    put it under (empty: a family of its own)."""

    name: str
    metrics: tuple[Metric, ...]
    published_stl: Mapping[str, float] = field(default_factory=dict)
    family: str = ""


class Batch(Protocol):
    """Whatever a benchmark's model reads; it can move to a device."""

    def to(self, device: torch.device) -> Batch: ...


class Benchmark(ABC):
    """Everything a training loop needs to know of a data set.

    Constructor arguments are the benchmark's options; a study file's `benchmark:` section names them. A constructor
    checks them and does nothing else, for studies build benchmarks to check files and to name tasks: data are read,
    made or converted in `prepare`, or when they are first asked for. `tasks` and `size` of fixed splits need no data.
    """

    name: ClassVar[str]
    tasks: tuple[Task, ...]
    protocol: ClassVar[TrainingProtocol] = TrainingProtocol()
    """How the benchmark is trained where a study file says nothing."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions that the data come from: another version of one may give other data."""
    published_source: str = ""
    """Where the tasks' `published_stl` numbers come from, and what must be known of them."""

    @classmethod
    def data_source(cls) -> DataSource | None:
        """How the data come onto a machine: `study data` and `study doctor`; None where nobody has to bring any."""
        return None

    @property
    def needed_data(self) -> DataSource | None:
        """What somebody has to bring onto every machine that trains; None where data are made, or fetched, there."""
        return self.data_source()

    provenance: str = ""
    """Where the benchmark, or its network, comes from, if not from here: packages and versions. Set by whoever builds
    it by name."""

    @property
    def data_note(self) -> str:
        """What outputs say of the data, such as that they are generated; empty where the name says it all."""
        return ""

    @property
    def data_digest(self) -> str | None:
        """What the data are, wherever they lie: the digest of what was prepared; None for data made here, which the
        options decide.

        Raises:
            UserError: they are not on this machine, and cannot be made here.
        """
        return None

    @property
    def n_tasks(self) -> int:
        return len(self.tasks)

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    def families(self) -> dict[str, tuple[str, ...]]:
        """The tasks' names by family, in task order."""
        found: dict[str, tuple[str, ...]] = {}
        for task in self.tasks:
            family = task.family or task.name
            found[family] = (*found.get(family, ()), task.name)
        return found

    def metrics(self) -> dict[str, Metric]:
        """All metrics by `task/metric`, in task order."""
        return {f"{task.name}/{metric.name}": metric for task in self.tasks for metric in task.metrics}

    def published_stl(self) -> dict[str, float]:
        """Published single-task values by `task/metric`; empty where none are published."""
        return {f"{task.name}/{key}": value for task in self.tasks for key, value in task.published_stl.items()}

    @classmethod
    def small(cls) -> Self:
        """A variant that is prepared and trained in seconds on a CPU: what contract tests and examples run on."""
        return cls()

    def prepare(self) -> None:  # noqa: B027 - a hook: most benchmarks have nothing to prepare
        """Download, convert or make the data once, with a progress bar where that takes long; cheap when done."""

    def keep_on(self, device: torch.device) -> None:  # noqa: B027 - a hook: most benchmarks have small data
        """Keep the training split on a device that trains, if it has room; batches come from there then."""

    @abstractmethod
    def size(self, split: Split) -> int:
        """Number of samples of a split."""

    @abstractmethod
    def build_model(self) -> MultiTaskModel:
        """A freshly initialised network; uses torch's global generator."""

    @abstractmethod
    def batches(self, split: Split, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass over a split; shuffled with `generator`, in stored order without."""

    def augment(self, batch: Any, generator: torch.Generator) -> Any:
        """A training batch as the network sees it, in every forward pass of the step; default unchanged.

        Args:
            batch: on the training device. It is not changed in place.
            generator: on the same device, seeded per run and kept in its checkpoint: the only source of random numbers.
        """
        return batch

    def labelled(self, batch: Any) -> Tensor | None:
        """[M] bool, which tasks a training batch has any label of; None (default) for all, without looking.

        A task without labels in a batch takes no part in its step, whatever its loss is: see `Weighting.backward`.
        """
        return None

    @abstractmethod
    def losses(self, outputs: Any, batch: Any) -> Tensor:
        """Per-task losses [M], attached to the graph."""

    @abstractmethod
    def accumulator(self) -> Accumulator:
        """A fresh accumulator for one pass, which owns the means of losses and metrics."""

    def predict(self, model: MultiTaskModel, samples: Any) -> dict[str, Tensor]:
        """What a trained network says of new samples.

        Args:
            model: of this benchmark, such as `study.StoredStudy.load_model` gives.
            samples: in the form that each benchmark names.

        Returns:
            By task, what is predicted in the units of the task's metrics.

        Raises:
            UserError: the benchmark does not say how new samples are read, or these are none.
        """
        raise UserError(f"The benchmark '{self.name}' does not say how new samples are read: it has no `predict`.")

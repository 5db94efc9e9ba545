"""The `Weighting` around a module of TorchJD: a class for each way that its modules work, a subclass for each."""

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, ClassVar, NamedTuple, cast

import numpy
import torch
from torch import Tensor, nn
from torchjd import Stateful
from torchjd.aggregation import GramianWeightedAggregator, WeightedAggregator
from torchjd.scalarization import Scalarizer

from go4align.arrays import Matrix, Vector
from go4align.checks import real_number
from go4align.errors import UserError
from go4align.randomness import Draws
from go4align.weighting._engine.base import Shared, Weighting
from go4align.weighting._engine.gradient_weighting import Decision, GradientWeighting, Heads
from go4align.weighting._engine.gramian_weighting import GramianForm, GramianWeighting
from go4align.weighting._engine.loss_weighting import LossWeighting
from go4align.weighting._engine.solvers import spread, unit_rows
from go4align.weighting._engine.task_gradients import StoredGradients
from go4align.weighting._torchjd.catalogue import PREFIX, Facts, facts, known, methods
from go4align.weighting._torchjd.options import arguments, parameters
from go4align.weighting._torchjd.wrapped import Wrapped


class Method(NamedTuple):
    """One of TorchJD's methods: its name, its class, and what has to be known beside."""

    name: str
    kind: type[nn.Module]
    facts: Facts


class Adapted(Weighting):
    """What all of them share: building, narrowing to labelled tasks, and state."""

    method: ClassVar[Method]
    is_indicator = False
    wrapped: Wrapped

    def _wrap(self, call: Callable[[Any, Tensor], Tensor], example: Tensor, seed: int | None, options: Any) -> Wrapped:
        draws = Draws(seed) if self.method.facts.draws else None
        defaults = {key: p.default for key, p in parameters(self.method.kind, self.method.facts.defaults).items()}
        given = arguments(self.method.kind, {**defaults, **options}, self.n_tasks)
        return Wrapped(self.method.name, self.method.kind, given, call, example, draws)

    def _present(self) -> Wrapped:
        """For the tasks that take part in the step."""
        if self.tasks is None:
            return self.wrapped
        if self.wrapped.keeps_state:
            raise UserError(
                f"'{self.method.name}' keeps state of all tasks together, so every batch must have labels of all, "
                "found one that has not. Use larger batches, or a method of our own (`study methods`)."
            )
        return self.wrapped.narrowed(self.tasks)

    def get_extra_state(self) -> dict[str, Any]:
        draws = self.wrapped.draws
        return {"torchjd": self.wrapped.state(), "draws": None if draws is None else draws.state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.wrapped.load(state["torchjd"], self._state_device)
        if self.wrapped.draws is not None:
            self.wrapped.draws.load(state["draws"])

    @property
    def _state_device(self) -> torch.device:
        return self._device


class OfLosses(Adapted, LossWeighting):
    """A scalarizer S: the weights are its gradient dS/dL at the losses, in float64, so the step is that of S.

    Where a step changes its state, the host looks at the losses on every device, since a bad one must not.
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        seed: int | None = None,
        weights_lr: float = 0.025,
        task_names: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.weights_lr = real_number("weights_lr", weights_lr)
        example = torch.ones(n_tasks, dtype=torch.float64)
        self.wrapped = self._wrap(lambda scalarizer, losses: scalarizer(losses), example, seed, options)
        if learns(self.method.kind):
            self.scalarizer = self.wrapped.module

    @property
    def checks_on_host(self) -> bool:
        changed = self.wrapped.keeps_state and not learns(self.method.kind)
        return changed or self.method.facts.waits or super().checks_on_host

    def _weigh(self, losses: Tensor) -> Tensor:
        leaf = losses.double().requires_grad_()
        with torch.enable_grad():
            (weights,) = torch.autograd.grad(self._scalar(leaf), leaf)
        return weights

    def _scalar(self, losses: Tensor) -> Tensor:
        if self.tasks is None or not learns(self.method.kind):
            return self._present()(losses)
        narrowed = {name: parameter[self.tasks] for name, parameter in self.scalarizer.named_parameters()}
        return cast(Tensor, torch.func.functional_call(self.scalarizer, narrowed, (losses,)))

    def learn(self, losses: Tensor) -> None:
        """The gradient of what the training's optimiser learns; zero for tasks without labels."""
        if learns(self.method.kind):
            self._scalar(losses.double()).backward()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the scalarizer leaves to the training's optimiser, with a learning rate of its own."""
        if not learns(self.method.kind):
            return []
        return [{"params": list(self.scalarizer.parameters()), "lr": self.weights_lr}]

    def _learn_after(self, losses: Tensor) -> None:
        with self.wrapped.told():
            self.wrapped.module.update(losses.double())

    def end_epoch(self) -> None:
        """Tell a scalarizer that counts epochs, too."""
        if hasattr(self.method.kind, "step"):
            self.wrapped.module.step()
        super().end_epoch()


class OfGramian(Adapted, GramianWeighting):
    """An aggregator with weights from the Gramian, which TorchJD gets in float64 on the host."""

    def __init__(
        self,
        n_tasks: int,
        *,
        seed: int | None = None,
        heads: Heads = "sum",
        gramian: GramianForm = "stored",
        task_names: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, heads=heads, gramian=gramian, task_names=task_names)
        example = torch.eye(n_tasks, dtype=torch.float64, device="cpu")
        self.wrapped = self._wrap(lambda aggregator, given: aggregator.gramian_weighting(given), example, seed, options)

    def _solve(self, gramian: Matrix) -> Vector:
        return self._present()(torch.from_numpy(gramian)).double().numpy()

    @property
    def _state_device(self) -> torch.device:
        return torch.device("cpu")


class OfMatrix(Adapted, GradientWeighting):
    """An aggregator that wants the gradients themselves, [M, D], which are kept during the step."""

    def __init__(
        self,
        n_tasks: int,
        *,
        seed: int | None = None,
        heads: Heads = "sum",
        task_names: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, heads=heads, task_names=task_names)
        self.wrapped = self._wrap(self._call, torch.eye(n_tasks, dtype=torch.float64), seed, options)

    @staticmethod
    def _call(aggregator: Any, gradients: Tensor) -> Tensor:
        return cast(Tensor, aggregator(gradients))

    def _decide(self, losses: Tensor, shared: Shared) -> Decision:
        gradients = StoredGradients(losses, shared.parameters, self._scratch, shared.heads)
        gramian = gradients.gramian()
        self._check_finite(gramian.diagonal())
        jacobian = gradients.jacobian
        found = self._present()(jacobian if jacobian.dtype.itemsize >= 4 else jacobian.float())
        return self._decision(gradients, gramian, found)

    def _decision(self, gradients: StoredGradients, gramian: Matrix, found: Tensor) -> Decision:
        """The step is no weighted sum: the record has the weights of the sum that comes nearest to it."""
        products = (gradients.jacobian.to(found) @ found).double().cpu().numpy()
        weights = torch.from_numpy(nearest_weights(gramian, products))
        return Decision(weights, None, lambda: gradients.parts(found), gradients.heads)


class OfMatrixByWeights(OfMatrix):
    """One of them whose step is a weighted sum."""

    @staticmethod
    def _call(aggregator: Any, gradients: Tensor) -> Tensor:
        return cast(Tensor, aggregator.weighting(gradients))

    def _decision(self, gradients: StoredGradients, gramian: Matrix, found: Tensor) -> Decision:
        weights = found.double().cpu()
        sizes: list[float] = numpy.sqrt(gramian.diagonal()).tolist()
        return Decision(weights, sizes, lambda: gradients.combined(weights, sizes), gradients.heads)


def nearest_weights(gramian: Matrix, products: Vector) -> Vector:
    """w [M] for which sum(w_m g_m) comes nearest to a step d; the shortest such w in units of the gradients' lengths.

    Args:
        gramian: [M, M].
        products: <g_m, d> [M].
    """
    rows = unit_rows(gramian)
    lengths = numpy.linalg.lstsq(rows.cosines, products[rows.tasks] / rows.norms)[0]
    return spread(lengths / rows.norms, rows.tasks, len(gramian))


def learns(kind: type[Any]) -> bool:
    """Whether a scalarizer's state is parameters that the training's optimiser steps."""
    return issubclass(kind, Scalarizer) and issubclass(kind, Stateful) and not {"update", "step"} & set(vars(kind))


@cache
def method_class(name: str) -> type[Weighting]:
    """The method of that name as a class of ours, whose signature has TorchJD's hyperparameters and ours.

    Raises:
        UserError: as of `catalogue.known`.
    """
    short = known(name)
    kind = methods()[short]
    method = Method(PREFIX + short, kind, facts(short))
    adapter = _adapter(kind)
    own = inspect.signature(adapter).parameters
    left_out = {"options"} | ({"seed"} if not method.facts.draws else set())
    left_out |= set() if learns(kind) else {"weights_lr"}
    ours = {key: parameter for key, parameter in own.items() if key not in left_out}
    merged = {"n_tasks": ours.pop("n_tasks"), **parameters(kind, method.facts.defaults), **ours}
    attributes = {
        "method": method,
        "depends_on_order": method.facts.ordered,
        "needs_positive_losses": method.facts.positive,
        "needs_losses_after": issubclass(kind, Scalarizer) and hasattr(kind, "update"),
        "__signature__": inspect.Signature(list(merged.values())),
        "__doc__": kind.__doc__,
        "__module__": __name__,
    }
    return cast("type[Weighting]", type(kind.__name__, (adapter,), attributes))


def _adapter(kind: type[Any]) -> type[Adapted]:
    if issubclass(kind, Scalarizer):
        return OfLosses
    if issubclass(kind, GramianWeightedAggregator):
        return OfGramian
    return OfMatrixByWeights if issubclass(kind, WeightedAggregator) else OfMatrix

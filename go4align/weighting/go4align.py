"""GO4Align: an indicator, grouped.

Shen, Wang, Xiao, van Noord and Worring, "GO4Align: Group Optimization for Multi-Task Alignment", NeurIPS 2024.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Self

from torch import Tensor

from go4align.arrays import Matrix
from go4align.checks import flag, mapping
from go4align.errors import UserError
from go4align.grouping import Grouping, build_grouping
from go4align.grouping.base import Space
from go4align.weighting._engine.base import StepRecord, Weighting
from go4align.weighting._engine.shared import Shared, check_shared, gradients_by, trainable
from go4align.weighting.registry import build_indicator
from go4align.weighting.risk_guided import Scale

_TAKEN_OVER = (
    "needs_losses_after",
    "needs_positive_losses",
    "needs_gradients",
    "uses_representation",
    "depends_on_order",
    "takes_scaled_losses",
)
"""What the indicator needs, and what it takes."""
_OUTSIDE = ("n_tasks", "n_groups", "space", "seed", "clustering")
"""Options of the grouping that are this method's own."""


class GO4Align(Weighting):
    """Algorithm 1: minimise sum_m w_m L_m, where w_m is the centre of task m's group among the indicators (Eq. 2, 3).

    As published, the weights are not normalised: their sum, and with it the effective learning rate, depends on the
    losses' spread and on K. With `scale="sum"` equal losses give weights 1, and K = M gives sum(w * L) = sum(L).

    Args:
        n_tasks: number of tasks M.
        n_groups: number of groups K, 1 to M, or "auto" (default), which chooses K at every step from the within-group
            sums of all K (`go4align.grouping.choose_k`). The paper takes the elbow of M trainings: K = 2 on NYUv2,
            5 on QM9; the official code's default is 1, which groups nothing.
        beta: temperature of the indicator's smoothness, default 1e-4 (official `robust_step_size`). Losses enter it in
            their own units: beta * loss much over 1e-2 per step makes q collapse onto few tasks. In log space a task
            whose q collapses takes the weight of its whole group down with it.
        scale: "sum" (default, the official code), "mean" (Eq. 5 as printed) or "none".
        smooth: False leaves the smoothness out.
        space: "linear" (default, the paper) or "log", see `Grouping`: prefer "log" where losses differ by orders of
            magnitude and K is small.
        clustering: "exact" (default); "kmeans_pytorch", the paper's package, which often misses the optimum;
            "spectral"; "sdp"; "gradient_affinity", by the tasks' gradients, of which every step then takes each once;
            "given", fixed or random groups; or "none" (see `go4align.grouping`).
        clustering_options: further options of the clustering, such as `labels` of "given".
        indicator: "risk_guided" (default, Eq. 5-7), or the name of a method whose weights are the indicator (Table 7),
            before any clipping; gradients, losses after the step and learnable parameters that the method needs are
            this method's needs then. All parameters, heads too, get the gradient of sum(w_m L_m).
        indicator_options: hyperparameters of that method.
        normalise: True scales the weights of every step to the sum M (the tasks that have labels in it), so that
            trainings with different K differ in their groups alone; default False, as published.
        seed: of a clustering that draws random numbers.
        task_names: M names for error messages.
    """

    is_indicator = False

    def __init__(
        self,
        n_tasks: int,
        n_groups: int | str = "auto",
        beta: float = 1e-4,
        *,
        scale: Scale = "sum",
        smooth: bool = True,
        space: Space = "linear",
        clustering: str = "exact",
        clustering_options: Mapping[str, Any] | None = None,
        indicator: str = "risk_guided",
        indicator_options: Mapping[str, Any] | None = None,
        normalise: bool = False,
        seed: int = 0,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.normalise = flag("normalise", normalise)
        options = _indicator_options(indicator, indicator_options, {"beta": beta, "scale": scale, "smooth": smooth})
        further = mapping("clustering_options", clustering_options)
        for name in _OUTSIDE:
            if name in further:
                raise UserError(
                    f"`{name}` is no option of a clustering, found it in `clustering_options`. Move it out."
                )
        self._compose(
            build_indicator(indicator, n_tasks, task_names=self.task_names, **options),
            build_grouping(clustering, n_tasks, n_groups, space=space, seed=seed, **further),
        )

    @classmethod
    def of(cls, indicator: Weighting, grouping: Grouping, *, normalise: bool = False) -> Self:
        """GO4Align of parts that are built already, such as anyone's own.

        Args:
            indicator: whose weights are grouped; `is_indicator`.
            grouping: of as many tasks.
            normalise: see the class.

        Raises:
            UserError: weights that cannot be grouped, or another number of tasks.
        """
        if not isinstance(indicator, Weighting) or not indicator.is_indicator:
            raise UserError(
                f"`indicator` must be a Weighting whose weights can be grouped, found {type(indicator).__name__}."
            )
        if not isinstance(grouping, Grouping):
            raise UserError(f"`grouping` must be a Grouping, found {type(grouping).__name__}.")
        if grouping.n_tasks != indicator.n_tasks:
            raise UserError(f"`grouping` must be of {indicator.n_tasks} tasks, found one of {grouping.n_tasks}.")
        made = cls(indicator.n_tasks, normalise=normalise, task_names=indicator.task_names)
        made._compose(indicator, grouping)
        return made

    def _compose(self, indicator: Weighting, grouping: Grouping) -> None:
        self.indicator = indicator
        self.grouping = grouping
        for need in _TAKEN_OVER:
            setattr(self, need, getattr(indicator, need))
        if grouping.needs_gramian:
            self.needs_gradients = True
            self.uses_representation |= grouping.gramian != "stored"

    @property
    def checks_on_host(self) -> bool:
        """As the indicator does; always where the grouping compares gradients, which the host does."""
        return self.grouping.needs_gramian or self.indicator.checks_on_host

    def learn(self, losses: Tensor) -> None:
        """As the indicator does."""
        self.indicator.learn(losses)

    def end_epoch(self) -> None:
        """As `Weighting.end_epoch`, of the indicator too."""
        self.indicator.end_epoch()
        super().end_epoch()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of the indicator."""
        return self.indicator.parameter_groups()

    def _count(self, taken: Tensor) -> None:
        super()._count(taken)
        if self.checks_on_host:  # where its errors name its step
            self.indicator._count(taken)

    def _record(self, losses: Tensor, shared: Shared) -> StepRecord:
        gramian = self._gramian(losses, trainable(shared)) if self.grouping.needs_gramian else None
        seen = losses if self.indicator.needs_gradients else self._mean(losses)
        labels, centres = self.indicator.grouped_by(self.grouping, seen, shared, gramian)
        weights = centres.index_select(0, labels)  # half the time of centres[labels]
        if self.normalise:
            factor = len(weights) / weights.sum()
            weights, centres = factor * weights, factor * centres
        return StepRecord(weights, labels, centres)

    def _mean(self, losses: Tensor) -> Tensor:
        """What an indicator sees that compares no gradients. Where the grouping does, losses are this rank's own."""
        if self.grouping.needs_gramian:
            return self.ranks.mean(losses.detach(), self.tasks, True)
        return losses.detach()

    def _gramian(self, losses: Tensor, shared: Shared) -> Matrix:
        """Of the gradients that the grouping asks for, a backward pass for each task; the graph is kept."""
        check_shared(losses, shared)
        gramian = gradients_by(self.grouping.gramian, losses, shared, [], self.ranks).gramian()
        self._check_finite(gramian.diagonal())
        return gramian

    def _learn_after(self, losses: Tensor) -> None:
        self.indicator._learn_after(losses)


def _indicator_options(indicator: str, chosen: Mapping[str, Any] | None, own: dict[str, Any]) -> dict[str, Any]:
    """The indicator's hyperparameters: the chosen ones, or of the default indicator GO4Align's `own`."""
    further = mapping("indicator_options", chosen)
    defaults = inspect.signature(GO4Align).parameters
    if indicator == defaults["indicator"].default:
        if further:
            raise UserError(
                f"`indicator_options` are hyperparameters of a method as indicator, found {further!r} with "
                f"'{indicator}'. Give `beta`, `scale` and `smooth` directly."
            )
        return own
    for name, value in own.items():
        if value != defaults[name].default:
            raise UserError(f"`{name}` belongs to indicator 'risk_guided', found it with '{indicator}'. Leave it out.")
    return further

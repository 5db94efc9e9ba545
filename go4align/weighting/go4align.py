"""GO4Align: an indicator, grouped.

Shen, Wang, Xiao, van Noord and Worring, "GO4Align: Group Optimization for Multi-Task Alignment", NeurIPS 2024.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from go4align.arrays import to_array, to_tensor
from go4align.checks import choice, mapping
from go4align.errors import UserError
from go4align.grouping import build_grouping
from go4align.indicators import RiskGuided
from go4align.weighting.base import Representation, StepRecord, Weighting
from go4align.weighting.loss_weighting import LossWeighting
from go4align.weighting.methods import PLAIN_METHODS, build


class GO4Align(LossWeighting):
    """Algorithm 1: minimise sum_m w_m L_m, where w_m is the centre of task m's group among the indicators (Eq. 2, 3).

    The weights are not normalised: their sum, and with it the effective learning rate, depends on the losses' spread
    and on K. With `scale="sum"` equal losses give weights 1, and K = M gives sum(w * L) = sum(L).

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
            "spectral"; "sdp"; "given", fixed or random groups; or "none" (see `go4align.grouping`).
        clustering_options: further options of the clustering, such as `labels` of "given".
        indicator: "risk_guided" (default, Eq. 5-7), or the name of a method whose weights are the indicator (Table 7),
            before any clipping; gradients, losses after the step and learnable parameters that the method needs are
            this method's needs then. All parameters, heads too, get the gradient of sum(w_m L_m).
        indicator_options: hyperparameters of that method.
        seed: of a clustering that draws random numbers.
        task_names: M names for error messages.
    """

    def __init__(
        self,
        n_tasks: int,
        n_groups: int | str = "auto",
        beta: float = 1e-4,
        *,
        scale: str = "sum",
        smooth: bool = True,
        space: str = "linear",
        clustering: str = "exact",
        clustering_options: Mapping[str, Any] | None = None,
        indicator: str = "risk_guided",
        indicator_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.indicator = _indicator(self, indicator, indicator_options, beta=beta, scale=scale, smooth=smooth)
        further = mapping("clustering_options", clustering_options)
        for option in ("n_tasks", "n_groups", "space", "seed", "clustering"):
            if option in further:
                raise UserError(
                    f"`{option}` is no option of a clustering, found it in `clustering_options`. Move it out."
                )
        self.grouping = build_grouping(clustering, n_tasks, n_groups, space=space, seed=seed, **further)

    def weigh(
        self,
        losses: Tensor,
        *,
        shared_parameters: Iterable[nn.Parameter] = (),
        representation: Representation | None = None,
    ) -> StepRecord:
        """As `Weighting.weigh`: the indicator's step, then the grouping's."""
        if isinstance(self.indicator, RiskGuided):
            return super().weigh(losses)
        self._checked(losses)
        found = self.indicator.weigh(losses, shared_parameters=shared_parameters, representation=representation)
        labels, centres = self.grouping.group(found.weights)
        self.step += 1
        return StepRecord(centres[labels].to(losses), labels, centres)

    def _weigh(self, losses: Tensor) -> StepRecord:
        assert isinstance(self.indicator, RiskGuided)
        log_gamma = self.indicator.log_gamma(to_array(losses), losses.dtype)
        labels, centres = self.grouping.group_log(log_gamma)
        return StepRecord(to_tensor(centres[labels], losses.dtype), to_tensor(labels), to_tensor(centres))

    def learn(self, losses: Tensor) -> None:
        """As the indicator does."""
        if isinstance(self.indicator, Weighting):
            self.indicator.learn(losses)

    def after_step(self, losses_after: Tensor) -> None:
        """As the indicator does."""
        if isinstance(self.indicator, Weighting):
            self.indicator.after_step(losses_after)

    def end_epoch(self) -> None:
        """As `Weighting.end_epoch`, of the indicator too."""
        super().end_epoch()
        if isinstance(self.indicator, Weighting):
            self.indicator.end_epoch()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of the indicator."""
        return self.indicator.parameter_groups() if isinstance(self.indicator, Weighting) else []

    def named_parameters(self, prefix: str = "", *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of the indicator, which may keep some of its own from the training optimiser."""
        yield from self.indicator.named_parameters(f"{prefix}.indicator" if prefix else "indicator", *args, **kwargs)


def _indicator(
    owner: GO4Align, name: str, chosen: Mapping[str, Any] | None, **risk_guided: Any
) -> RiskGuided | Weighting:
    """Build the indicator; the owner takes over what it needs."""
    further = mapping("indicator_options", chosen)
    if choice("indicator", name, {"risk_guided": None, **PLAIN_METHODS}) is None:
        if further:
            raise UserError(
                f"`indicator_options` are hyperparameters of a method as indicator, found {further!r} with "
                "'risk_guided'. Give `beta`, `scale` and `smooth` directly."
            )
        owner.needs_positive_losses = True
        return RiskGuided(owner.n_tasks, **risk_guided)
    defaults = inspect.signature(RiskGuided).parameters
    for option, value in risk_guided.items():
        if value != defaults[option].default:
            raise UserError(f"`{option}` belongs to indicator 'risk_guided', found it with '{name}'. Leave it out.")
    method = build(PLAIN_METHODS, name, owner.n_tasks, {**further, "task_names": owner.task_names})
    owner.needs_positive_losses, owner.needs_losses_after = method.needs_positive_losses, method.needs_losses_after
    owner.needs_gradients, owner.uses_representation = method.needs_gradients, method.uses_representation
    owner.depends_on_order = method.depends_on_order
    return method

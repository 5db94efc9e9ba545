"""Groups that are given instead of found: the same at every step, or sizes filled at random; and none at all."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from go4align.arrays import Array, like
from go4align.checks import option, real_number, whole_number
from go4align.errors import UserError
from go4align.grouping.base import Grouping, Space
from go4align.randomness import Draws

Permute = Literal["never", "once", "each_step"]
"""When tasks change places: never, before the first step, at every step."""


class Given(Grouping):
    """Groups by given labels; ablations of what the grouping finds (Figure 5 of the paper).

    Args:
        n_tasks: number of tasks M.
        n_groups: "auto" (default) or the number of groups in `labels`.
        labels: M whole numbers from 0 to K-1, each used: the group of each task.
        weights: the groups' weights: "centre" (default), the mean of the members' indicators at every step (dynamic);
            K positive numbers (fixed); or "random", K times a softmax of K standard normal numbers at every step, so
            that the mean over the groups is 1.
        permute: "never" (default); "once": tasks change places at random before the first step; "each_step": at every
            step. The groups' sizes and weights stay.
        space: see `Grouping`; says which mean "centre" is.
        seed: of what is drawn, in a generator of its own whose state is part of `state_dict`.
    """

    labels: Tensor

    def __init__(
        self,
        n_tasks: int,
        n_groups: int | str = "auto",
        *,
        labels: Sequence[int] | None = None,
        weights: str | Sequence[float] = "centre",
        permute: Permute = "never",
        space: Space = "linear",
        seed: int = 0,
    ) -> None:
        super().__init__(n_tasks, n_groups, space=space, seed=seed)
        checked = _checked_labels(labels, n_tasks, self.n_groups)
        self.count = max(checked) + 1
        self.draws = Draws(self.seed)
        self.permute = option("permute", permute, Permute)
        self.register_buffer("labels", torch.tensor(checked))
        if permute == "once":
            self.labels.copy_(self.labels[self._permutation().to(self.labels.device)])
        self.weights = _checked_weights(weights, self.count)

    def narrowed_attributes(self, tasks: list[int]) -> dict[str, Any]:
        """Groups none of whose tasks takes part are left out, with their weights."""
        of_tasks = self.labels[tasks]
        groups = of_tasks.unique()  # ascending
        weights = self.weights if isinstance(self.weights, str) else [self.weights[group] for group in groups.tolist()]
        return {
            **super().narrowed_attributes(tasks),
            "labels": torch.searchsorted(groups, of_tasks),
            "count": len(groups),
            "weights": weights,
        }

    def _group(self, values: Array) -> tuple[Array, Array]:
        labels = like(self.labels, values)
        if self.permute == "each_step":
            labels = labels[like(self._permutation(), values)]
        centres = self._centres(values, labels)
        order = centres.argsort()
        return order.argsort()[labels], centres[order]

    def _centres(self, values: Array, labels: Array) -> Array:
        if self.weights == "centre":
            members = labels == like(torch.arange(self.count), values)[:, None]
            means: Array = (members * values).sum(1) / members.sum(1)
            return means
        if self.weights == "random":
            logits = torch.randn(self.count, generator=self.draws.generator(), dtype=torch.float64, device="cpu")
            weights = self.count * logits.softmax(0)
        else:
            weights = torch.tensor(self.weights, dtype=torch.float64, device="cpu")
        return like(weights.log() if self.logarithmic else weights, values)

    def _permutation(self) -> Tensor:
        return torch.randperm(self.n_tasks, generator=self.draws.generator(), device="cpu")

    def get_extra_state(self) -> dict[str, Any]:
        return self.draws.state()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.draws.load(state)


class NoGrouping(Grouping):
    """Every task is a group of its own, so that its weight is its indicator (an ablation).

    Args:
        n_tasks: number of tasks M.
        n_groups: "auto" (default) or M.
        space: of no effect.
        seed: of no effect.
    """

    def __init__(self, n_tasks: int, n_groups: int | str = "auto", *, space: Space = "linear", seed: int = 0) -> None:
        super().__init__(n_tasks, n_groups, space=space, seed=seed)
        if self.n_groups not in ("auto", n_tasks):
            raise UserError(
                f'clustering="none" makes {n_tasks} groups of {n_tasks} tasks, found n_groups={n_groups!r}. '
                'Leave `n_groups` out, or choose clustering="exact".'
            )

    def _group(self, values: Array) -> tuple[Array, Array]:
        order = values.argsort()
        return order.argsort(), values[order]


def _checked_labels(labels: object, n_tasks: int, n_groups: int | str) -> list[int]:
    if not isinstance(labels, Sequence) or isinstance(labels, str) or len(labels) != n_tasks:
        raise UserError(
            f'clustering="given" needs `labels`, a list of {n_tasks} group numbers (one per task), found {labels!r}.'
        )
    checked = [whole_number("labels", label, 0, n_tasks - 1) for label in labels]
    unused = set(range(max(checked) + 1)) - set(checked)
    if unused:
        raise UserError(f"`labels` must use every group from 0 to {max(checked)}, found none of group {min(unused)}.")
    if n_groups not in ("auto", max(checked) + 1):
        raise UserError(f"`labels` make {max(checked) + 1} groups, found n_groups={n_groups!r}. Leave `n_groups` out.")
    return checked


def _checked_weights(weights: object, n_groups: int) -> str | list[float]:
    if weights in ("centre", "random"):
        return str(weights)
    if isinstance(weights, Sequence) and not isinstance(weights, str) and len(weights) == n_groups:
        return [real_number("weights", weight, above=0.0) for weight in weights]
    raise UserError(
        f'`weights` must be "centre", "random" or {n_groups} positive numbers (one per group), found {weights!r}.'
    )

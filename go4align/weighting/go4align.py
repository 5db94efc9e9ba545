"""GO4Align: a risk-guided indicator, grouped.

Shen, Wang, Xiao, van Noord and Worring, "GO4Align: Group Optimization for Multi-Task Alignment", NeurIPS 2024.
"""

from collections.abc import Iterable

from torch import Tensor

from go4align.arrays import to_array, to_tensor
from go4align.grouping import build_grouping
from go4align.indicators import RiskGuided
from go4align.weighting.base import StepRecord
from go4align.weighting.loss_weighting import LossWeighting


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
        clustering: "exact" (default) or "kmeans_pytorch", the paper's package, which often misses the optimum.
        seed: of a clustering that draws random numbers.
        task_names: M names for error messages.
    """

    needs_positive_losses = True

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
        seed: int = 0,
        task_names: Iterable[str] | None = None,
    ) -> None:
        super().__init__(n_tasks, task_names=task_names)
        self.indicator = RiskGuided(n_tasks, beta, scale=scale, smooth=smooth)
        self.grouping = build_grouping(clustering, n_tasks, n_groups, space=space, seed=seed)

    def _weigh(self, losses: Tensor) -> StepRecord:
        log_gamma = self.indicator.log_gamma(to_array(losses), losses.dtype)
        labels, centres = self.grouping.group_log(log_gamma)
        return StepRecord(to_tensor(centres[labels], losses.dtype), to_tensor(labels), to_tensor(centres))

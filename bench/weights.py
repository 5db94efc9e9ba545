"""Cost of turning losses into weights, without any backward pass: `python bench/weights.py`.

One thread, every candidate measured in turn, many times over, in one run. The figure is the least mean over short
batches of calls, which is what the code costs when nothing else runs; read the ratios, machines differ.
"""

import contextlib
import io
import itertools
import time
from collections.abc import Callable

import kmeans1d
import torch
from kmeans_pytorch import initialize, pairwise_distance

from go4align import GO4Align, build_weighting

ROUNDS, CALLS = 40, 25
SIZES = ((3, 2), (11, 5), (40, 5))


def kmeans_pytorch_silenced(indicator: torch.Tensor, n_groups: int) -> torch.Tensor:
    """The loop of kmeans_pytorch 0.3 without its prints, on the indicator alone; stopped where the package hangs."""
    points = indicator.float()[:, None]
    centres = initialize(points, n_groups)
    for _ in range(100):
        labels = pairwise_distance(points, centres).argmin(dim=1)
        previous = centres.clone()
        for k in range(n_groups):
            selected = torch.nonzero(labels == k).squeeze()
            centres[k] = torch.index_select(points, 0, selected).mean(dim=0)
        shift = (centres - previous).pow(2).sum(dim=1).sqrt().sum()
        if shift**2 < 1e-4 or shift.isnan():
            break
    return centres[labels]


def least_microseconds(candidates: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Measure all candidates in turn, ROUNDS times."""
    least = dict.fromkeys(candidates, float("inf"))
    for _ in range(ROUNDS):
        for name, call in candidates.items():
            call()
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            least[name] = min(least[name], (time.perf_counter() - start) / CALLS)
    return {name: 1e6 * seconds for name, seconds in least.items()}


def at_the_start(n_tasks: int) -> torch.Tensor:
    """Losses that spread over two orders of magnitude."""
    return torch.exp(1.5 * torch.randn(n_tasks))


def in_training(n_tasks: int) -> torch.Tensor:
    """Losses at a thousandth of those, the half of them as good as equal: groups have merged."""
    losses = 1e-3 * at_the_start(n_tasks)
    losses[: (n_tasks + 1) // 2] = 1e-3 * (1 + 1e-6 * torch.rand((n_tasks + 1) // 2))
    return losses


WHEN = {"at the start": (at_the_start, 0.0), "in training": (in_training, 100.0)}
"""Losses, and the sum over past steps of beta times them, as smoothness has it: large enough to collapse q."""


def candidates(n_tasks: int, n_groups: int, when: str) -> dict[str, Callable[[], object]]:
    """The calls to compare; beta 0 keeps their cost constant once q is what it is."""
    losses_of, collapse = WHEN[when]
    losses = losses_of(n_tasks)
    ours = GO4Align(n_tasks, n_groups, beta=0.0)
    log, auto = GO4Align(n_tasks, n_groups, 0.0, space="log"), GO4Align(n_tasks, "auto", 0.0)
    equal = build_weighting("ls", n_tasks)
    for weighting in (ours, log, auto):
        state = {key: value.clone() for key, value in weighting.state_dict().items()}
        log_q = next(key for key in state if key.endswith("log_q"))
        state[log_q] = torch.log_softmax(-collapse * torch.linspace(0, 1, n_tasks, dtype=state[log_q].dtype), 0)
        weighting.load_state_dict(state)
    indicator = losses.sum() / losses / n_tasks
    values = indicator.tolist()
    return {
        "go4align": lambda: ours.weigh(losses),
        "go4align, space=log": lambda: log.weigh(losses),
        "go4align, n_groups=auto": lambda: auto.weigh(losses),
        "ls": lambda: equal.weigh(losses),
        "sum of the losses": losses.sum,
        "kmeans1d alone": lambda: kmeans1d.cluster(values, n_groups),
        "kmeans_pytorch silenced, alone": lambda: kmeans_pytorch_silenced(indicator, n_groups),
    }


def main() -> None:
    """Print one table per size."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for (n_tasks, n_groups), when in itertools.product(SIZES, WHEN):
        with contextlib.redirect_stdout(io.StringIO()):
            measured = least_microseconds(candidates(n_tasks, n_groups, when))
        ours, equal = measured["go4align"], measured["ls"]
        print(f"\nM = {n_tasks}, K = {n_groups}, {when}; go4align costs {ours - equal:.0f} us a step more than ls")
        print(f"  {'losses to weights':32}{'us':>8}{'of go4align':>14}")
        for name, microseconds in measured.items():
            print(f"  {name:32}{microseconds:8.1f}{microseconds / ours:13.2f}x")


if __name__ == "__main__":
    main()

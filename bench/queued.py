"""Operations that a step of each weighting queues on a device, beyond the network's: `python bench/queued.py`.

A launch costs a GPU's host 5 to 10 us whatever its size, so on a fast GPU their number is a step's price. They are
counted by a dispatch mode on torch's meta device, which takes a GPU's way and computes nothing: every operation below
autograd whose result is on the device, but for views and allocations; an operator that is not torch's own would hide
what it queues, and is an error. The step is
`Weighting.backward`, with `after_step` where the method needs it, on float32 losses of one parameter; what that
parameter's own backward pass queues is left out. GO4Align is counted without its kernels and with them, where stand-ins
queue one operation for each launch, so that these counts are of a GPU with Triton.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from go4align import Weighting, available_methods, build_weighting
from go4align.kernels import MOST_TASKS

DEVICE = "meta"
SIZES = (3, 11, 40, 128)
GROUPS: tuple[int | str, ...] = (2, 5, 11, 39, 40, 127, 128, "auto")
NOTHING = ("empty", "new_empty", "empty_like", "empty_strided", "_unsafe_view", "lift_fresh")
"""Operations that queue no work, beside views."""


class Queued(TorchDispatchMode):
    """Counts the operations that are queued while it is on.

    Attributes:
        counts: how often each operation was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if operation.namespace not in ("aten", "prim"):
            raise RuntimeError(f"{operation} would hide the operations that it queues.")
        result = operation(*args, **(kwargs or {}))
        there = any(isinstance(leaf, Tensor) and leaf.device.type == DEVICE for leaf in tree_leaves(result))
        name = operation.overloadpacket.__name__
        if there and not operation.is_view and name not in NOTHING:
            self.counts[name] += 1
        return result

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def queued_by_step(weighting: Weighting) -> Counter[str]:
    """The operations of one step, after a first one."""
    weighting.to(DEVICE)
    weights = torch.ones(weighting.n_tasks, device=DEVICE)
    for _ in range(2):
        losses = torch.ones(weighting.n_tasks, device=DEVICE, requires_grad=True) * 1.0
        with Queued() as queued:
            weighting.backward(losses)
            if weighting.needs_losses_after:
                weighting.after_step(losses.detach())
    losses = torch.ones(weighting.n_tasks, device=DEVICE, requires_grad=True) * 1.0
    with Queued() as network:
        losses.backward(weights)
    return queued.counts - network.counts


@contextmanager
def kernels() -> Iterator[None]:
    """As where Triton is at hand."""

    def solve(values: Tensor, n_groups: int | str, logarithmic: bool) -> tuple[Tensor, Tensor]:
        labels = torch.empty_like(values, dtype=torch.int64)
        return labels.zero_(), values.new_empty(len(values) if n_groups == "auto" else int(n_groups))

    def step(losses: Tensor, log_q: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
        return torch.empty_like(log_q).zero_(), torch.empty_like(log_q)

    grouping = sys.modules["go4align.grouping.exact_kmeans"]  # whose name in the package is the function's
    with (
        patch.object(grouping, "_device_solver", lambda *given: solve),
        patch("go4align.weighting.risk_guided._kernel", lambda *given: step),
    ):
        yield


def variants() -> dict[str, dict[int, Weighting]]:
    """Every method that looks at losses alone, by its name and the number of tasks."""
    found: dict[str, dict[int, Weighting]] = {}
    for name in available_methods():
        if not build_weighting(name, 3).needs_gradients and name != "go4align":
            found[name] = {size: build_weighting(name, size) for size in SIZES}
    for groups in GROUPS:
        sizes = [size for size in SIZES if groups == "auto" or int(groups) <= size]
        found[f"go4align, K = {groups}"] = {size: build_weighting("go4align", size, n_groups=groups) for size in sizes}
    return found


def print_row(name: str, weightings: Mapping[int, Weighting]) -> None:
    """The counts of one method, `-` where it is not counted."""
    counts = {size: str(queued_by_step(weighting).total()) for size, weighting in weightings.items()}
    print(f"{name:26}" + "".join(f"{counts.get(size, '-'):>9}" for size in SIZES))


def main() -> None:
    """Print the table."""
    print("operations queued per step" + "".join(f"{f'M = {size}':>9}" for size in SIZES))
    for name, weightings in variants().items():
        print_row(name, weightings)
    with kernels():
        for groups in (5, "auto"):
            sizes = [size for size in SIZES if size <= MOST_TASKS and (groups == "auto" or groups <= size)]
            weightings = {size: build_weighting("go4align", size, n_groups=groups) for size in sizes}
            print_row(f"go4align, K = {groups}, kernels", weightings)


if __name__ == "__main__":
    main()

"""Steps on a small network in each of two processes, or in one with the batches of both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from go4align import UserError, Weighting, available_methods, build_weighting, hyperparameters, synchronise

SIZE = 2
TASKS = 3
STEPS = 4
BATCH = 6
"""Of both ranks together."""


class Net(nn.Module):
    """An encoder and a head for each task; `told` is what the encoder found last."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(4, 1) for _ in range(TASKS))

    def forward(self, inputs: Tensor) -> list[Tensor]:
        self.told = self.encoder(inputs)
        return [head(self.told) for head in self.heads]


class Case(NamedTuple):
    """One training: a method, and what is particular about it; all tasks have labels before step `labelled_from`."""

    method: str
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    wrapped: bool = False
    labelled: list[bool] | None = None
    labelled_from: int = 0


METHODS = available_methods()
FORMS = [name for name in METHODS if "gramian" in hyperparameters(name)]
CASES = {
    **{name: Case(name, {"seed": 1} if "seed" in hyperparameters(name) else {}) for name in METHODS},
    **{f"{name} in DDP": Case(name, wrapped=True) for name in METHODS if build_weighting(name, 2).in_one_pass},
    **{f"{name} {form}": Case(name, {"gramian": form}) for name in FORMS for form in ("layerwise", "representation")},
    "rlw without a seed": Case("rlw"),
    "pcgrad without a seed": Case("pcgrad"),
    "nash_mtl every third": Case("nash_mtl", {"update_every": 3}),
    "go4align of mgda": Case("go4align", {"indicator": "mgda"}),
    "go4align of mgda in DDP": Case("go4align", {"indicator": "mgda"}, wrapped=True),
    "go4align in part": Case("go4align", labelled=[True, False, True]),
    "go4align in part in DDP": Case("go4align", wrapped=True, labelled=[True, False, True], labelled_from=2),
    "mgda in part": Case("mgda", labelled=[True, False, True]),
    "go4align by gradients": Case("go4align", {"clustering": "gradient_affinity"}),
    "go4align by gradients in DDP": Case("go4align", {"clustering": "gradient_affinity"}, wrapped=True),
    "torchjd.config": Case("torchjd.config"),
    "torchjd.excess_mtl": Case("torchjd.excess_mtl"),
    "torchjd.random without a seed": Case("torchjd.random"),
    "uw of no task": Case("uw", labelled=[False, False, False]),
}


def batches(rank: int | None) -> list[tuple[Tensor, Tensor]]:
    """A rank's part of every batch, or all of it."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(STEPS, BATCH, 5, generator=generator, dtype=torch.float64)
    targets = torch.randn(STEPS, BATCH, TASKS, generator=generator, dtype=torch.float64) * torch.tensor([1, 3, 10])
    part = slice(None) if rank is None else slice(rank * BATCH // SIZE, (rank + 1) * BATCH // SIZE)
    return [(x[part], y[part]) for x, y in zip(inputs, targets, strict=True)]


def losses_of(outputs: list[Tensor], targets: Tensor) -> Tensor:
    return torch.stack([(out[:, 0] - y).square().mean() for out, y in zip(outputs, targets.T, strict=True)])


def prepared(case: Case, rank: int | None) -> tuple[Net, nn.Module, Weighting]:
    """The network, what is called in its place, and the weighting; of other numbers on every rank but the first."""
    torch.manual_seed(rank or 0)
    net = Net().double()
    weighting = build_weighting(case.method, TASKS, **case.options)
    model: nn.Module = net
    if rank is not None:
        model = DistributedDataParallel(net, find_unused_parameters=case.labelled is not None) if case.wrapped else net
        synchronise(weighting, model)
    return net, model, weighting


def train(case: Case, rank: int | None = None) -> dict[str, Any]:
    """Train on a rank's part, or on all; returns what each step decided, the parameters and the states."""
    net, model, weighting = prepared(case, rank)
    optimizer = torch.optim.Adam([{"params": net.parameters()}, *weighting.parameter_groups()], lr=0.02)
    labelled = None if case.labelled is None else torch.tensor(case.labelled)
    decided = []
    for number, (inputs, targets) in enumerate(batches(rank)):
        chosen = labelled if number >= case.labelled_from else None
        optimizer.zero_grad()
        losses = losses_of(model(inputs), targets)
        told = net.told if weighting.uses_representation else None
        shared = list(net.encoder.parameters())
        record = weighting.backward(losses, shared_parameters=shared, representation=told, labelled=chosen)
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        if weighting.needs_losses_after:
            with torch.no_grad():
                weighting.after_step(losses_of(model(inputs), targets), labelled=chosen)
        decided.append((record.weights, record.labels, record.centres))
    weighting.end_epoch()
    return {"decided": decided, "parameters": dict(net.state_dict()), "state": weighting.state_dict()}


def refused(what: Callable[[], object]) -> str:
    try:
        what()
    except UserError as error:
        return str(error)
    return "nothing was refused"


def step(
    case: Case,
    rank: int,
    spoil: Callable[[Tensor], Tensor],
    labelled: list[bool] | None = None,
    steep_head: bool = False,
) -> str:
    """The error of a step whose losses something is done to, and whether it has left something behind."""
    net, model, weighting = prepared(case, rank)
    inputs, targets = batches(rank)[0]
    if steep_head:
        cast("Tensor", net.heads[2].bias).register_hook(lambda gradient: gradient * torch.inf)
    chosen = None if labelled is None else torch.tensor(labelled)

    def take(losses: Tensor) -> None:
        weighting.backward(losses, shared_parameters=list(net.encoder.parameters()), labelled=chosen)

    found = refused(lambda: take(spoil(losses_of(model(inputs), targets))))
    if int(weighting.step) or any(parameter.grad is not None for parameter in net.parameters()):
        found += " BUT STATE OR GRADIENTS HAVE CHANGED"
    return found


class Steep(torch.autograd.Function):
    """The identity, whose gradient is not finite."""

    @staticmethod
    def forward(ctx: Any, losses: Tensor) -> Tensor:
        return losses.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * torch.inf


def far_apart_in_half(losses: Tensor) -> Tensor:
    """Losses of values whose weights float16 does not hold."""
    return (torch.tensor([1e-4, 1.0, 6e4]) + losses - losses.detach()).half()


def errors(rank: int) -> dict[str, str]:
    """What is refused, by what was done; where something is done on the second rank alone, the first must tell, too."""

    def second(spoil: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        return spoil if rank else lambda losses: losses

    cases = {name: CASES[name] for name in ("go4align", "mgda", "grad_drop", "go4align in DDP", "mgda layerwise")}
    found = {f"loss {name}": step(case, rank, second(lambda x: x * torch.nan)) for name, case in cases.items()}
    found |= {f"gradient {name}": step(case, rank, second(Steep.apply)) for name, case in cases.items()}
    found["head mgda"] = step(CASES["mgda"], rank, second(lambda x: x), steep_head=bool(rank))
    found["detached"] = step(CASES["go4align"], rank, second(lambda x: x.detach()))
    found["too few"] = step(CASES["mgda"], rank, second(lambda x: x[:2]))
    found["narrow in DDP"] = step(CASES["famo in DDP"], rank, far_apart_in_half)
    found["narrow"] = step(CASES["famo"], rank, far_apart_in_half)
    found["labels"] = step(CASES["go4align"], rank, lambda x: x, [True, rank == 0, True])
    found["labels of all and some"] = step(CASES["mgda"], rank, lambda x: x, None if rank else [True, False, True])
    found["no labels"] = step(CASES["mgda"], rank, lambda x: x, [rank == 0] * 3)
    found["alone"] = refused(lambda: build_weighting("ls", TASKS).backward(torch.ones(TASKS, requires_grad=True)))
    wrapped = DistributedDataParallel(Net())
    found["wrapped"] = refused(lambda: synchronise(build_weighting("mgda", TASKS), wrapped))
    return found


def run(rank: int, folder: str) -> None:
    """All cases, in one of the processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=SIZE)
    found = {name: train(case, rank) for name, case in CASES.items()}
    torch.save({"trained": found, "errors": errors(rank)}, Path(folder) / f"rank{rank}.pt")
    dist.destroy_process_group()

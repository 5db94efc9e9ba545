"""Batches in which some tasks have no label: every registered method sees the problem of the others alone."""

import copy
from typing import Any

import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from go4align import UserError, Weighting, available_methods
from go4align.benchmarks.toy import Toy
from go4align.training import Trainer, TrainingOptions, monitor_of
from go4align.weighting.registry import build_indicator, build_weighting

METHODS = (*available_methods(), "risk_guided")
each_method = pytest.mark.parametrize("name", METHODS)
ABSENT = (1, 4)
N_TASKS = 6
CLUSTERINGS: dict[str, dict[str, Any]] = {
    "exact": {"n_groups": 3},
    "kmeans_pytorch": {"n_groups": 4},
    "spectral": {"n_groups": 3},
    "given": {"clustering_options": {"labels": [0, 1, 0, 2, 1, 2], "weights": [1.0, 2.0, 3.0]}},
    "none": {},
}


def build(name: str, n_tasks: int = N_TASKS, **options: Any) -> Weighting:
    seed = {"seed": 0} if name in ("rlw", "pcgrad", "grad_drop") else {}
    builder = build_weighting if name in available_methods() else build_indicator
    return here(builder(name, n_tasks, **seed, **options))


def mask(*absent: int, n_tasks: int = N_TASKS) -> Tensor:
    return torch.tensor([task not in absent for task in range(n_tasks)], device="cpu")


class Net(nn.Module):
    """A shared layer, and a head for each task."""

    def __init__(self, n_tasks: int = N_TASKS) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.shared = nn.Parameter(here(torch.randn(5, generator=generator, dtype=torch.float64, device="cpu")))
        self.heads = nn.ParameterList(
            nn.Parameter(here(torch.randn(5, generator=generator, dtype=torch.float64, device="cpu")))
            for _ in range(n_tasks)
        )

    def losses(self, tasks: list[int], bad: tuple[int, ...] = ()) -> Tensor:
        """Positive scalars, stacked; those of `bad` tasks are not finite, with gradients that are not."""
        values = [(self.shared * self.heads[task]).square().sum() + 0.1 * (task + 1) for task in tasks]
        return torch.stack([v * torch.nan if t in bad else v for v, t in zip(values, tasks, strict=True)])


def warmed(name: str, **options: Any) -> Weighting:
    """A method that has taken some steps, so that it has a state."""
    weighting = build(name, **options)
    for scale in (1.0, 0.9, 0.7):
        net = Net()
        weighting.backward(scale * net.losses(list(range(N_TASKS))), shared_parameters=[net.shared])
        if weighting.needs_losses_after:
            weighting.after_step(0.8 * scale * net.losses(list(range(N_TASKS))).detach())
    return weighting


def per_task(weighting: nn.Module) -> dict[str, Tensor]:
    """Everything that is kept for the absent tasks."""
    found = {}
    for prefix, part in weighting.named_modules():
        for name, dimension in getattr(part, "per_task", {}).items():
            buffer = getattr(part, name)
            found[f"{prefix}.{name}"] = buffer.index_select(dimension, here(torch.tensor(ABSENT))).clone()
    for name, parameter in weighting.named_parameters():
        found[name] = parameter.detach()[list(ABSENT)].clone()
    return found


@each_method
def test_an_absent_task_has_weight_zero_no_gradient_and_an_unchanged_state_whatever_its_loss(name: str) -> None:
    weighting = warmed(name)
    kept = per_task(weighting)
    net = Net()
    losses = net.losses(list(range(N_TASKS)), bad=ABSENT)
    record = weighting.backward(losses, shared_parameters=[net.shared], labelled=mask(*ABSENT))
    assert record.weights[list(ABSENT)].tolist() == [0.0, 0.0]
    assert record.weights.isfinite().all()
    if record.labels is not None:
        assert record.labels[list(ABSENT)].tolist() == [-1, -1]
        assert sorted(set(record.labels.tolist()) - {-1}) == list(range(len(record.centres)))
    assert net.shared.grad is not None and net.shared.grad.isfinite().all()
    for task in ABSENT:
        grad = net.heads[task].grad
        assert grad is None or not grad.any()
    if weighting.needs_losses_after:
        weighting.after_step(net.losses(list(range(N_TASKS)), bad=ABSENT).detach(), labelled=mask(*ABSENT))
    for key, before in kept.items():
        assert torch.equal(per_task(weighting)[key], before), key
    assert weighting.n_tasks == N_TASKS and len(weighting.task_names) == N_TASKS


@each_method
def test_the_others_get_what_the_method_gives_them_alone(name: str) -> None:
    """From a fresh start, where the states of both agree."""
    present = [task for task in range(N_TASKS) if task not in ABSENT]
    options = {"task": 2} if name == "stl" else {}
    whole, alone = build(name, **options), build(name, len(present), **({"task": 1} if name == "stl" else {}))
    for _ in range(3):
        one, other = Net(), Net()
        losses = one.losses(list(range(N_TASKS)), bad=ABSENT)
        given_all = whole.backward(losses, shared_parameters=[one.shared], labelled=mask(*ABSENT))
        given_some = alone.backward(other.losses(present), shared_parameters=[other.shared])
        torch.testing.assert_close(given_all.weights[present], given_some.weights, rtol=1e-12, atol=1e-300)
        torch.testing.assert_close(one.shared.grad, other.shared.grad, rtol=1e-10, atol=1e-12)
        for task in present:
            torch.testing.assert_close(one.heads[task].grad, other.heads[task].grad, rtol=1e-10, atol=1e-12)
        if whole.needs_losses_after:
            whole.after_step(0.5 * one.losses(list(range(N_TASKS))).detach(), labelled=mask(*ABSENT))
            alone.after_step(0.5 * other.losses(present).detach())


@each_method
def test_all_labelled_is_the_same_as_saying_nothing_bit_for_bit(name: str) -> None:
    one, other = warmed(name), warmed(name)
    nets = Net(), Net()
    tasks = list(range(N_TASKS))
    first = one.backward(nets[0].losses(tasks), shared_parameters=[nets[0].shared])
    second = other.backward(nets[1].losses(tasks), shared_parameters=[nets[1].shared], labelled=mask())
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(nets[0].shared.grad, nets[1].shared.grad)


@each_method
def test_with_no_label_at_all_nothing_happens(name: str) -> None:
    weighting = warmed(name)
    before = copy.deepcopy(weighting.state_dict())
    net = Net()
    losses = net.losses(list(range(N_TASKS)), bad=tuple(range(N_TASKS)))
    none = mask(*range(N_TASKS))
    record = weighting.backward(losses, shared_parameters=[net.shared], labelled=none)
    if weighting.needs_losses_after:
        weighting.after_step(losses.detach(), labelled=none)
    assert not record.weights.any()
    assert net.shared.grad is None
    torch.testing.assert_close(tensors(weighting.state_dict()), tensors(before), rtol=0, atol=0)


def tensors(state: Any) -> list[Tensor]:
    """All that a state holds, in order."""
    if isinstance(state, dict):
        return [tensor for key in sorted(state) for tensor in tensors(state[key])]
    return [state] if isinstance(state, Tensor) else []


@each_method
def test_a_labelled_loss_that_is_not_a_number_stays_an_error_and_changes_nothing(name: str) -> None:
    weighting = warmed(name)
    if not weighting.checks_on_host:
        pytest.skip("told at the end of the epoch, see test_contract")
    before = copy.deepcopy(weighting.state_dict())
    net = Net()
    with pytest.raises(UserError, match="'task 3' must be finite"):
        weighting.backward(
            net.losses(list(range(N_TASKS)), bad=(3,)), shared_parameters=[net.shared], labelled=mask(*ABSENT)
        )
    for key, value in weighting.state_dict().items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(value, before[key], rtol=1e-14, atol=0)
    assert weighting.n_tasks == N_TASKS


@pytest.mark.parametrize("clustering", CLUSTERINGS)
def test_every_clustering_groups_the_labelled_tasks_alone(clustering: str) -> None:
    weighting = build("go4align", clustering=clustering, **CLUSTERINGS[clustering])
    for absent in ((0, 1, 2, 4), ABSENT, (5,), ()):
        net = Net()
        losses = net.losses(list(range(N_TASKS)))
        record = weighting.backward(losses, shared_parameters=[net.shared], labelled=mask(*absent))
        present = [task for task in range(N_TASKS) if task not in absent]
        assert (record.labels[present] >= 0).all()
        assert len(record.centres) <= len(present)
        torch.testing.assert_close(record.weights[present], record.centres[record.labels[present]])


@pytest.mark.parametrize("indicator", ["uw", "famo", "mgda", "nash_mtl", "dwa"])
def test_other_indicators_too(indicator: str) -> None:
    weighting = warmed("go4align", indicator=indicator, n_groups=2)
    kept = per_task(weighting)
    net = Net()
    losses = net.losses(list(range(N_TASKS)), bad=ABSENT)
    record = weighting.backward(losses, shared_parameters=[net.shared], labelled=mask(*ABSENT))
    assert record.labels[list(ABSENT)].tolist() == [-1, -1]
    for key, before in kept.items():
        assert torch.equal(per_task(weighting)[key], before), key


def test_what_an_optimiser_learns_of_absent_tasks_stays_although_it_has_momentum() -> None:
    weighting = build("uw")
    optimizer = torch.optim.Adam(weighting.parameter_groups())
    for absent in ((), (), ABSENT):
        net = Net()
        optimizer.zero_grad()
        before = per_task(weighting)
        labelled = mask(*absent)
        weighting.backward(net.losses(list(range(N_TASKS))), shared_parameters=[net.shared], labelled=labelled)
        with weighting.absent_kept(labelled):
            optimizer.step()
        same = torch.equal(per_task(weighting)["scalarizer.log_var"], before["scalarizer.log_var"])
        assert same == bool(absent)


@settings(deadline=None, max_examples=60)
@given(absent=st.sets(st.integers(0, 5), max_size=5), beta=st.sampled_from([0.0, 1e-3, 0.3]))
def test_q_of_absent_tasks_stays_and_all_of_it_sums_to_one(absent: set[int], beta: float) -> None:
    weighting = warmed("risk_guided", beta=beta)
    before = weighting.log_q.exp()
    losses = Net().losses(list(range(N_TASKS))).detach()
    weighting.weigh(losses, labelled=mask(*absent))
    after = weighting.log_q.exp()
    assert float(after.sum()) == pytest.approx(1.0, rel=1e-12)
    kept = sorted(absent)
    assert torch.equal(after[kept], before[kept])


@pytest.mark.parametrize(
    ("labelled", "found"),
    [([True] * 6, "list"), (torch.ones(6), "torch.float32"), (torch.ones(5, dtype=torch.bool), r"\(5,\)")],
)
def test_anything_but_a_bool_for_each_task_is_refused(labelled: Any, found: str) -> None:
    net = Net()
    with pytest.raises(UserError, match=rf"`labelled` must be a bool tensor of shape \(6,\).*found .*{found}"):
        build("ls").backward(net.losses(list(range(N_TASKS))), shared_parameters=[net.shared], labelled=labelled)


@pytest.mark.parametrize("method", ["ls", "uw", "dwa", "famo", "nash_mtl", "go4align"])
def test_a_network_learns_from_samples_that_are_labelled_in_part(method: str) -> None:
    benchmark = Toy(missing=0.9, n_tasks=4)
    options = TrainingOptions(epochs=4, batch_size=8, lr=1e-2, schedule="constant")
    trainer = Trainer(
        benchmark,
        lambda: build_weighting(method, n_tasks=4),
        options,
        seed=0,
        monitor=monitor_of("loss", benchmark),
    )
    records = list(trainer.epochs())
    assert records[-1].val.losses[-1] < records[0].val.losses[-1]
    train = records[-1].train
    assert all(loss > 0 for loss in train.losses)
    if train.groups is not None:
        assert min(train.groups) >= 0
        assert all(share == 1 for task, row in enumerate(train.co_assignment) for share in [row[task]])

"""Batches in which some tasks have no label, beyond what the contract asks of every method (test_contract)."""

from typing import Any

import pytest
import torch
from devices import here
from hypothesis import given, settings
from hypothesis import strategies as st

from go4align import UserError, build_weighting
from go4align.benchmarks.toy import Toy
from go4align.testing.labelled import ABSENT, ALL, N_TASKS, kept_of, mask, warmed
from go4align.testing.networks import Heads
from go4align.training import Trainer, TrainingOptions, monitor_of
from go4align.weighting.registry import build_indicator


@pytest.mark.parametrize("clustering", ["exact", "kmeans_pytorch", "spectral", "gradient_affinity", "none"])
def test_a_group_has_its_members_weight_however_many_tasks_are_there(clustering: str) -> None:
    weighting = here(build_weighting("go4align", N_TASKS, clustering=clustering))
    for absent in ((0, 1, 2, 4), ABSENT, (5,), ()):
        net = Heads(N_TASKS)
        record = weighting.backward(net.losses(ALL), shared_parameters=[net.shared], labelled=mask(*absent))
        present = [task for task in ALL if task not in absent]
        assert record.labels is not None and record.centres is not None
        torch.testing.assert_close(record.weights[present], record.centres[record.labels[present]])


def test_what_an_optimiser_learns_of_absent_tasks_stays_although_it_has_momentum() -> None:
    weighting = here(build_weighting("uw", N_TASKS))
    optimizer = torch.optim.Adam(weighting.parameter_groups())
    for absent in ((), (), ABSENT):
        net = Heads(N_TASKS)
        optimizer.zero_grad()
        before = kept_of(weighting)
        labelled = mask(*absent)
        weighting.backward(net.losses(ALL), shared_parameters=[net.shared], labelled=labelled)
        with weighting.absent_kept(labelled):
            optimizer.step()
        same = torch.equal(kept_of(weighting)["scalarizer.log_var"], before["scalarizer.log_var"])
        assert same == bool(absent)


@settings(deadline=None, max_examples=60)
@given(absent=st.sets(st.integers(0, 5), max_size=5), beta=st.sampled_from([0.0, 1e-3, 0.3]))
def test_q_of_absent_tasks_stays_and_all_of_it_sums_to_one(absent: set[int], beta: float) -> None:
    weighting = warmed(lambda n_tasks: here(build_indicator("risk_guided", n_tasks, beta=beta)))
    before = weighting.log_q.exp()
    losses = Heads(N_TASKS).losses(ALL).detach()
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
    net = Heads(N_TASKS)
    with pytest.raises(UserError, match=rf"`labelled` must be a bool tensor of shape \(6,\).*found .*{found}"):
        here(build_weighting("ls", N_TASKS)).backward(
            net.losses(ALL), shared_parameters=[net.shared], labelled=labelled
        )


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

"""Two processes take the step of one with both batches, whatever the method; what is bad on one is an error on both."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch import nn
from two_ranks import CASES, SIZE, run, train

from go4align import UserError, build_weighting, synchronise

pytestmark = pytest.mark.cpu_only("processes meet by gloo, on a CPU")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process found; they are started once."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(run, (str(folder),), SIZE)
    return [torch.load(Path(folder) / f"rank{rank}.pt") for rank in range(SIZE)]


@pytest.mark.parametrize("name", CASES)
def test_both_decide_alike_and_take_the_step_of_the_joint_batch(name: str, ranks: list[dict[str, Any]]) -> None:
    first, second = (found["trained"][name] for found in ranks)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first, train(CASES[name]), rtol=1e-9, atol=1e-9)


REFUSED = {
    "loss go4align": "'task 0' must be finite and not negative, found nan at step 1",
    "loss go4align in DDP": "'task 0' must be finite and not negative, found nan at step 1",
    "loss mgda": "'task 0' must be finite, found nan at step 1",
    "loss mgda layerwise": "'task 0' must be finite, found nan at step 1",
    "loss grad_drop": "'task 0' must be finite, found nan at step 1",
    "gradient go4align": "gradient of the weighted losses must be finite",
    "gradient go4align in DDP": "gradient of the weighted losses must be finite",
    "gradient mgda": "gradient of 'task 0' must be finite",
    "gradient mgda layerwise": "gradient of 'task 0' must be finite",
    "gradient grad_drop": "gradient of 'task 0' must be finite",
    "head mgda": "gradient of the weighted losses must be finite",
    "labels": "same tasks on all ranks, .* found the tasks [0, 1, 2]; [0, 2]. Give",
    "labels of all and some": "same tasks on all ranks, .* found the tasks [0, 2]; [0, 1, 2]. Give",
    "no labels": "same tasks on all ranks, .* found the tasks [0, 1, 2]; []. Give",
    "narrow in DDP": "hooks see one backward pass; found weights that torch.float16 does not hold",
    "alone": "found 2 processes and a weighting that sees the losses of one. Call go4align.synchronise",
    "wrapped": "Train the module itself: synchronise(weighting, ddp.module)",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_bad_on_one_is_the_same_error_on_both_and_changes_nothing(
    what: str, ranks: list[dict[str, Any]]
) -> None:
    first, second = (found["errors"][what] for found in ranks)
    assert first == second
    assert "CHANGED" not in first
    at = 0
    for part in REFUSED[what].split(".*"):
        assert part in first[at:], first
        at = first.index(part, at)


@pytest.mark.parametrize(
    ("what", "own"), [("detached", "`losses` must be attached to the graph"), ("too few", "must have shape (3,)")]
)
def test_what_one_refuses_before_it_has_exchanged_anything_none_takes(
    what: str, own: str, ranks: list[dict[str, Any]]
) -> None:
    first, second = (found["errors"][what] for found in ranks)
    assert first == "All ranks must take a step, found one that has refused it. See the error of that process."
    assert own in second and "CHANGED" not in second


def test_weights_that_the_losses_dtype_does_not_hold_need_no_hooks(ranks: list[dict[str, Any]]) -> None:
    assert all(found["errors"]["narrow"].startswith("nothing was refused") for found in ranks)


def test_without_a_process_group_nothing_is_synchronised() -> None:
    with pytest.raises(UserError, match=r"found no process group\. Call torch\.distributed\.init_process_group"):
        synchronise(build_weighting("ls", 2), nn.Linear(2, 2))


def test_one_process_in_a_group_is_as_without(tmp_path: Path) -> None:
    distributed = torch.distributed
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        theta = nn.Parameter(torch.ones(2))
        weighting = synchronise(build_weighting("go4align", 2), nn.ParameterList([theta]))
        record = copy.deepcopy(weighting).backward(theta * torch.tensor([1.0, 2.0]))
    finally:
        distributed.destroy_process_group()
    expected = build_weighting("go4align", 2).backward(torch.tensor([1.0, 2.0], requires_grad=True))
    torch.testing.assert_close(record.weights, expected.weights, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["fully_shard", "FullyShardedDataParallel"])
@pytest.mark.filterwarnings("ignore:FSDP is switching to use")
def test_sharded_parameters_are_refused(name: str, tmp_path: Path) -> None:
    from torch.distributed import fsdp
    from torch.distributed.device_mesh import init_device_mesh

    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        if name == "fully_shard":
            model: Any = fsdp.fully_shard(nn.Linear(2, 2), mesh=init_device_mesh("cpu", (1,)))
        else:
            model = fsdp.FullyShardedDataParallel(nn.Linear(2, 2), device_id=torch.device("cpu"))
        with pytest.raises(UserError, match=r"must be whole on every rank, found parameters that are sharded"):
            synchronise(build_weighting("ls", 2), model)
    finally:
        torch.distributed.destroy_process_group()

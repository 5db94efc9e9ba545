"""docs/your-loop.md as it is written: every block runs behind the first one, and does what the page says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._functorch import config

from go4align import build_weighting

PAGE = (Path(__file__).parents[2] / "docs" / "your-loop.md").read_text(encoding="utf-8")
FIRST, *OTHERS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
MARKS = (
    "bfloat16",
    "GradScaler(",
    "checkpoint(",
    "clip_grad_norm_",
    "torch.compile",
    "DistributedDataParallel",
    "lightning",
)

pytestmark = [
    pytest.mark.cpu_only("the page's tensors are made on a CPU"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own, while it compiles
]


def block(mark: str) -> str:
    [found] = [text for text in OTHERS if mark in text]
    return found


@pytest.fixture(autouse=True)
def donated() -> Iterator[None]:
    """Whether compiled backward passes donate buffers, put back."""
    before = config.donated_buffer
    yield
    config.donated_buffer = before


@pytest.fixture
def names() -> dict[str, Any]:
    """What the first block leaves behind."""
    found: dict[str, Any] = {}
    exec(FIRST, found)
    return found


def test_every_block_is_known() -> None:
    assert sorted(map(block, MARKS)) == sorted(OTHERS)


def test_the_first_block_trains(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert names["weighting"].step == 20 and names["record"].weights.shape == (3,)


@pytest.mark.parametrize("mark", ["bfloat16", "clip_grad_norm_", "torch.compile", "checkpoint("])
def test_a_block_takes_a_step_for_each_batch(mark: str, names: dict[str, Any]) -> None:
    exec(block(mark), names)
    assert names["weighting"].step == 30
    assert all(parameter.isfinite().all() for parameter in names["model"].parameters())


@pytest.mark.parametrize("method", ["go4align", "famo", "uw", "mgda", "grad_drop"])
def test_accumulated_micro_batches_make_the_step_of_the_batch(method: str, names: dict[str, Any]) -> None:
    found = []
    for code in (block("checkpoint("), block("clip_grad_norm_").replace("nn.utils.clip", "# ")):
        torch.manual_seed(1)
        model = names["Net"]()
        weighting = build_weighting(method, 3, **({"seed": 0} if method == "grad_drop" else {}))
        groups = [{"params": model.parameters()}, *weighting.parameter_groups()]
        names |= {"model": model, "weighting": weighting, "shared": list(model.encoder.parameters())}
        exec(code, names | {"optimizer": torch.optim.SGD(groups, lr=1e-2)})
        found.append((model.state_dict(), weighting.state_dict()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["go4align", "famo", "rlw", "dwa"])
def test_a_step_that_the_scaler_skips_is_none_of_the_weighting(method: str, names: dict[str, Any]) -> None:
    weighting = build_weighting(method, 3)
    size = 20.0  # losses are finite, gradients in float16 only with a smaller scale
    names |= {"weighting": weighting, "batches": [(size * x, size * y) for x, y in names["batches"]]}
    exec(block("GradScaler("), names)
    taken = {int(state["step"]) for state in names["optimizer"].state.values()}
    assert names["scaler"].get_scale() < 65536
    assert taken == {int(weighting.step)} and 0 < int(weighting.step) < 10


def test_two_processes_by_torchrun_decide_alike(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(FIRST + block("DistributedDataParallel"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--redirects", "1", "--log-dir", "told", str(program)]  # else their lines may run into each other
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = [path.read_text() for path in sorted(tmp_path.glob("told/**/stdout.log"))]
    assert len(told) == 2
    by_rank = [dict(re.findall(r"(\w+) [01] (\[.*?\])", text)) for text in told]
    assert by_rank[0] == by_rank[1] and set(by_rank[0]) == {"go4align", "famo", "mgda"}


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_lightning_trains_by_hand(names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning", reason="lightning is not installed: it is an example, not a dependency")
    monkeypatch.chdir(tmp_path)
    exec(block("lightning"), names)
    assert names["training"].weighting.step == 20
    assert names["training"].global_step == 20, "the optimiser's steps"

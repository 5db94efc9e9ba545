"""GO4Align's step by kernels, and kernels as machine code."""

import os
import subprocess
import sys
from pathlib import Path

import compiled
import numpy
import pytest
import torch
from devices import here

from go4align import GO4Align
from go4align.weighting.risk_guided import RiskGuided

pytest.importorskip("triton", reason="Triton is made for Linux")


@pytest.mark.usefixtures("kernels_tried")
@pytest.mark.parametrize(("n_tasks", "n_groups"), [(3, 2), (11, 5), (11, "auto")])
@pytest.mark.parametrize("space", ["linear", "log"])
def test_training_by_kernels_is_the_hosts(
    monkeypatch: pytest.MonkeyPatch, n_tasks: int, n_groups: int | str, space: str
) -> None:
    options = {"n_groups": n_groups, "beta": 0.02, "space": space}
    with torch.device("cpu"):
        host = GO4Align(n_tasks, **options)
    fused = here(GO4Align(n_tasks, **options))
    numbers = numpy.random.default_rng(0)
    for step in range(5):
        losses = torch.tensor(numpy.exp(numbers.normal(size=n_tasks)), dtype=torch.float32, device="cpu")
        labelled = None if step < 4 else torch.arange(n_tasks, device="cpu") != 1
        expected = host.weigh(losses, labelled=labelled)
        with monkeypatch.context() as patch:
            patch.setattr(RiskGuided, "checks_on_host", False)
            found = fused.weigh(here(losses), labelled=labelled)
        assert found.labels is not None and expected.labels is not None
        assert found.labels.tolist() == expected.labels.tolist()
        torch.testing.assert_close(found.weights.cpu(), expected.weights)
    torch.testing.assert_close(fused.indicator.log_q.cpu(), host.indicator.log_q)
    assert int(fused.step) == int(host.step) == 5


@pytest.mark.usefixtures("kernels_tried")
def test_the_device_that_torch_makes_tensors_on_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RiskGuided, "checks_on_host", False)
    losses = here(torch.tensor([1.0, 2.0, 5.0]))
    weighting = here(GO4Align(3, n_groups=2))
    with torch.device("meta"):
        found = weighting.weigh(losses)
    assert found.labels is not None and found.labels.tolist() == [1, 0, 0]


@pytest.mark.slow
def test_compile_for_gpus_that_are_not_here(tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    del environment["TRITON_INTERPRET"]
    done = subprocess.run(
        [sys.executable, compiled.__file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 11

"""The memory that a trial takes: its own peak in a reused process, of all of its parts, none of a GPU without one."""

import dataclasses
import subprocess
import sys
from mmap import PAGESIZE, mmap
from pathlib import Path

import pytest
import torch
from records import GOOD

from go4align.training import Checkpoints, EpochRecord
from study.spec.study_file import StudyFile
from study.trials import memory
from study.trials.memory import PeakMemory
from study.trials.records import Trial
from study.trials.run import run_trial

TRIAL = Trial("t", "search", StudyFile.model_validate(GOOD).configuration("ls"), seed=0)
LARGE_MIB = 400


def take(mib: int = LARGE_MIB) -> None:
    """Take memory, touch it, and give it back: new pages, since an allocator may have some left of earlier tests."""
    with mmap(-1, mib * memory.MIB) as taken:
        for start in range(0, len(taken), PAGESIZE):
            taken[start] = 1


REUSED = """
import torch
from study.trials.memory import PeakMemory
torch.ones(400 * 2**18)
peak = PeakMemory("cpu")
before = peak.host_mib
torch.ones(200 * 2**18)
print(before, peak.host_mib, peak.device_mib)
"""


class Killed(BaseException):
    """No exception that a trial turns into a result."""


def test_a_reused_process_does_not_count_what_was_given_back_before() -> None:
    """In a process of its own: threads that other tests have left would take and give back memory, too."""
    told = subprocess.run([sys.executable, "-c", REUSED], capture_output=True, text=True, check=True).stdout
    before, after, device = told.split()
    assert 180 < float(after) - float(before) < 300
    assert device == "None"


@pytest.mark.parametrize("fault", ["cannot be written", "has no effect"])
def test_where_the_peak_cannot_begin_anew_what_is_resident_is_looked_at(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    (tmp_path / "clear_refs").mkdir() if fault == "cannot be written" else None
    status.write_text("VmHWM:\t 9000000 kB\nVmRSS:\t 102400 kB\n")
    monkeypatch.setattr(memory, "_PROCESS", tmp_path)
    peak = PeakMemory("cpu")
    assert peak.host_mib == 100.0
    status.write_text("VmHWM:\t 9000000 kB\nVmRSS:\t 307200 kB\n")
    assert peak.host_mib == 300.0
    status.write_text("VmHWM:\t 9000000 kB\nVmRSS:\t 204800 kB\n")
    assert peak.host_mib == 300.0


def test_a_system_that_tells_nothing_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "absent")
    result = run_trial(TRIAL)
    assert (result.status, result.peak_host_mib, result.peak_device_mib) == ("finished", None, None)


def test_every_epoch_and_the_result_tell_the_peak_so_far() -> None:
    records: list[EpochRecord] = []
    result = run_trial(TRIAL, lambda record: (records.append(record), take() if len(records) == 1 else None))
    peaks = [record.peak_host_mib or 0 for record in records]
    assert peaks[1] > peaks[0] + LARGE_MIB / 2
    assert result.peak_host_mib is not None and result.peak_host_mib >= peaks[1]
    assert {record.peak_device_mib for record in records} == {None}


def test_a_failed_trial_has_taken_memory_too() -> None:
    def fail(_: object) -> None:
        raise torch.OutOfMemoryError

    result = run_trial(TRIAL, fail)
    assert result.status == "failed" and result.peak_host_mib


def test_memory_is_no_part_of_what_is_compared() -> None:
    result = run_trial(TRIAL)
    assert result == dataclasses.replace(result, peak_host_mib=1.0, peak_device_mib=2.0)


@pytest.mark.parametrize("larger", ["first", "second"])
def test_a_trial_that_goes_on_has_the_peak_of_all_its_parts(larger: str, tmp_path: Path) -> None:
    def losing(part: str) -> None:
        take(LARGE_MIB if part == larger else 1)

    def begin(record: EpochRecord) -> None:
        if record.epoch == 1:
            losing("first")
        else:
            raise Killed

    heard: list[EpochRecord] = []

    def go_on(record: EpochRecord) -> None:
        heard.append(record)
        losing("second")

    checkpoints = Checkpoints(tmp_path)
    alone = run_trial(TRIAL).peak_host_mib or 0
    with pytest.raises(Killed):
        run_trial(TRIAL, begin, checkpoints=checkpoints)
    result = run_trial(TRIAL, go_on, checkpoints=checkpoints)
    assert [record.epoch for record in heard] == [2], "its last checkpoint was the end"
    assert result.peak_host_mib is not None
    assert result.peak_host_mib > alone + LARGE_MIB / 2


# ------------------------------------------------------------------------------------------------------------ on a GPU


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A GPU as torch's functions would tell of one; returns the bytes of its peak, to be set."""
    peak = [0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: peak.__setitem__(0, 3 * 2**20))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: peak[0])
    return peak


def test_a_gpus_peak_begins_anew_with_the_trial(gpu: list[int]) -> None:
    gpu[0] = 2**40  # of an earlier trial
    peak = PeakMemory("cuda")
    assert peak.device_mib == 3.0
    gpu[0] = 5 * 2**20
    assert peak.device_mib == 5.0
    peak.add_earlier(None, 9.0)
    assert peak.device_mib == 9.0


def test_a_trial_on_the_cpu_of_a_machine_with_a_gpu_has_none_of_it(gpu: list[int]) -> None:
    assert PeakMemory("cpu").device_mib is None


def test_a_gpu_that_cannot_be_used_fails_the_trial_alone(gpu: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("Invalid device argument 7")

    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", refuse)
    assert PeakMemory("cuda:7").device_mib is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_real_gpu_measures_each_trial() -> None:
    torch.ones(2**26, device="cuda")
    result = run_trial(TRIAL, device="cuda")
    assert result.peak_device_mib is not None
    assert 0 < result.peak_device_mib < 256

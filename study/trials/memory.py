"""The most memory that a trial has taken, of its worker's host and of its device, from its start on."""

from __future__ import annotations

from pathlib import Path

import torch

MIB = 2**20
_PROCESS = Path("/proc/self")
_CLOSE = 1.05
"""A peak that has just been reset is what is resident now; the kernel counts both a little apart."""


class PeakMemory:
    """Measures from when it is made.

    The host's is the resident set of the process: of a reused worker, what earlier trials took and gave back is not
    part of it, what the process keeps (torch, the benchmark's data) is. Where the system cannot begin the peak anew,
    the resident set is looked at whenever the peak is asked for. The device's is what torch's tensors took; the CUDA
    context comes on top.

    Args:
        device: where the trial trains; of a CPU nothing is measured but the host's.
    """

    def __init__(self, device: str) -> None:
        self._host_mib: float | None = None
        self._earlier_device_mib: float | None = None
        self._exact = _begin_anew()
        self._cuda = _cuda_from_now(device)

    @property
    def host_mib(self) -> float | None:
        """Peak resident set, MiB; None where the system does not tell."""
        self._host_mib = _larger(self._host_mib, _resident_mib("VmHWM" if self._exact else "VmRSS"))
        return self._host_mib

    @property
    def device_mib(self) -> float | None:
        """Peak of what tensors took on the device, MiB; None without one."""
        if self._cuda is None:
            return self._earlier_device_mib
        return _larger(self._earlier_device_mib, torch.cuda.max_memory_allocated(self._cuda) / MIB)

    def add_earlier(self, host_mib: float | None, device_mib: float | None) -> None:
        """Count in what an earlier part of the trial took, which a kill ended."""
        self._host_mib = _larger(self._host_mib, host_mib)
        self._earlier_device_mib = _larger(self._earlier_device_mib, device_mib)


def _cuda_from_now(device: str) -> torch.device | None:
    """A CUDA device whose peak has been reset; None for others, and for one that torch cannot use."""
    if not device.startswith("cuda") or not torch.cuda.is_available():
        return None
    try:
        found = torch.device(device)
        torch.cuda.init()  # before that, there is nothing that could be reset
        torch.cuda.reset_peak_memory_stats(found)
    except (RuntimeError, AssertionError):  # the trial fails over it, and says why
        return None
    return found


def _begin_anew() -> bool:
    """Reset the kernel's mark of the most that was resident; whether it can be relied on."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    peak = _resident_mib("VmHWM")
    now = _resident_mib("VmRSS")
    return peak is not None and now is not None and peak <= _CLOSE * now


def _resident_mib(key: str) -> float | None:
    """A line of the process's status, in MiB."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(found[0]) / 1024 if found else None


def _larger(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)

"""Samples on their way to the device that trains."""

import torch
from torch import Tensor


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device.

    From the host's memory a GPU copies by way of pinned memory, which needs no wait: the host goes on to queue the
    step, and the memory is not used again before the copy has ended.
    """
    if device.type != "cuda" or not tensor.is_cpu:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)

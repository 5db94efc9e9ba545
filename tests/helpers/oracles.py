"""What published code gives for known inputs; kept beside the checkout where it is tested, and not passed on."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[3] / "shared" / "oracles"


def oracle(name: str) -> Any:
    """A file, or a skipped test where there is none."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip(f"the outputs of published code ({path.name}) are not beside this checkout")
    return json.loads(path.read_text())


def tensor(array: dict[str, Any]) -> Tensor:
    """A stored array."""
    flat = np.frombuffer(base64.b64decode(array["base64"]), array["dtype"])
    return torch.from_numpy(flat.reshape(array["shape"]).copy())


def hashed(serial: int, shape: tuple[int, ...] | list[int]) -> Tensor:
    """Numbers in [0, 1) by the rule of the oracles of networks, float64."""
    index = np.arange(np.prod(shape), dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    found = (index * np.uint64(2654435761) + np.uint64(serial * 2246822519 + 374761393)) & mask
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        found ^= found >> np.uint64(shift)
        found = (found * np.uint64(factor)) & mask
    found ^= found >> np.uint64(16)
    return torch.from_numpy(found.astype(np.float64) / 2**32).reshape(*shape)

"""Small folders in the layout of published NYUv2, of random pixels."""

from pathlib import Path
from typing import Any

import numpy as np

SIZE = (6, 8)


def sample(number: int, size: tuple[int, int] = SIZE) -> dict[str, np.ndarray[Any, Any]]:
    """The files of one, by modality; a pixel without a normal, and one without a depth."""
    random = np.random.default_rng(number)
    normal = random.normal(size=(*size, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal[0, 0] = 0
    depth = random.uniform(0.5, 9, (*size, 1))
    depth[0, 1] = 0
    return {
        "image": random.uniform(0, 1, (*size, 3)),
        "label": random.integers(-1, 13, size),
        "depth": depth,
        "normal": normal,
    }


def write_tree(root: Path, train: int = 12, val: int = 3, size: tuple[int, int] = SIZE) -> Path:
    """Samples 0, 1, ... to train on, and 100, 101, ... for tests."""
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            for name, pixels in sample(number + 100 * (split == "val"), size).items():
                (root / split / name).mkdir(parents=True, exist_ok=True)
                np.save(root / split / name / f"{number}.npy", pixels)
    return root

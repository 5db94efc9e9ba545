"""One pass over prepared data against reading the published files, batch by batch up to the network's input.

    python bench/data_pass.py [--samples 64]

Files of random pixels in the published layouts and sizes, in a folder that is removed afterwards; both ways find them
in the system's file cache. The figure is the median over passes of the ratio of two that follow each other.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.celeba.attributes import PUBLISHED_F1
from go4align.benchmarks.registry import build_benchmark, data_source

CPU = torch.device("cpu")
SIZES = {"nyuv2": (288, 384), "cityscapes": (128, 256)}
BATCHES = {"nyuv2": 2, "cityscapes": 8, "celeba": 256}
PASSES = 5


def write_dense(root: Path, name: str, samples: int) -> None:
    """The tree of .npy files, float32 as published."""
    random = np.random.default_rng(0)
    height, width = SIZES[name]
    for split in ("train", "val"):
        for number in range(samples):
            normal = random.normal(size=(height, width, 3))
            found = {
                "image": random.uniform(size=(height, width, 3)),
                "label": random.integers(-1, 7, (height, width)),
                "depth": random.uniform(0.01, 0.45, (height, width, 1)),
                "normal": normal / np.linalg.norm(normal, axis=-1, keepdims=True),
            }
            for modality, pixels in found.items():
                if modality != "normal" or name == "nyuv2":
                    (root / split / modality).mkdir(parents=True, exist_ok=True)
                    np.save(root / split / modality / f"{number}.npy", pixels.astype(np.float32))


def write_faces(root: Path, samples: int) -> None:
    """The official folders; JPEG of smooth pictures, as faces are."""
    random = np.random.default_rng(0)
    names = [f"{number:06d}.jpg" for number in range(1, samples + 3)]
    for folder in ("Anno", "Eval", "Img/img_align_celeba"):
        (root / folder).mkdir(parents=True)
    for name in names:
        rough = Image.fromarray(random.integers(0, 256, (14, 11, 3), dtype=np.uint8))
        rough.resize((178, 218)).save(root / "Img/img_align_celeba" / name, quality=90)
    rows = [f"{name} {' '.join(random.choice(['-1', ' 1'], 40))}" for name in names]
    lines = [str(len(names)), " ".join(PUBLISHED_F1), *rows]
    (root / "Anno/list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    splits = [0] * samples + [1, 2]
    parts = [f"{name} {split}" for name, split in zip(names, splits, strict=True)]
    (root / "Eval/list_eval_partition.txt").write_text("\n".join(parts) + "\n")


def published_dense(root: Path, batch: int) -> Iterator[Any]:
    """As the published loaders read: every modality's file of every sample, stacked."""
    folders = sorted((root / "train").iterdir())
    count = len(list(folders[0].iterdir()))
    for start in range(0, count, batch):
        numbers = range(start, min(start + batch, count))
        yield [torch.stack([torch.from_numpy(np.load(f / f"{n}.npy")).float() for n in numbers]) for f in folders]


def published_faces(root: Path, batch: int) -> Iterator[Any]:
    """As the published loader reads: JPEG, resized to 64 x 64, in [0, 1]."""
    names = sorted((root / "Img/img_align_celeba").iterdir())[:-2]
    for start in range(0, len(names), batch):
        pictures = [Image.open(name).convert("RGB").resize((64, 64)) for name in names[start : start + batch]]
        yield torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1).float() / 255 for p in pictures])


def prepared(benchmark: Benchmark, batch: int) -> Iterator[Any]:
    """As training reads, shuffled."""
    for stored in benchmark.batches("train", batch, torch.Generator().manual_seed(0)):
        yield stored.to(CPU)


def seconds(batches: Callable[[], Iterator[Any]]) -> float:
    start = time.perf_counter()
    for _ in batches():
        pass
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64, help="training samples; of faces 16 times as many")
    samples: int = parser.parse_args().samples
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GO4ALIGN_HOME"] = f"{folder}/home"
        for name, batch in BATCHES.items():
            root = Path(folder) / name
            dense = name in SIZES
            write_dense(root, name, samples) if dense else write_faces(root, 16 * samples)
            data_source(name).prepare(root, (), ())
            benchmark = build_benchmark(name, **({"val_size": 1} if dense else {}))
            benchmark.prepare()
            count = benchmark.size("train")
            published = published_dense if dense else published_faces
            total = samples if dense else 16 * samples
            pairs = []
            for _ in range(PASSES):
                ours = seconds(lambda b=benchmark, n=batch: prepared(b, n)) / count
                theirs = seconds(lambda p=published, r=root, n=batch: p(r, n)) / total
                pairs.append((ours, theirs))
            ratio = statistics.median(theirs / ours for ours, theirs in pairs)
            best = min(ours for ours, _ in pairs)
            print(f"{name:11} batch {batch:3}: {1e3 * best:6.2f} ms a sample, published files {ratio:.1f} x that")


if __name__ == "__main__":
    main()

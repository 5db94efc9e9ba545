"""A look at a published tree before hours are spent on it: every modality's files, and whether they fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.dense import show
from go4align.benchmarks.dense.batch import DISPARITY_UNIT
from go4align.benchmarks.dense.tree import SPLITS, Modality, Tree, find_tree, load
from go4align.benchmarks.inspection import Finding, Inspection
from go4align.errors import UserError

_LOOKED_AT = 60
"""Samples of each split that are read, spread over it."""
_PICTURED = 3
_LARGEST_INVERSE = 0.4922
"""Of published CityScapes: 32257 / 65535."""
_INVALID_SHARE = 0.6
_UNIT = 0.01

Samples = dict[str, NDArray[Any]]


def inspect_tree(
    root: Path, modalities: Sequence[Modality], classes: Sequence[str], official: Mapping[str, int], *, inverse: bool
) -> Inspection:
    """Look at a tree.

    Args:
        root: the folder.
        modalities: what each sample must have.
        classes: names of the labels.
        official: how many samples of each split were published.
        inverse: whether depth is inverse depth.
    """
    try:
        tree = find_tree(root, modalities)
    except UserError as error:
        return Inspection([Finding("files", str(error), "wrong")], {})
    findings = [_folders(tree)]
    pictures: dict[str, dict[str, NDArray[np.uint8]]] = {}
    sizes: set[tuple[int, ...]] = set()
    for split, files in tree.files.items():
        count = len(next(iter(files.values())))
        findings.append(_count(split, count, official[split]))
        read, faults = _read(modalities, files, count)
        findings += [Finding(f"{SPLITS[split]}", fault, "wrong", "Mend or fetch that file again.") for fault in faults]
        if not read:
            continue
        sizes |= {sample[name].shape[:2] for sample in read for name in sample}
        findings += _contents(SPLITS[split], read, classes, inverse=inverse)
        for number in range(min(_PICTURED, len(read))):
            pictures[f"{SPLITS[split]} {number}"] = show.sample(read[number], classes)
    if len(sizes) > 1:
        found = ", ".join(sorted(" x ".join(map(str, size)) for size in sizes))
        findings.append(Finding("sizes", f"several: {found}", "wrong", "All must be of one size: resize them."))
    elif sizes:
        findings.append(Finding("sizes", " x ".join(map(str, sizes.pop())) + " pixels, all alike"))
    return Inspection(findings, pictures)


def _folders(tree: Tree) -> Finding:
    found = {split: [paths[0].parent.name for paths in files.values()] for split, files in tree.files.items()}
    return Finding("folders", "; ".join(f"{SPLITS[split]}: {', '.join(names)}" for split, names in found.items()))


def _count(split: str, count: int, official: int) -> Finding:
    subject = SPLITS[split] + (" (the test split)" if split == "test" else "")
    if count == official:
        return Finding(subject, f"{count:,} samples, as published")
    remedy = "Numbers will not compare with published ones."
    return Finding(subject, f"{count:,} samples, published are {official:,}", "note", remedy)


def _read(
    modalities: Sequence[Modality], files: Mapping[str, Sequence[Path]], count: int
) -> tuple[list[Samples], list[str]]:
    """Samples spread over a split, and what is wrong with the first file of each modality that cannot be read."""
    numbers = sorted({round(place) for place in np.linspace(0, count - 1, min(count, _LOOKED_AT))})
    faults: dict[str, str] = {}
    samples = []
    for number in numbers:
        sample: Samples = {}
        for modality in modalities:
            try:
                sample[modality.name] = load(modality, files[modality.name][number])
            except UserError as error:
                faults.setdefault(modality.name, str(error))
        if len(sample) == len(modalities):
            samples.append(sample)
    return samples, list(faults.values())


def _contents(split: str, samples: Sequence[Samples], classes: Sequence[str], *, inverse: bool) -> list[Finding]:
    found = [_images(split, samples), _labels(split, samples, classes)]
    found.append(_inverse_depth(split, samples) if inverse else _depth(split, samples))
    if "normal" in samples[0]:
        found.append(_normals(split, samples))
    return found


def _images(split: str, samples: Sequence[Samples]) -> Finding:
    means = [float(sample["image"].mean()) / 255 for sample in samples]
    subject = f"{split}/image"
    found = f"mean brightness {min(means):.2f} to {max(means):.2f}"
    if max(sample["image"].max() for sample in samples) <= 1:
        return Finding(subject, "nothing but black", "wrong", "Values must lie in [0, 1]; these were divided twice.")
    return Finding(subject, found)


def _labels(split: str, samples: Sequence[Samples], classes: Sequence[str]) -> Finding:
    labels = np.stack([sample["label"] for sample in samples]) if _alike(samples) else samples[0]["label"]
    counts = np.bincount(labels[labels >= 0].ravel().astype(int), minlength=len(classes))
    void = float((labels < 0).mean())
    found = f"{void:.1%} void (-1); {int((counts > 0).sum())} of {len(classes)} classes"
    missing = [f"{number} {name}" for number, name in enumerate(classes) if counts[number] == 0]
    subject = f"{split}/label"
    if void == 1:
        return Finding(subject, "every pixel is void", "wrong", "Labels must be 0 to C - 1; -1 is void.")
    if missing:
        remedy = "Is the folder label or label_7, and are labels counted from 0? Few samples may lack rare classes."
        return Finding(subject, f"{found}; none of {', '.join(missing)} in the samples read", "note", remedy)
    return Finding(subject, found)


def _depth(split: str, samples: Sequence[Samples]) -> Finding:
    subject = f"{split}/depth"
    valid = np.concatenate([sample["depth"][sample["depth"] != 0].ravel() for sample in samples]).astype(np.float64)
    if not valid.size:
        return Finding(subject, "no pixel has a depth", "wrong", "0 marks pixels without one.")
    total = sum(sample["depth"].size for sample in samples)
    invalid = 1 - valid.size / total
    found = f"{valid.min():.2f} to {valid.max():.2f} m, median {np.median(valid):.2f}; {invalid:.1%} invalid (0)"
    if valid.max() < 1:
        return Finding(subject, found, "wrong", "NYUv2's depth is in metres; this looks like inverse or scaled depth.")
    return _with_share(subject, found, invalid)


def _inverse_depth(split: str, samples: Sequence[Samples]) -> Finding:
    subject = f"{split}/depth"
    raw = np.concatenate([sample["depth"][sample["depth"] != 0].ravel() for sample in samples]).astype(np.float64)
    if not raw.size:
        return Finding(subject, "no pixel has a depth", "wrong", "0 marks pixels without one.")
    total = sum(sample["depth"].size for sample in samples)
    high = raw.max() / DISPARITY_UNIT
    share = 1 - raw.size / total
    found = f"inverse depth {raw.min() / DISPARITY_UNIT:.4f} to {high:.4f}; {share:.1%} invalid (0)"
    if high > _LARGEST_INVERSE + 0.001:
        remedy = f"Published values end at {_LARGEST_INVERSE}: disparity / 65535. Is this depth in metres, or scaled?"
        return Finding(subject, found, "note", remedy)
    return _with_share(subject, found, share)


def _with_share(subject: str, found: str, invalid: float) -> Finding:
    if invalid > _INVALID_SHARE:
        return Finding(subject, found, "note", "Most pixels have no depth: does 0 mark all those?")
    return Finding(subject, found)


def _normals(split: str, samples: Sequence[Samples]) -> Finding:
    subject = f"{split}/normal"
    normals = np.concatenate([sample["normal"].reshape(-1, 3) for sample in samples]).astype(np.float32)
    length = np.linalg.norm(normals, axis=1)
    there = length > 0
    if not there.any():
        return Finding(subject, "no pixel has a normal", "wrong", "The zero vector marks pixels without one.")
    off = float((np.abs(length[there] - 1) > _UNIT).mean())
    x, y, z = normals[there].mean(0)
    found = f"mean ({x:.2f}, {y:.2f}, {z:.2f}); {off:.1%} longer or shorter than 1 by over {_UNIT:.0%}"
    found += f"; {1 - there.mean():.1%} invalid (0)"
    if abs(z) < max(abs(x), abs(y)) / 2:
        return Finding(subject, found, "note", "Normals that face a camera have a large third component: other axes?")
    return Finding(subject, found)


def _alike(samples: Sequence[Samples]) -> bool:
    return len({sample["label"].shape for sample in samples}) == 1

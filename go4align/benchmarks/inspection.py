"""What a look at data finds before hours are spent on them: a line for each check, and samples for one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["fine", "note", "wrong"]
"""Fine; worth knowing, but the data can be used; or the data cannot be converted as they are."""


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        subject: what was looked at: "train/depth".
        found: what was found, with numbers and units.
        severity: how it was judged.
        remedy: what to do; empty where nothing is.
    """

    subject: str
    found: str
    severity: Severity = "fine"
    remedy: str = ""


@dataclass(frozen=True)
class Inspection:
    """All findings, and a few samples.

    Attributes:
        findings: in the order of the checks.
        samples: each by caption: the modalities of one sample by name, as RGB pictures uint8 [H, W, 3] of one height.
    """

    findings: Sequence[Finding]
    samples: Mapping[str, Mapping[str, NDArray[np.uint8]]]

    @property
    def usable(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.severity != "wrong" for finding in self.findings)


def as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers in [0, 1] as uint8, rounded; what lies outside is clipped, NaN is 0."""
    scaled: NDArray[np.uint8] = np.round(np.nan_to_num(np.clip(pixels, 0, 1)) * 255).astype(np.uint8)
    return scaled

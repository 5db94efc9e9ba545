"""The epochs of a study's trials as frames, from the file that each trial's run keeps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from study.results.frames import Outcome, frame
from study.store.epochs import read_epochs

if TYPE_CHECKING:
    import pandas as pd

EPOCHS = {"trial": "str", "epoch": "int64", "task": "str", "quantity": "str", "value": "float64"}
CO_ASSIGNMENT = {"trial": "str", "epoch": "int64", "task": "str", "other": "str", "share": "float64"}
"""The columns and what they hold; `study.results.StoredStudy` says what they mean."""

Progress = Callable[[int, int], None]

_AT_ONCE = 8
_ENDED = ("finished", "stopped", "failed")
"""Trials that keep their epochs in a file; others may still go on."""


def epoch_frames(uri: str, outcomes: Iterable[Outcome], progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames `epochs` and `co_assignment` of the trials that have ended.

    A file that is missing or half-written leaves its trial's rows out, and one warning names all such trials.

    Args:
        uri: the store.
        outcomes: of its trials.
        progress: told after each trial how many have been read, and how many there are.
    """
    ended = [one for one in outcomes if one.status in _ENDED]
    epochs: list[pd.DataFrame] = []
    shares: list[pd.DataFrame] = []
    lacking: list[str] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = pool.map(lambda one: _read(one, uri), ended)
        for number, (one, found) in enumerate(zip(ended, read, strict=True), 1):
            progress(number, len(ended))
            if isinstance(found, str):
                lacking.append(f"{one.trial} ({found})")
            else:
                epochs.append(found[0].assign(trial=one.trial))
                shares.append(found[1].assign(trial=one.trial))
    if lacking:
        named = "; ".join([*lacking[:3], *(["..."] if lacking[3:] else [])])
        text = f"The epochs of {len(lacking)} of {len(ended)} trials cannot be read and are left out: {named}"
        warnings.warn(text, stacklevel=2)
    return _joined(epochs, EPOCHS), _joined(shares, CO_ASSIGNMENT)


def _read(one: Outcome, uri: str) -> tuple[pd.DataFrame, pd.DataFrame] | str:
    """A trial's file, or why it cannot be read."""
    try:
        return read_epochs(one.artifacts, uri)
    except Exception as error:  # MLflow, its stores of artifacts and pyarrow each have their own
        return " ".join(str(error).split())[:200]


def _joined(parts: list[pd.DataFrame], columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    filled = [part for part in parts if len(part)]
    if not filled:
        return frame([], columns)
    return pd.concat(filled, ignore_index=True)[list(columns)].astype(dict(columns))

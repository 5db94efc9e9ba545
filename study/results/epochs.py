"""The epochs of a study's trials as frames, from the file that each trial's run keeps."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from study.results.frames import Outcome, frame
from study.store.epochs import read_epochs

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

EPOCHS = {"trial": "str", "epoch": "int64", "task": "str", "quantity": "str", "value": "float64"}
CO_ASSIGNMENT = {"trial": "str", "epoch": "int64", "task": "str", "other": "str", "share": "float64"}
"""The columns and what they hold; `study.results.StoredStudy` says what they mean."""

_ENDED = ("finished", "stopped", "failed")
"""Trials that keep their epochs in a file; others may still go on."""


def epoch_frames(client: MlflowClient, outcomes: Iterable[Outcome]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames `epochs` and `co_assignment` of the trials that have ended.

    A file that is missing or half-written leaves its trial's rows out, and one warning names all such trials.
    """
    ended = [one for one in outcomes if one.status in _ENDED]
    epochs: list[pd.DataFrame] = []
    shares: list[pd.DataFrame] = []
    lacking: list[str] = []
    for one in ended:
        try:
            values, co_assignment = read_epochs(client, one.run_id)
        except Exception as error:  # MLflow, its stores of artifacts and pyarrow each have their own
            lacking.append(f"{one.trial} ({' '.join(str(error).split())[:200]})")
        else:
            epochs.append(values.assign(trial=one.trial))
            shares.append(co_assignment.assign(trial=one.trial))
    if lacking:
        named = "; ".join([*lacking[:3], *(["..."] if lacking[3:] else [])])
        text = f"The epochs of {len(lacking)} of {len(ended)} trials cannot be read and are left out: {named}"
        warnings.warn(text, stacklevel=2)
    return _joined(epochs, EPOCHS), _joined(shares, CO_ASSIGNMENT)


def _joined(parts: list[pd.DataFrame], columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    filled = [part for part in parts if len(part)]
    if not filled:
        return frame([], columns)
    return pd.concat(filled, ignore_index=True)[list(columns)].astype(dict(columns))

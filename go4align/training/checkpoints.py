"""Checkpoints of one run on disk: whole or absent, the newest two kept, a damaged one passed over."""

import hashlib
import io
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

from go4align.disk import write_whole

_ATTEMPTS = "attempts"
_NAME = re.compile(r"epoch-(\d+)-([0-9a-f]{16})\.pt")


class CheckpointWarning(UserWarning):
    """A checkpoint could not be read and was passed over."""


class Checkpoints:
    """The checkpoints in a folder, one file per epoch, `epoch-00012-<hash>.pt`, with 16 digits of the content's sha256.

    A file is written beside its final name and moved there, so that a kill leaves the earlier ones untouched; the name
    holds a hash of the content, so that a file which a power cut or a full disk spoiled is recognised.

    Args:
        folder: made with the first checkpoint or attempt, and not anew where it is gone later: a run whose driver was
            killed and its folder moved leaves nothing at the old place.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self._keep = keep
        self._made = False

    def save(self, epoch: int, state: dict[str, Any]) -> None:
        """Write the state after an epoch: tensors and plain values only, see `torch.load(weights_only=True)`.

        Raises:
            OSError: the disk is full, or the folder is gone or cannot be written to; earlier checkpoints are untouched.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        newest = f"epoch-{epoch:05d}-{_digest(content)}.pt"
        self._make_folder()
        write_whole(self.folder / newest, content)
        replaced = {path for path in self._files() if _epoch(path) == epoch and path.name != newest}
        kept = [path for path in self._files() if path not in replaced][: self._keep]
        for path in set(self._files()) - set(kept):
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest state that can be read, on the CPU; None where there is none.

        Warns:
            CheckpointWarning: for every file that was passed over.
        """
        for path in self._files():
            try:
                content = path.read_bytes()
                if _digest(content) != path.stem[-16:]:
                    raise ValueError("its content does not match the hash in its name")
                state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            except Exception as error:  # torch.load raises many kinds
                warnings.warn(CheckpointWarning(f"The checkpoint {path} is passed over: {error}."), stacklevel=2)
            else:
                return state
        return None

    def attempt(self, epoch: int) -> int:
        """Note that a process goes on after this epoch (0: begins); returns how many have, since `forgive`."""
        self._make_folder()
        with (self.folder / _ATTEMPTS).open("a+", encoding="utf-8") as file:
            file.write(f"{epoch}\n")
            file.seek(0)
            return file.read().split().count(str(epoch))

    def forgive(self) -> None:
        """Forget earlier attempts: it was not the run's own fault that they ended."""
        (self.folder / _ATTEMPTS).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._made = False

    def _make_folder(self) -> None:
        if not self._made:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._made = True

    def _files(self) -> list[Path]:
        """Newest epoch first."""
        found = [path for path in self.folder.glob("epoch-*.pt") if _NAME.fullmatch(path.name)]
        return sorted(found, key=_epoch, reverse=True)


def _epoch(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]

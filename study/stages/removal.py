"""`study rm`: all that is left of a study goes, from its tracking stores first and from this machine last.

The folder on this machine says which stores a study is in, so it goes last, and what a kill leaves is found again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from go4align.errors import RunFailedError, UserError, unknown_name
from go4align.home import home_folder
from study.spec import is_name
from study.stages.folder import alone, find_folder, remove_path, size_of
from study.store.client import NoStoreError, connect
from study.store.networks import MODELS
from study.store.queries import read_studies
from study.store.removal import StoredRemains, find_remains
from study.store.uri import hides_password, tracking_uri, without_password


@dataclass(frozen=True)
class Removal:
    """What there was of a study, and what became of it.

    Attributes:
        study: its name.
        done: whether it is gone, or would only go.
        parts: a line for each thing that goes, with counts and sizes.
        notes: a line for each thing that stays, or should be known.
    """

    study: str
    done: bool
    parts: tuple[str, ...]
    notes: tuple[str, ...]


def remove_study(name: str, *, yes: bool, uri: str | None = None) -> Removal:
    """Remove a study, or find out what would go.

    Args:
        name: the study.
        yes: whether to remove it.
        uri: the only store that it shall leave; default the default one, and those that this machine's folder names.

    Raises:
        UserError: there is no such study, it is running, or a store that it is in does not answer.
        RunFailedError: something could not be removed; the next call goes on.
    """
    store = tracking_uri(uri)
    if not is_name(name):
        raise _unknown(name, store)
    with alone(name, writes=yes):
        remains = _Remains(name, store, only=uri is not None)
        if not remains:
            raise _unknown(name, store)
        removal = Removal(name, yes, tuple(remains.parts()), tuple(remains.notes()))
        if yes:
            remains.remove()
    return removal


class _Remains:
    """All that is left of a study, wherever it goes from."""

    def __init__(self, name: str, store: str, *, only: bool) -> None:
        folder = find_folder(name)
        self._name = name
        self._folder = folder
        shown = without_password(store)
        recorded = set(folder.stores.values()) if folder else set()
        elsewhere = recorded - {shown}
        self._whole = folder is not None and not (only and elsewhere)
        self._runs = folder.runs(None if self._whole else shown) if folder else []
        self._staying = (folder.copies if folder else frozenset()) - {shown}
        if not self._whole:
            self._staying |= elsewhere
        uris = [store] if only else [store, *map(self._address, sorted(elsewhere))]
        self._stored = [found for uri in uris if (found := self._in(uri))]
        self._lost = self._artifacts_of_no_store() if self._whole and not self._staying else []

    def __bool__(self) -> bool:
        return self._whole or bool(self._runs) or any(self._stored)

    def parts(self) -> Iterator[str]:
        for found in self._stored:
            if found:
                of_them = f"; artifacts: {size_of(found.folders)}" if found.permanent else ""
                yield f"MLflow, {without_password(found.uri)}: {_number(len(found.runs), 'run')}{of_them}"
        if self._lost:
            yield f"artifacts that no store knows, {self._artifacts}: {size_of(self._lost)}"
        if self._folder and (self._whole or self._runs):
            for what, size in self._folder.sizes(self._runs, whole=self._whole).items():
                if size.files or what == "journal":
                    yield f"{what}, {self._folder.path}: {size}"

    def notes(self) -> Iterator[str]:
        here = self._folder.stores if self._folder else {}
        for found in self._stored:
            for study in sorted(set(found.kept.values())):
                runs = _number(list(found.kept.values()).count(study), "single-task run")
                yield f"{runs} of it stay, which '{study}' is relative to, until that is gone, too."
            if found and not found.permanent:
                yield (
                    f"{without_password(found.uri)} is a server, which keeps what is deleted in its bin until `mlflow "
                    f"gc` is run there; the name '{self._name}' is free all the same."
                )
            if set(found.running) - set(here):
                yield f"{without_password(found.uri)} has it as running, on another machine: stop it there first."
        for store in sorted(self._staying):
            yield f"{store} has it, too, and keeps it: `study rm {self._name} --tracking-uri {store}` removes that."

    def remove(self) -> None:
        for found in self._stored:
            with _going_on(self._name, without_password(found.uri)):
                found.remove()
        with _going_on(self._name, str(home_folder())):
            for folder in self._lost:
                remove_path(folder)
            for left in (self._artifacts / MODELS, self._artifacts):
                if self._lost and left.is_dir() and not any(left.iterdir()):
                    left.rmdir()
            if self._folder:
                self._folder.remove(self._runs, whole=self._whole)

    @property
    def _artifacts(self) -> Path:
        return home_folder() / "artifacts" / self._name

    def _artifacts_of_no_store(self) -> list[Path]:
        """Files of a store that was lost: of runs that none of those that this machine knows has."""
        if not self._artifacts.is_dir():
            return []
        known = {run.info.run_id for found in self._stored for run in found.runs}
        known |= {model.model_id for found in self._stored for model in found.networks}
        known |= {one for found in self._stored for one in (*found.kept, *found.others)}
        models = self._artifacts / MODELS
        parts = [*(path for path in self._artifacts.iterdir() if path != models), *models.glob("*")]
        return [path for path in parts if path.is_dir() and path.name not in known]

    def _in(self, uri: str) -> StoredRemains | None:
        try:
            return find_remains(self._name, uri)
        except NoStoreError:
            return None
        except UserError as error:
            if self._folder is None:
                raise
            raise UserError(
                f"{error} Until it does, nothing is removed; where it is gone for good, remove {self._folder.path}."
            ) from None

    def _address(self, shown: str) -> str:
        if hides_password(shown):
            raise UserError(
                f"The study '{self._name}' is kept in {shown}, whose password this machine does not keep. Name that "
                "store with --tracking-uri."
            )
        return tracking_uri(shown)


def _unknown(name: str, store: str) -> UserError:
    """Of a store that does not exist, its own message."""
    folder = home_folder() / "studies"
    kept = find_folder(name) if is_name(name) else None
    if kept:
        stores = ", ".join(sorted(set(kept.stores.values())))
        return UserError(f"The study '{name}' is kept in {stores}, not in {without_password(store)}.")
    known = {path.name for path in folder.glob("*")}
    known |= {found.parent.data.tags["study"] for found in read_studies(connect(store))}
    if known - {name}:
        return unknown_name("study", name, known - {name})
    return UserError(f"There is no study to remove, neither in {without_password(store)} nor in {folder}.")


@contextmanager
def _going_on(name: str, where: str) -> Iterator[None]:
    """What goes wrong, in one line: what is left is found by the next call."""
    try:
        yield
    except Exception as error:  # MLflow, its stores and the disk each have their own
        cause = without_password(" ".join(str(error).split())[:200]) or type(error).__name__
        raise RunFailedError(
            f"Not all of '{name}' could be removed from {where}: {cause}. When that is mended, `study rm {name} --yes` "
            "removes the rest."
        ) from None


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

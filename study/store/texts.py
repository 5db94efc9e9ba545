"""Small files of a run, such as reports and tables: kept, and read."""

import tempfile
from pathlib import Path
from typing import Any

from go4align.errors import UserError
from study.store.client import connect


def keep_text(uri: str, run_id: str, name: str, text: str) -> None:
    """Keep a text with a run, as a file of that name.

    Raises:
        UserError: the store does not take it.
    """
    client = connect(uri)
    try:
        client.log_text(run_id, text, name)
    except Exception as error:  # MLflow and its stores of artifacts each have their own
        raise UserError(f"The store did not take {name}: {' '.join(str(error).split())[:200]}") from None


def read_file(artifacts: str, uri: str, name: str) -> bytes:
    """A file of a run.

    Args:
        artifacts: where the run's files are, as its `artifact_uri` says. By way of the run's id, MLflow would ask its
            database twice for every file.
        uri: the tracking store.
        name: the file's.

    Raises:
        Exception: there is none, or what MLflow and the network may raise.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with tempfile.TemporaryDirectory() as folder:
        files: Any = get_artifact_repository(artifacts, tracking_uri=uri)
        return Path(files.download_artifacts(name, folder)).read_bytes()

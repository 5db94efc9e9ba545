"""Artifacts beside a store in the home folder: MLflow keeps where they are relative to it, so a moved home finds them.

MLflow finds this by its entry point (`pyproject.toml`), also in `mlflow ui`.
"""

import os

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from study.store.uri import artifact_path


class ArtifactsBesideStore(LocalArtifactRepository):
    """The artifacts at `go4align-store:/PATH`, which is PATH beside the store's SQLite file."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        path = artifact_path(artifact_uri, tracking_uri or _store_of_server())
        assert path is not None  # MLflow asks by the scheme
        super().__init__(path.as_uri(), tracking_uri=tracking_uri, registry_uri=registry_uri)


def _store_of_server() -> str:
    """What a server was started with, whose handlers name no store; empty elsewhere."""
    from mlflow.server.constants import BACKEND_STORE_URI_ENV_VAR

    return os.environ.get(BACKEND_STORE_URI_ENV_VAR, "")

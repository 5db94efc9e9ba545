"""The way to MLflow, for those who write and those who read alike."""

from study.store.client import NoStoreError, connect, pages
from study.store.uri import artifact_location, sqlite_path, tracking_uri, without_password

__all__ = ["NoStoreError", "artifact_location", "connect", "pages", "sqlite_path", "tracking_uri", "without_password"]

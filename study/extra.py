"""The extra `study` of the distribution: what this package imports beyond `go4align`."""

from importlib.util import find_spec

from go4align.errors import UserError

PACKAGES = (
    "cmaes", "jinja2", "jsonschema", "markupsafe", "matplotlib", "mlflow", "optuna", "pandas", "plotly", "psutil",
    "pyarrow", "pydantic", "pydantic_core", "ray", "requests", "rich", "scipy", "sklearn", "sqlalchemy", "typer",
    "yaml",
)  # fmt: skip
"""By the names they are imported under."""
_SHOWN = 3


def require_extra() -> None:
    """Look for its packages, and import none of them.

    Raises:
        UserError: some are not installed; the line has the command that installs them.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        names = ", ".join(missing[:_SHOWN]) + (" and others" if len(missing) > _SHOWN else "")
        need = f"`study` needs the extra of that name (not installed: {names})"
        raise UserError(f"{need}: pip install 'go4align-study[study]'")

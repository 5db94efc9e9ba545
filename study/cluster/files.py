"""A cluster file as Ray's launcher reads it, validated by Ray; what `study` adds stands under its key `metadata`."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import Field, ValidationError

from go4align.errors import UserError, unknown_name
from study.spec import Section, explain, find_file, read_otherwise, read_text, read_yaml, refuse_others

_PROVIDER_KEYS = ("external_head_ip", "coordinator_address", "use_external_head_ip")
"""Keys of `provider` that Ray's schema does not list and Ray reads all the same."""
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping",
    "string": "a text",
}
"""What Ray's schema calls them."""


class Settings(Section):
    """`metadata` of a cluster file, which Ray leaves to its users.

    Attributes:
        environment: variables of the study and its trials, on every node.
        gpus_per_node: of on-premise hosts, which no file describes; None where that is left to be seen.
    """

    environment: dict[str, str] = Field(default={})
    gpus_per_node: int | None = Field(default=None, ge=0)


@dataclass(frozen=True)
class ClusterFile:
    """A valid cluster file.

    Attributes:
        path: where it stands, absolute.
        config: its values with the provider's defaults, in the form that Ray works with.
        settings: what `study` reads.
    """

    path: Path
    config: dict[str, Any]
    settings: Settings

    @property
    def provider(self) -> dict[str, Any]:
        return dict(self.config["provider"])

    @property
    def hosts(self) -> list[str]:
        """Addresses of the on-premise hosts, the head first; none where a cloud gives them."""
        return [self.provider["head_ip"], *self.provider["worker_ips"]] if "head_ip" in self.provider else []

    @cached_property
    def starts(self) -> dict[str, str]:
        """The `ray start` command of the head and of workers; "" where there is none."""
        return {kind: self._command(kind, "ray start") for kind in ("head", "worker")}

    @cached_property
    def stops(self) -> dict[str, str]:
        """The `ray stop` command of the head and of workers; "" where there is none."""
        return {kind: self._command(kind, "ray stop") for kind in ("head", "worker")}

    def _command(self, kind: str, wanted: str) -> str:
        commands = self.config.get(f"{kind}_start_ray_commands") or []
        return next((command for command in commands if wanted in command), "")


def exports(command: str) -> str:
    """What a command begins with, as `export PATH=/x:$PATH RAY_AUTH_MODE=token`; "" where it exports nothing."""
    found = re.match(r"\s*(export\s[^;&]+?)\s*(;|&&)", command)
    return found[1] if found else ""


def load_cluster(path: str) -> ClusterFile:
    """Read a cluster file and let Ray validate it; nothing is asked of a network.

    Raises:
        UserError: no such file, no YAML, a misspelt key (with the nearest known one), or whatever else Ray refuses.
    """
    file = find_file(path, "cluster file", None)
    raw = read_yaml(file, "cluster file")
    refuse_others(file, raw, "cluster file")
    if "apiVersion" in raw:
        raise UserError(f"{file} is a Kubernetes manifest, which kubectl launches: kubectl apply -f {file}")
    with _told(file):
        settings = Settings.model_validate(raw.get("metadata") or {})
        config = _prepared(yaml.safe_load(read_text(file, "cluster file")))  # as Ray reads it: YAML 1.1
    return ClusterFile(file.absolute(), config, settings)


def _prepared(raw: dict[str, Any]) -> dict[str, Any]:
    """The one place that calls Ray's validation, which is private to Ray."""
    import jsonschema
    from ray.autoscaler._private.providers import _NODE_PROVIDERS
    from ray.autoscaler._private.util import prepare_config, validate_config

    schema, provider = _schema(), raw.get("provider")
    if not isinstance(provider, dict) or "type" not in provider:
        raise UserError("`provider.type` is required: one of aws, gcp, local.")
    # Ray looks at the schema last, after it has worked with the values; `min_workers` it takes, and does not list.
    jsonschema.validate({key: value for key, value in raw.items() if key != "min_workers"}, schema)
    if provider["type"] not in _NODE_PROVIDERS:
        raise unknown_name("provider", provider["type"], [*_NODE_PROVIDERS])
    known = [*schema["properties"]["provider"]["properties"], *_PROVIDER_KEYS]
    for key in provider:
        if key not in known and get_close_matches(key, known, n=1, cutoff=0.8):
            raise UserError(f"`provider.{key}`: {unknown_name('key', key, known)}")
    config = prepare_config(copy.deepcopy(raw))
    validate_config(config)
    return dict(config)


def _schema() -> dict[str, Any]:
    import json

    from ray import autoscaler

    return dict(json.loads((Path(autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8")))


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    """Whatever pydantic, jsonschema and Ray have to say, as one line that names the file."""
    from jsonschema import ValidationError as SchemaError

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield
    except SchemaError as error:
        _refuse(file, error)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except ValidationError as error:
        raise UserError(f"{file}: metadata: {explain(error, Settings)}") from None
    except (Exception, SystemExit) as error:  # Ray's validation asserts, exits, and looks up keys that are not there
        raise UserError(f"{file}: Ray refuses it: {_refusal(said.getvalue(), error)}") from None


def _refusal(said: str, error: BaseException) -> str:
    """What Ray printed before it gave up, without its colours and time stamps, or else its exception's text."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    lines = [re.sub(r"^\S+ \S+\s+[A-Z]+ \S+ -- ", "", line) for line in plain.splitlines() if line.strip()]
    missing = f"the key {error} is required" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return " ".join(lines)[-300:] or missing


def _refuse(file: Path, error: Any) -> NoReturn:
    where = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        wrong = next(key for key in error.instance if key not in known)
        where = f"{where}.{wrong}".lstrip(".")
        raise UserError(f"{file}: `{where}`: {unknown_name('key', wrong, known)}")
    if error.validator == "type" and error.validator_value in _TYPES:
        message = f"must be {_TYPES[error.validator_value]}, found {_as_written(file, error.instance)}"
    else:
        message = str(error.message)[:200]
    raise UserError(f"{file}: `{where}`: {message}." if where else f"{file}: {message}.")


def _as_written(file: Path, value: Any) -> str:
    for line, text in read_otherwise(read_text(file, "cluster file")):
        if yaml.safe_load(text) == value:
            return f"{value!r}. {read_by_ray(line, text)}".removesuffix(".")
    return "nothing" if value is None else repr(value)[:80]


def read_by_ray(line: int, text: str) -> str:
    """What to say of a scalar that Ray reads otherwise than it is written for."""
    return (
        f"Line {line}: `{text[:80]}` is one thing in YAML 1.1, which Ray reads, and another in YAML 1.2. "
        "Write a text in quotes, a number in plain decimal digits (1.0e-3), a truth value as true or false."
    )

"""What every section of a file is made of: strict, frozen, named, and hashed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from go4align.errors import UserError


def is_name(text: str) -> bool:
    """Whether a study or a variant may be called so: the name is a folder, an experiment, and an argument that must not
    look like a file's or an option's."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text)) and not text.endswith((".yaml", ".yml"))


def _name(found: str) -> str:
    if is_name(found):
        return found
    raise UserError(
        "must be 1 to 64 of the characters A-Z, a-z, 0-9, `.`, `_` and `-`, begin with a letter or digit, and not end "
        f"like a file in .yaml or .yml, found {found[:80]!a}."
    )


Name = Annotated[str, AfterValidator(_name)]


class Section(BaseModel):
    """A part of a file: unknown keys are errors, nothing is converted (`true` is no number), values never change after
    reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


_LONGEST_TAG = 8000


class Kept(Section):
    """A section that MLflow keeps whole in a tag, to be read back."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """MLflow would cut the tag, and no later command could read the study."""
        length = len(json.dumps(self.model_dump(mode="json"), separators=(",", ":")))
        if length > _LONGEST_TAG:
            raise UserError(
                f"As JSON this must have at most {_LONGEST_TAG:,} characters, which MLflow keeps in a tag, found "
                f"{length:,}. Split it: name fewer variants or seeds."
            )
        return self


def digest(value: BaseModel | dict[str, Any]) -> str:
    """A short stable hash of a section, for tags and look-ups."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by key, of which those with a point are gathered: `{"factors.a": 1}` is `{"factors": {"a": 1}}`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        option, point, part = key.partition(".")
        if point:
            found.setdefault(option, {})[part] = value
        else:
            found[key] = value
    return found


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `nested`: what is gathered under a key, and the gathered as it is, too."""
    parts = {
        f"{key}.{part}": one
        for key, value in values.items()
        if isinstance(value, Mapping)
        for part, one in value.items()
    }
    return {**values, **parts}

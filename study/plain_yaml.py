"""YAML that holds what JSON can hold, read and written; one clear line for everything else."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from go4align.errors import UserError

_LARGEST = 500_000
"""Characters of a file, and of what its aliases unfold to; a long study has some thousands."""
_DEEPEST = 20
_TOO_DEEP = f"its values are nested more than {_DEEPEST} deep"
_TAG = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_PLAIN = {None, *(_TAG + kind for kind in ("null", "bool", "int", "float", "str", "seq", "map"))}


def read_yaml(path: Path, kind: str) -> dict[str, Any]:
    """A YAML mapping, or a `UserError` that names the file and line."""
    text = read_text(path, kind)
    try:
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except Exception as error:  # PyYAML has its own, and raises whatever a value does that does not fit its tag
        raise UserError(f"The {kind} {path} is not valid YAML: {_problem(error)}.") from None
    if not isinstance(data, dict):
        found = "nothing" if data is None else type(data).__name__
        raise UserError(f"The {kind} {path} must hold a mapping of keys to values, found {found}.")
    return data


def to_yaml(data: Any) -> str:
    """What `read_yaml` reads back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False)


def read_text(path: Path, kind: str) -> str:
    """The text of a regular file: a pipe may never begin, a device never end, and neither can be read again."""
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "a pipe or a device"
            raise UserError(f"The {kind} {path} must be a file, found {found}.")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise UserError(f"The {kind} {path} must be at most {_LARGEST:,} bytes long. Is it the right file?")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"The {kind} {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"The {kind} {path} must be text in UTF-8, found {error.reason} at byte {error.start}. Save it as UTF-8."
        ) from None


class _Loader(yaml.SafeLoader):
    """Takes what JSON can hold: null, true and false, finite numbers, texts that print, lists, and mappings of texts,
    each key once (the first value would be lost silently). As in YAML 1.2, 1e-3 is a number; a date is a text.
    """

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _check_extent(node)
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node, seen = super().compose_mapping_node(anchor), set()
        for key, _ in node.value:
            if key.tag not in {_TAG + "str", _TAG + "merge"}:
                raise _wrong(f"a key must be a text, found {_shown(key)}: put it in quotes", key)
            if key.value in seen:
                raise _wrong(f"the key '{key.value}' stands twice", key)
            seen.add(key.value)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        value = super().construct_object(node, deep)
        if isinstance(value, str) and not value.isprintable():
            raise _wrong(f"a text must hold printable characters only, found {_shown(node)}", node)
        if isinstance(value, int) and abs(value) >= 2**63:
            raise _wrong(f"a whole number must have at most 64 bits, found {_shown(node)}", node)
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong(f"a number must be finite, found {_shown(node)}", node)
        return value


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that `_Loader` would take for numbers."""


_Loader.yaml_constructors = {tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag in _PLAIN}
_Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] != _TAG + "timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(_TAG + "float", _EXPONENT, list("-+.0123456789"))


def _wrong(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _shown(node: yaml.Node) -> str:
    return repr(node.value[:40]) if isinstance(node, yaml.ScalarNode) else "a list or mapping"


def _check_extent(root: yaml.Node) -> None:
    """Refuse what is too deep or, with every alias written out, too long; an alias in what it names is both."""
    size, waiting = 0, [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        size += len(node.value) + 1
        if size > _LARGEST:
            raise _wrong("its aliases unfold to more than a file may hold", root)
        if depth > _DEEPEST:
            raise _wrong(_TOO_DEEP, node)
        if isinstance(node, yaml.SequenceNode):
            waiting += [(value, depth + 1) for value in node.value]
        if isinstance(node, yaml.MappingNode):
            waiting += [(part, depth + 1) for pair in node.value for part in pair]


def _problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        return line + ", ".join(part for part in (error.context, error.problem) if part)
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    return str(error) if isinstance(error, yaml.YAMLError) else f"a value does not fit its tag ({error})"

"""YAML that holds what JSON can hold, by the core schema of YAML 1.2; one clear line for everything else.

PyYAML reads YAML 1.1, where `1:30` is 90, `0100` is 64, `no` a truth value and `1e-3` a text: its rules are replaced.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from go4align.errors import UserError

_LARGEST = 500_000
"""Characters of a file, and of what its aliases unfold to; a long study has some thousands."""
_DEEPEST = 20
_TOO_DEEP = f"its values are nested more than {_DEEPEST} deep"
_TAG = "tag:yaml.org,2002:"
_NUMBER = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_CORE = {
    _TAG + "null": re.compile(r"(~|null|Null|NULL|)$"),
    _TAG + "bool": re.compile(r"(true|True|TRUE|false|False|FALSE)$"),
    _TAG + "int": re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"),
    _TAG + "float": re.compile(rf"({_NUMBER}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    _TAG + "merge": re.compile(r"<<$"),
}
"""Section 10.3.2 of YAML 1.2.2, and `<<` of 1.1; what nothing matches is a text."""
_OCTAL = re.compile(r"[-+]?0+[1-7][0-7]+$")
"""In YAML 1.1: here it is decimal."""


def read_yaml(path: Path, kind: str) -> dict[str, Any]:
    """A YAML mapping, or a `UserError` that names the file and line."""
    return parse_yaml(read_text(path, kind), path, kind)


def parse_yaml(text: str, path: Path, kind: str) -> dict[str, Any]:
    """As `read_yaml`, of a file whose text has been read."""
    try:
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except Exception as error:  # PyYAML has its own, and passes on what an impossible character raises
        raise UserError(f"The {kind} {path} is not valid YAML: {_problem(error)}.") from None
    if not isinstance(data, dict):
        found = "nothing" if data is None else type(data).__name__
        raise UserError(f"The {kind} {path} must hold a mapping of keys to values, found {found}.")
    return data


def to_yaml(data: Any) -> str:
    """What `read_yaml` reads back, and so does a reader of YAML 1.1."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False)


def read_otherwise(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of the scalars that YAML 1.1 reads otherwise, in a text that `parse_yaml` takes."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            here, there = (_tag(side, event.value) for side in (_Loader, yaml.SafeLoader))
            if event.start_mark and (here != there or _OCTAL.match(event.value)):
                yield event.start_mark.line + 1, event.value


def _tag(loader: type[yaml.SafeLoader], text: str) -> Any:
    """What a loader takes a plain scalar for."""
    return loader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]


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
    each key once (the first value would be lost silently)."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _check_extent(node)
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if key.tag not in {_TAG + "str", _TAG + "merge"}:
                raise _wrong(f"a key must be a text, found {_shown(key)}: put it in quotes", key)
            if key.value in seen:
                raise _wrong(f"the key '{key.value}' stands twice", key)
            seen.add(key.value)
        return node

    def construct_scalar(self, node: Any) -> str:
        text = str(super().construct_scalar(node))
        if node.tag in _CORE and not _CORE[node.tag].match(text):
            raise _wrong(f"{_shown(node)} does not fit its tag", node)
        if not text.isprintable():
            raise _wrong(f"a text must hold printable characters only, found {_shown(node)}", node)
        return text

    def construct_int(self, node: Any) -> int:
        digits = self.construct_scalar(node)
        number = int(digits, {"0o": 8, "0x": 16}.get(digits[:2], 10)) if len(digits) < 80 else math.inf
        if abs(number) >= 2**63:
            raise _wrong(f"a whole number must have at most 64 bits, found {_shown(node)}", node)
        return int(number)

    def construct_float(self, node: Any) -> float:
        number = self.construct_yaml_float(node)
        if not math.isfinite(number):
            raise _wrong(f"a number must be finite, found {_shown(node)}", node)
        return float(number)


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that a reader of either version would take for something else."""


_Loader.yaml_constructors = {
    **{_TAG + kind: yaml.SafeLoader.yaml_constructors[_TAG + kind] for kind in ("null", "bool", "str", "seq", "map")},
    _TAG + "int": _Loader.construct_int,
    _TAG + "float": _Loader.construct_float,
    None: yaml.SafeLoader.yaml_constructors[None],
}
_Loader.yaml_implicit_resolvers = {None: [*_CORE.items()]}
_Dumper.yaml_implicit_resolvers = {**yaml.SafeDumper.yaml_implicit_resolvers, None: [*_CORE.items()]}


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
    return str(error) if isinstance(error, yaml.YAMLError) else f"there is no such character ({error})"

"""YAML files: what JSON can hold is read as it was written, all else is refused in one line that says where."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from go4align import UserError
from study.spec.yaml import read_otherwise, read_yaml, to_yaml

PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=12)
NUMBER_LIKE = st.from_regex(r"[-+]?[0-9.]{1,3}(e[-+]?[0-9]{1,2})?", fullmatch=True)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | PRINTABLE | NUMBER_LIKE
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


def read(folder: Path, content: str | bytes) -> dict[str, Any]:
    path = folder / "file.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_yaml(path, "study file")


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_yaml(path, "study file")
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable() and len(message) < 500
    return message


@given(st.dictionaries(PRINTABLE | NUMBER_LIKE, PLAIN, max_size=4))
@example({"1e3": "2024-01-01", "on": "1e-3", "null": "0x10", "~": "1:30"})
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    assert read(tmp_path_factory.getbasetemp(), to_yaml(content)) == content


CORE: dict[str, Any] = {
    # What the core schema knows (section 10.3.2 of YAML 1.2.2),
    "null": None, "Null": None, "~": None, "": None, "true": True, "True": True, "FALSE": False,
    "0": 0, "-19": -19, "+12": 12, "0o14": 12, "0x3A": 58, "0100": 100, "-010": -10, "08": 8, "00": 0,
    "1e-3": 0.001, "1E5": 1e5, "-.5e2": -50.0, "1.": 1.0, ".5": 0.5, "12e03": 12000.0, "-2E+05": -2e5, "0.": 0.0,
    # and what it does not, though YAML 1.1 does.
    "1:30": "1:30", "12:00:00": "12:00:00", "1:30.5": "1:30.5", "1_000": "1_000", "0b11": "0b11", "1_0.5": "1_0.5",
    "yes": "yes", "No": "No", "on": "on", "OFF": "OFF", "y": "y", "=": "=", "nULL": "nULL", "tRUE": "tRUE",
    "2024-01-01": "2024-01-01", "2024-01-01 10:00:00": "2024-01-01 10:00:00", "-0o14": "-0o14", "0X3A": "0X3A",
    "1e-3x": "1e-3x", "+": "+", ".": ".", "e5": "e5", ".e5": ".e5", "0o8": "0o8", "0xg": "0xg", "+0x1": "+0x1",
}  # fmt: skip


@pytest.mark.parametrize("text", CORE)
def test_a_scalar_is_what_the_core_schema_says(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, f"a: {text}\nb: [{text}]\n")
    assert repr(found) == repr({"a": CORE[text], "b": [CORE[text]] if text else []})
    assert read(tmp_path, to_yaml({"a": text})) == {"a": text}, "as a text it is quoted"


@given(
    st.from_regex(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}", fullmatch=True).map(lambda text: (text, int))
    | st.from_regex(r"[-+]?(\.[0-9]{1,9}|[0-9]{1,9}\.[0-9]{0,9})([eE][-+]?[0-9]{1,2})?", fullmatch=True).map(
        lambda text: (text, float)
    )
)
def test_every_number_of_the_core_schema_is_one_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, written: tuple[str, type]
) -> None:
    text, kind = written
    found = read(tmp_path_factory.getbasetemp(), f"a: {text}")
    assert type(found["a"]) is kind
    assert found["a"] == (float(text) if kind is float else int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)))
    assert repr(read(tmp_path_factory.getbasetemp(), to_yaml(found))) == repr(found)


def test_anchors_merges_and_marks_read_as_their_authors_mean_them(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a")["b"] == {"x": 1, "y": 3}
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n") == {"a": 1, "b": 2}


@given(st.dictionaries(PRINTABLE | NUMBER_LIKE, PLAIN, max_size=4))
@example({"0o14": "0o14", "yes": "=", "<<": "0100"})
def test_a_reader_of_yaml_1_1_reads_what_is_written_here(content: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(content)) == content


@pytest.mark.parametrize("text", CORE)
def test_what_the_versions_read_differently_is_told_with_its_line(text: str) -> None:
    try:
        differs = repr(yaml.safe_load(f"a: {text}")) != repr({"a": CORE[text]})
    except yaml.YAMLError:
        differs = True
    assert list(read_otherwise(f"\na: {text}")) == ([(2, text)] if differs else [])
    assert list(read_otherwise(f"a: '{text}'")) == list(read_otherwise(f"a: !!str {text}")) == []


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n" for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)
WRONG: dict[str, tuple[str | bytes, str]] = {
    "billion laughs": (LAUGHS, "line 1: its aliases unfold to more than a file may hold"),
    "an alias in what it names": ("a: &a [*a]", "nested more than 20 deep"),
    "a merge of itself": ("a: &a {b: 1, <<: *a}", "nested more than 20 deep"),
    "deep lists": (f"a: {'[' * 50}{']' * 50}", "nested more than 20 deep"),
    "deeper than Python goes": ("[" * 5000, "nested more than 20 deep"),
    "deep mappings": ("\n".join(f"{' ' * i}a:" for i in range(400)), "nested more than 20 deep"),
    "a command": ("a: !!python/object/apply:os.system ['touch pwned']", "python/object/apply:os.system"),
    "a tag of one's own": ("a: !foo b", "'!foo'"),
    "bytes": ("a: !!binary aGk=", "binary"),
    "a set": ("a: !!set {b}", "set"),
    "no number": ("a: !!int ''", "does not fit its tag"),
    "no truth value": ("a: !!bool maybe", "does not fit its tag"),
    "not a number": ("a: 1\nb: .nan", "line 2: a number must be finite, found '.nan'"),
    "infinity": ("a: -.inf", "must be finite"),
    "a number beyond floats": ("a: 1e999", "must be finite"),
    "a number beyond 64 bits": ("a: 9223372036854775808", "at most 64 bits"),
    "a number that Python will not print": (f"a: 0x{'f' * 5000}", "at most 64 bits"),
    "a number that Python will not read": (f"a: {'9' * 5000}", "at most 64 bits"),
    "a time by a tag": ("a: !!int 1:30", "line 1: '1:30' does not fit its tag"),
    "underscores by a tag": ("a: !!float 1_0.5", "line 1: '1_0.5' does not fit its tag"),
    "a date by a tag": ("a: !!timestamp 2024-01-01", "timestamp"),
    "an impossible character": ('a: "\\UFFFFFFFF"', "there is no such character"),
    "a number as key": ("1: 2", "line 1: a key must be a text, found '1': put it in quotes"),
    "a truth value as key": ("true: 2", "a key must be a text, found 'true'"),
    "an octal number as key": ("0o14: 2", "a key must be a text, found '0o14'"),
    "a list as key": ("? [a]\n: 1", "a key must be a text"),
    "a key twice": ("a: 1\nb: {c: 1, c: 2}", "line 2: the key 'c' stands twice"),
    "a terminal escape": ('a: "\\e[2J"', r"printable characters only, found '\x1b[2J'"),
    "half a character": ('a: "\\ud800"', "printable characters only"),
    "a text turned around": ("a: \u202eb", "printable characters only"),
    "a text of several lines": ("a: |\n b\n c\n", "printable characters only"),
    "NUL": ("a: \x00", "#x0000"),
    "escaped NUL": ('a: "\\0"', "printable characters only"),
    "a tab": ("a:\n\tb: 1", "line 2: while scanning for the next token, found character"),
    "several documents": ("a: 1\n---\nb: 2", "expected a single document"),
    "an unknown alias": ("a: *nope", "undefined alias 'nope'"),
    "an unknown version": ("%YAML 9.9\n---\na: 1", "incompatible"),
    "an open quote": ("a: 'x", "unexpected end of stream"),
    "not UTF-8": (b"a: \xff", "must be text in UTF-8, found invalid start byte at byte 3"),
    "UTF-16": ("a: 1".encode("utf-16"), "must be text in UTF-8"),
    "an archive": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00\x9c", "UTF-8"),
    "a huge file": (b"a: " + b"x" * 500_000, "at most 500,000 bytes"),
    "a text": ("text", "must hold a mapping of keys to values, found str"),
    "a comment": ("# text", "found nothing"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_all_else_is_refused_in_one_line(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, expected = WRONG[case]
    path = tmp_path / "file.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert expected in refusal(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.yaml"]


def test_only_a_file_that_can_be_read_again_is_read(tmp_path: Path) -> None:
    assert "must be a file, found a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # would be waited for
    assert "found a pipe or a device" in refusal(tmp_path / "pipe")
    assert "found a pipe or a device" in refusal(Path("/dev/zero"))  # would never end


def test_a_file_without_permission_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:  # root may read everything
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "file.yaml").touch()
    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot be read: Permission denied" in refusal(tmp_path / "file.yaml")


def assert_read_or_refused(folder: Path, content: bytes) -> None:
    try:
        data = read(folder, content)
    except UserError as error:
        assert str(error).isprintable() and len(str(error)) < 500
    else:
        assert read(folder, to_yaml(data)) == data


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    assert_read_or_refused(tmp_path_factory.getbasetemp(), content)


INDICATORS = [*"[]{},:?-!&*|>'\"%@#`~=<\n\t 0e", ": ", "- ", "? ", "<<: ", "&a ", "*a", "!!int ", "--- ", "a: "]


@given(st.lists(st.sampled_from(INDICATORS) | st.characters(), max_size=25).map("".join))
def test_any_text_that_looks_like_yaml_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    assert_read_or_refused(tmp_path_factory.getbasetemp(), text.encode("utf-8", "surrogatepass"))

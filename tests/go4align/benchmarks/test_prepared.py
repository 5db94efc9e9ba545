"""Prepared data on disk: whole or absent, built once, the same digest wherever they lie."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from go4align import UserError
from go4align.benchmarks.prepared import find_prepared, open_prepared, progress, save_array

BUILT: list[Path] = []


def build(work: Path) -> None:
    BUILT.append(work)
    save_array(work, "images", np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    save_array(work, "labels", np.array([1, -1], np.int64))


def opened(folder: Path, version: int = 1) -> dict[str, np.ndarray]:
    return open_prepared(folder, build, version=version, data_set="Mine").arrays


def test_data_are_built_once_mapped_and_read_only(tmp_path: Path) -> None:
    BUILT.clear()
    for _ in range(2):
        arrays = opened(tmp_path / "made" / "here")
        assert list(arrays) == ["images", "labels"]
        assert all(isinstance(array, np.memmap) for array in arrays.values())
        np.testing.assert_array_equal(arrays["images"].ravel(), np.arange(24))
        with pytest.raises(ValueError, match="read-only"):
            arrays["labels"][0] = 0
    assert len(BUILT) == 1
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"here", "here.lock"}


def test_the_digest_is_of_names_and_contents_and_not_of_the_place(tmp_path: Path) -> None:
    def other(work: Path) -> None:
        build(work)
        save_array(work, "labels", np.array([1, 0], np.int64))

    def renamed(work: Path) -> None:
        build(work)
        (work / "labels.npy").rename(work / "classes.npy")

    found = {
        name: open_prepared(tmp_path / name, how, version=1, data_set="Mine").digest
        for name, how in {"a": build, "b": build, "other": other, "renamed": renamed}.items()
    }
    assert found["a"] == found["b"]
    assert len(set(found.values())) == 3
    assert open_prepared(tmp_path / "a", build, version=1, data_set="Mine").digest == found["a"]


@pytest.mark.parametrize("damage", ["truncated", "missing", "manifest", "version"])
def test_damaged_or_older_data_are_built_again(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    opened(folder)
    manifest = folder / "manifest.json"
    if damage == "truncated":
        (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-1])
    elif damage == "missing":
        (folder / "labels.npy").unlink()
    elif damage == "manifest":
        manifest.write_text("{")
    else:
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 0}))
    assert find_prepared(folder, 1) is None
    BUILT.clear()
    np.testing.assert_array_equal(opened(folder)["labels"], [1, -1])
    assert len(BUILT) == 1 and find_prepared(folder, 1) and not find_prepared(folder, 2)


def test_a_build_that_fails_leaves_nothing_and_a_killed_ones_folder_is_removed(tmp_path: Path) -> None:
    def failing(work: Path) -> None:
        build(work)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_prepared(tmp_path / "data", failing, version=1, data_set="Mine")
    assert [path.name for path in tmp_path.iterdir()] == ["data.lock"]
    (tmp_path / ".data.1.partial").mkdir()
    opened(tmp_path / "data")
    assert {path.name for path in tmp_path.iterdir()} == {"data", "data.lock"}


def test_a_place_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Mine's folder .*file/x cannot be made: Not a directory.*GO4ALIGN_HOME"):
        opened(tmp_path / "file" / "x" / "data")


def test_progress_is_a_bar_on_a_terminal_and_two_lines_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("Mine", "molecules", 1000) as report:
        report(400)
    assert capsys.readouterr().err == "Mine: converting 1,000 molecules, once\nMine: converted\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("Mine", "molecules", 1000) as report:
        report(1000)
    assert "1000/1000" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "rich.console", None)  # the library alone
    with progress("Mine", "molecules", None):
        pass
    assert capsys.readouterr().err == "Mine: converting molecules, once\nMine: converted\n"

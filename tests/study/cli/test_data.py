"""`study data` and `study doctor` as a person types them."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import write_tree
from typer.testing import CliRunner

from go4align import UserError
from study.cli import app


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return write_tree(tmp_path / "tree", train=4, val=2, size=(8, 10))


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, UserError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, " ".join(result.output.split())


def test_data_are_prepared_once_and_again_on_request(tree: Path) -> None:
    code, told = run("data", "nyuv2", "--root", str(tree))
    assert code == 0
    assert "train_image: 4 x 8 x 10 x 3 uint8" in told
    digest = re.search(r"digest (\w{16})", told)[1]
    code, shown = run("data", "nyuv2")
    assert code == 0 and digest in shown
    code, told = run("data", "nyuv2", "--root", str(tree))
    assert code == 0 and f"prepared already from {tree}" in told and "--again" in told
    np.save(tree / "train" / "label" / "0.npy", np.zeros((8, 10)))
    code, told = run("data", "nyuv2", "--root", str(tree), "--again")
    assert code == 0 and digest not in told


def test_the_doctor_finds_nothing_wrong_and_draws(tree: Path) -> None:
    code, told = run("doctor", "nyuv2", "--root", str(tree), "--picture", "seen.png")
    assert code == 0
    assert "8 x 10 pixels, all alike" in told and "4 samples, published are 795" in told
    with Image.open("seen.png") as picture:
        assert picture.width > 40 and picture.height > 5 * 8
    assert not Path("home").exists()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: np.save(root / "train/label/0.npy", np.full((8, 10), 40)), "labels must be 0 to 12"),
        (lambda root: [np.save(p, np.load(p)[:5]) for p in root.glob("val/*/1.npy")], "several: 5 x 10, 8 x 10"),
        (lambda root: (root / "val/depth/1.npy").unlink(), "1 without depth"),
        (lambda root: [np.save(p, np.load(p) / 10) for p in root.glob("*/depth/*.npy")], "metres;"),
        (lambda root: [np.save(p, np.zeros((8, 10))) for p in root.glob("train/depth/*.npy")], "no pixel has a depth"),
        (lambda root: [np.save(p, np.full((8, 10), -1)) for p in root.glob("val/label/*.npy")], "every pixel is void"),
        (
            lambda root: [np.save(p, np.zeros((8, 10, 3))) for p in root.glob("val/normal/*.npy")],
            "no pixel has a normal",
        ),
        (lambda root: [np.save(p, np.load(p) / 255) for p in root.glob("train/image/*.npy")], "nothing but black"),
        (lambda root: (root / "train/image/2.npy").write_bytes(b"nothing"), "cannot be read"),
    ],
)
def test_the_doctor_finds_what_is_wrong_with_its_remedy_and_ends_with_code_1(tree: Path, spoil, told: str) -> None:
    spoil(tree)
    code, output = run("doctor", "nyuv2", "--root", str(tree))
    assert code == 1
    assert told in output and "wrong" in output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data", "nyuv"], "Unknown benchmark 'nyuv'. Did you mean 'nyuv2'"),
        (["data", "nyuv2"], "The data of 'nyuv2' are not on this machine"),
        (["data", "nyuv2", "--again"], "Either --root or --raw is required, found neither. Get the folder nyuv2"),
        (["data", "nyuv2", "--root", "tree", "--raw", "x"], "found both"),
        (["data", "nyuv2", "--root", "nowhere"], "`--root` must be a folder, found none at"),
        (["data", "toy", "--root", "tree"], "'toy' makes its data itself: there is nothing to prepare"),
        (["data", "celeba", "--root", "tree"], "must hold Anno/list_attr_celeba.txt"),
        (["data", "nyuv2", "--root", "tree", "--choose", "a=b"], "--choose goes with --raw"),
        (["doctor", "toy", "--root", "tree"], "there is nothing to prepare"),
        (["doctor", "qm9", "--root", "tree"], "nothing to look at"),
        (
            ["doctor", "nyuv2", "--root", "tree", "--picture", "no/such/folder.png"],
            "no/such/folder.png cannot be written",
        ),
    ],
)
@pytest.mark.usefixtures("tree")
def test_wrong_input_is_one_line_and_code_2(words: list[str], told: str) -> None:
    code, output = run(*words)
    assert code == 2
    assert told in output and "\n" not in output


@pytest.mark.usefixtures("tree")
def test_a_study_without_its_data_says_how_to_get_them_and_one_with_other_data_what_differs() -> None:
    code, told = run("run", "nyuv2-cpu")
    assert code == 2
    assert "The data of 'nyuv2' are not on this machine" in told and "study data nyuv2 --root DIR" in told

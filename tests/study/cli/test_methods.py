"""`study methods`, and what `all` means."""

from typer.testing import CliRunner

from go4align import available_methods, torchjd_methods
from study.cli import app
from study.spec import method_names


def test_every_method_is_listed_and_the_others_have_a_reason() -> None:
    shown = CliRunner().invoke(app, ["methods"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    rows = {cells[1].strip() for line in shown.output.splitlines() if len(cells := line.split("│")) > 2}
    assert rows - {""} == {*available_methods(), *torchjd_methods()}
    assert "torchjd.modo is no method here: it needs the gradients of two independent batches" in shown.output


def test_all_methods_are_our_own() -> None:
    assert method_names("all") == [name for name in available_methods() if name != "stl"]
    assert method_names("ls, torchjd.upgrad") == ["ls", "torchjd.upgrad"]

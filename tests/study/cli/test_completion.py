"""What the Tab key offers."""

from pathlib import Path

import pytest

from study import cli


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("study re", ["resume", "report"]),
        ("study run to", ["toy"]),
        ("study run qm9-ablation-c", ["qm9-ablation-clusterings", "qm9-ablation-components"]),
        ("study run toy --methods al", ["all"]),
        ("study run toy --methods ls,go", ["ls,go4align"]),
        ("study run toy --methods famo,si,f", []),
        ("study run toy --methods ls,torchjd.upg", ["ls,torchjd.upgrad"]),
        ("study best toy --method fa", ["famo"]),
        ("study best al", ["alpha"]),
        ("study rm al", ["alpha"]),
        ("study final al", ["alpha", "also.yaml"]),
        ("study run toy --warm-start a", ["alpha"]),
        ("study resume studies/a", ["studies/alpha/"]),
        ("study train a", ["also.yaml"]),
        ("study down a", ["also.yaml"]),
        ("study attach also.yaml a", ["alpha"]),
        ("study cluster check also.yaml qm9-d", ["qm9-demo", "qm9-demo-all"]),
        ("study run nobody/", []),
        ("study run ~nobody-here/", []),
    ],
)  # fmt: skip
def test_names_and_files_are_offered(
    line: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studies" / "alpha").mkdir(parents=True)
    (tmp_path / "also.yaml").touch()
    (tmp_path / "also.txt").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path))
    monkeypatch.setenv("_STUDY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit):
        cli.app(prog_name="study")
    assert capsys.readouterr().out.split() == offered

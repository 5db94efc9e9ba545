"""The steps of a launch, without a cluster: what would run, and what is made of what it says."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from go4align.errors import RunFailedError, UserError
from study import cli
from study.cluster.files import load_cluster
from study.cluster.launcher import Look, Step, attach_steps, down_steps, look_steps, ssh
from study.cluster.runner import left_behind, run_steps
from study.cluster.staging import stage
from study.spec.loading import load_study

ROOT = Path(__file__).parents[3]


def shell(words: str, *, silent: bool = False, remedy: str = "") -> Step:
    return Step("Try", ["sh", "-c", words], silent=silent, remedy=remedy)


def study(monkeypatch: pytest.MonkeyPatch, capsys: Any, *words: object) -> str:
    monkeypatch.setattr(sys, "argv", ["study", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    return str(capsys.readouterr().out)


def test_a_dry_run_prints_every_step(cluster_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    words = ["launch", cluster_path, "toy", "--dry-run", "--methods", "ls,uw", "--max-hours", "2", "--final"]
    out = study(monkeypatch, capsys, *words, "--tracking-uri", "http://me:secret@10.0.0.9:5000")
    steps = [line for line in out.splitlines() if line.startswith("[")]
    assert [step.partition("] ")[2] for step in steps] == [
        "Reach 10.0.0.10",
        "Reach 10.0.0.11",
        "Make a token for the cluster, if there is none",
        "Start the cluster",
        "Wait for nodes and GPUs",
        "Submit the study",
        "Follow the study",
    ]
    ray = Path(sys.executable).with_name("ray")
    assert f"{ray} get-auth-token --generate" in out
    assert f"{ray} up --yes --no-restart" in out
    assert "study cluster ready toy --nodes 2 --gpus 2 --room 0" in out
    assert "ray job submit --no-wait --submission-id toy-" in out
    assert "-- study cluster job toy --methods ls,uw --max-hours 2.0 --final --tracking-uri" in out
    assert "RAY_AUTH_MODE=token" in out and "GO4ALIGN_HOME=/mnt/go4align/home" in out
    assert "secret" not in out


def test_attach_and_down_print_theirs(cluster_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert "study cluster follow qm9" in study(monkeypatch, capsys, "attach", cluster_path, "qm9", "--dry-run")
    out = study(monkeypatch, capsys, "down", cluster_path, "--dry-run")
    assert out.index("Stop Ray on 10.0.0.10") < out.index("Stop Ray on 10.0.0.11") < out.index("down --yes")
    assert "Look for Ray on 10.0.0.11" in out


def test_a_cloud_is_asked_what_is_left() -> None:
    cluster = load_cluster(str(ROOT / "cluster.yaml"))
    assert [step.command[1] for step in down_steps(cluster)] == ["down"]
    assert [look.step.command[1] for look in look_steps(cluster)] == ["get-head-ip", "get-worker-ips"]


def test_workers_behind_the_heads_outer_address(cluster_path: Path) -> None:
    content = yaml.safe_load(cluster_path.read_text())
    content["provider"]["external_head_ip"] = "203.0.113.7"
    cluster_path.write_text(yaml.safe_dump(content))
    cluster = load_cluster(str(cluster_path))
    assert ssh(cluster, "10.0.0.10", "true")[-2:] == ["me@203.0.113.7", "true"]
    through = ssh(cluster, "10.0.0.11", "true")
    assert through[-2] == "me@10.0.0.11"
    assert any(word.startswith("ProxyCommand=") and word.endswith("-W %h:%p me@203.0.113.7") for word in through)


def test_output_is_shown_without_chatter_and_a_failure_ends_it(tmp_path: Path, capsys: Any) -> None:
    said = "echo 'Fetched IP: 1.2.3.4'; printf '\\033[32mhello\\033[39m\\r\\n'; echo Next steps; echo Query"
    steps = [shell(said), shell("echo oops; exit 3", silent=True, remedy="Mend it."), shell("echo never")]
    with pytest.raises(RunFailedError, match=r"'Try' failed with exit code 3\. Mend it\."):
        run_steps(steps, Console(width=80), folder=tmp_path)
    assert capsys.readouterr().out.split() == ["[1/3]", "Try", "hello", "[2/3]", "Try", "oops"]


def test_a_cluster_that_does_not_run_is_told_without_a_traceback(cluster_path: Path, capsys: Any) -> None:
    cluster = load_cluster(str(cluster_path))
    with pytest.raises(RunFailedError, match=f"Where no cluster runs: study launch {cluster_path}"):
        run_steps(attach_steps(cluster), Console(width=200), folder=cluster_path.parent)
    out = capsys.readouterr().out
    assert out.endswith("  The head of go4align-on-premise does not run.\n")
    assert "Traceback" not in out


def test_any_other_traceback_is_shown(tmp_path: Path, capsys: Any) -> None:
    said = "printf 'Traceback (most recent call last):\n  File x\nKeyError: 1\n'"
    run_steps([shell(said)], Console(width=80), folder=tmp_path)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  Traceback (most recent call last):", "    File x", "  KeyError: 1",
    ]  # fmt: skip


def test_silence_hides_what_succeeds_and_going_on_goes_on(tmp_path: Path, capsys: Any) -> None:
    steps = [shell("echo secret", silent=True), shell("exit 1"), shell("echo last")]
    run_steps(steps, Console(width=80), folder=tmp_path, go_on=True)
    out = capsys.readouterr().out
    assert "secret" not in out and "last" in out and "exit code 1" in out


def test_what_is_left_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ssh"  # in the place of ssh: the last argument is the command
    fake.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def look(words: str) -> list[str]:
        return left_behind([Look("10.0.0.11", Step("Look", ["ssh", "me@10.0.0.11", words]))], tmp_path)

    assert look("echo '  17 Ssl  raylet'; echo '  18 S bash'") == ["10.0.0.11 still runs raylet (process 17)"]
    assert look("echo '  17 Z    raylet'; echo '  18 S my-raylet'") == [], "one that is dead, and one by another name"
    assert look("echo '  5 Sl gcs_server'") == ["10.0.0.11 still runs gcs_server (process 5)"]
    [unknown] = look("echo refused; exit 255")
    assert "10.0.0.11 does not answer" in unknown and "refused" in unknown


def test_what_a_cloud_still_has_is_named(tmp_path: Path) -> None:
    assert left_behind([Look("workers", shell("echo 10.1.1.1"))], tmp_path) == ["workers: 10.1.1.1"]
    assert left_behind([Look("the head", shell("echo none; exit 1"))], tmp_path) == []


def test_a_study_travels_with_its_search_space(cluster_path: Path, tmp_path: Path) -> None:
    cluster = load_cluster(str(cluster_path))
    (tmp_path / "space.yaml").write_text((ROOT / "search_spaces" / "toy.yaml").read_text())
    text = (ROOT / "study" / "presets" / "toy.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("search_space: toy", "search_space: ./space.yaml  # mine"))
    source = str(tmp_path / "mine.yaml")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    staged = stage(source, load_study(source), Path(source).read_text(), cluster, scratch)
    assert staged.source == "/mnt/go4align/home/launched/toy/study.yaml"
    sent = load_study(str(scratch / "study.yaml"))
    assert Path(sent.search_space).read_text() == (tmp_path / "space.yaml").read_text()
    assert text.splitlines()[0] in (scratch / "study.yaml").read_text(), "comments travel too"


def test_a_search_space_in_an_odd_place_is_told(cluster_path: Path, tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "study" / "presets" / "toy.yaml").read_text())
    (tmp_path / "space.yaml").write_text((ROOT / "search_spaces" / "toy.yaml").read_text())
    flow = yaml.safe_dump(content | {"search_space": "./space.yaml"}, default_flow_style=True)
    (tmp_path / "mine.yaml").write_text(flow)
    (tmp_path / "scratch").mkdir()
    source = str(tmp_path / "mine.yaml")
    with pytest.raises(UserError, match="on a line of its own"):
        stage(source, load_study(source), flow, load_cluster(str(cluster_path)), tmp_path / "scratch")


def test_a_preset_need_not_travel(cluster_path: Path, tmp_path: Path) -> None:
    assert stage("toy", load_study("toy"), "", load_cluster(str(cluster_path)), tmp_path) == ("toy", None)

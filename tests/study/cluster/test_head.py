"""What runs on the head, on a Ray of one node."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trees import write_tree

from go4align.benchmarks.nyuv2.source import NYUv2Source
from go4align.errors import RunFailedError, UserError
from study import cli
from study.cluster import head
from study.cluster.nodes import Expected
from study.spec import BenchmarkSection
from study.spec.run_sections import Resources

pytestmark = pytest.mark.usefixtures("ray_cluster")

TOY = BenchmarkSection(name="toy")


def test_it_waits_for_nodes_and_says_what_is_missing() -> None:
    said: list[str] = []
    head.wait_until_ready(Expected(nodes=1, gpus=0, room=2), Resources(), TOY, minutes=1, tell=said.append)
    assert said == ["1/1 nodes, 0/0 GPUs after 0 s"]
    with pytest.raises(RunFailedError, match="Only 1 of 3 nodes with 0 of 4 GPUs joined within 0 minutes"):
        head.wait_until_ready(Expected(nodes=3, gpus=4, room=0), Resources(), TOY, minutes=0, tell=said.append)


def test_storage_that_a_node_does_not_see_is_told(
    go4align_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    head._check_storage(said.append)
    assert said == [f"All nodes see {go4align_home}"]
    assert not list(go4align_home.glob(".seen-*"))
    [(address, sees)] = head._ask_every_node(head._sees, tmp_path / "no" / "such")
    assert address and not sees
    monkeypatch.setattr(head, "_ask_every_node", lambda ask, mark: [("10.0.0.11", False), ("10.0.0.10", True)])
    with pytest.raises(UserError, match=r"storage that all nodes share, but 10\.0\.0\.11 does not see"):
        head._check_storage(said.append)


def test_nodes_without_the_heads_data_are_told_before_anything_trains(
    tmp_path: Path, go4align_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = BenchmarkSection(name="nyuv2", val_size=1)
    said: list[str] = []
    head._check_data(TOY, said.append)
    assert said == [], "data that are made where they are needed"
    with pytest.raises(UserError, match="The data of 'nyuv2' are not on this machine .*study data nyuv2 --root"):
        head._check_data(section, said.append)
    source = NYUv2Source()
    prepared, _ = source.prepare(write_tree(tmp_path / "tree", train=2, val=1), (), ())
    try:
        head._check_data(section, said.append)
        assert said == [f"All nodes have the data of nyuv2 ({prepared.digest})"]
        answers = [("10.0.0.10", prepared.digest), ("10.0.0.11", None), ("10.0.0.12", "f" * 16)]
        monkeypatch.setattr(head, "_ask_every_node", lambda ask, about: answers)
        with pytest.raises(
            UserError, match=r"10\.0\.0\.11 has none, 10\.0\.0\.12 has other ones .f{16}.*rsync -a"
        ) as told:
            head._check_data(section, said.append)
        assert f"{go4align_home}/data/nyuv2/ 10.0.0.11:" in str(told.value)
    finally:
        shutil.rmtree(source.folder)


def test_jobs_are_told_apart_by_their_study(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.job_submission import JobStatus

    def job(study: str | None, status: JobStatus, name: str) -> Any:
        return SimpleNamespace(metadata={"study": study} if study else None, status=status, submission_id=name)

    jobs = [job("a", JobStatus.SUCCEEDED, "a-1"), job("a", JobStatus.RUNNING, "a-2"), job(None, JobStatus.RUNNING, "x")]
    monkeypatch.setattr(head, "_client", lambda: SimpleNamespace(list_jobs=lambda: jobs))
    assert head.running_job("a") == "a-2"
    assert head.running_job("b") is None
    with pytest.raises(UserError, match="No study 'b' was launched"):
        head.follow("b", print)


@pytest.mark.slow
def test_the_job_runs_a_study_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: launched\nbenchmark: {name: toy}\ntraining: {epochs: 1, batch_size: 64, lr: 0.01}\nmethods: [ls]\n"
        "search_space: toy\nbudget: {trials: 2}\n"
    )
    uri = f"sqlite:///{tmp_path / 'launched.db'}"

    def job(*options: str) -> str:
        words = ["study", "cluster", "job", str(file), "--tracking-uri", uri, *options]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr().out

    out = job("--methods", "ls,uw", "--max-trials", "2")
    assert "Connecting to Ray at auto" in out and "reference: 6 trials" in out and "search: 2 trials" in out
    assert "The search of 'launched' is complete." in job("--methods", "ls,uw")

"""What runs on the head, on a Ray of one node."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from go4align.errors import RunFailedError, UserError
from study.cluster import head
from study.cluster.nodes import Expected
from study.config import Resources

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_it_waits_for_nodes_and_says_what_is_missing() -> None:
    said: list[str] = []
    head.wait_until_ready(Expected(nodes=1, gpus=0, room=2), Resources(), minutes=1, tell=said.append)
    assert said == ["1/1 nodes, 0/0 GPUs after 0 s"]
    with pytest.raises(RunFailedError, match="Only 1 of 3 nodes with 0 of 4 GPUs joined within 0 minutes"):
        head.wait_until_ready(Expected(nodes=3, gpus=4, room=0), Resources(), minutes=0, tell=said.append)


def test_storage_that_a_node_does_not_see_is_told(
    go4align_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    head._check_storage(said.append)
    assert said == [f"All nodes see {go4align_home}"]
    assert not list(go4align_home.glob(".seen-*"))
    [(address, sees)] = head._ask_every_node(tmp_path / "no" / "such")
    assert address and not sees
    monkeypatch.setattr(head, "_ask_every_node", lambda mark: [("10.0.0.11", False), ("10.0.0.10", True)])
    with pytest.raises(UserError, match=r"storage that all nodes share, but 10\.0\.0\.11 does not see"):
        head._check_storage(said.append)


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

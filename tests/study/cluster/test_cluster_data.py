"""Which hosts lack a study's data, as `study cluster check` finds out by ssh; here sh takes the place of ssh."""

import sys
from pathlib import Path
from typing import Any

import pytest
from trees import write_tree

from go4align.benchmarks.nyuv2.source import NYUv2Source
from study import cli
from study.cluster import data_findings, data_looks, load_cluster

ROOT = Path(__file__).parents[3]
HOSTS = ("10.0.0.10", "10.0.0.11")

FAKE_SSH = """#!/bin/sh
# The last argument is the command, the one before it says which host.
for last; do host=$this; this=$last; done
case $host in *{unreachable}) exit 255;; esac
export GO4ALIGN_HOME={homes}/${{host#*@}} PATH={path}
eval "$(echo "$last" | sed 's/.*; //')"
"""


@pytest.fixture(autouse=True)
def nodes_without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(tmp_path, monkeypatch)


def fake_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, unreachable: str = "none") -> None:
    fake = folder / "bin" / "ssh"
    fake.parent.mkdir(exist_ok=True)
    found = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    fake.write_text(FAKE_SSH.format(homes=folder, path=found, unreachable=unreachable))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")


def prepare(home: Path, monkeypatch: pytest.MonkeyPatch, train: int = 2) -> str:
    tree = write_tree(home / "tree", train=train, val=1)
    with monkeypatch.context() as patch:
        patch.setenv("GO4ALIGN_HOME", str(home))
        return NYUv2Source().prepare(tree, (), ())[0].digest


def found(cluster_path: Path) -> list[str]:
    cluster = load_cluster(str(cluster_path))
    return data_findings(data_looks(cluster, "nyuv2"), NYUv2Source(), cluster_path.parent)


def test_hosts_without_data_and_with_other_ones_are_named(
    tmp_path: Path, cluster_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = found(cluster_path)
    assert [line.split()[0] for line in nowhere] == list(HOSTS)
    assert all(
        "has no data of 'nyuv2'. Get the folder" in line and "study data nyuv2 --root DIR" in line for line in nowhere
    )
    digest = prepare(tmp_path / HOSTS[0], monkeypatch)
    folder = f"{tmp_path}/{HOSTS[0]}/data/nyuv2/"
    [lacking] = found(cluster_path)
    assert lacking == (
        f"10.0.0.11 has no data of 'nyuv2'. Bring them from 10.0.0.10, there: rsync -a --mkpath --delete {folder} "
        f"10.0.0.11:{folder}"
    )
    other = prepare(tmp_path / HOSTS[1], monkeypatch, train=3)
    [differs] = found(cluster_path)
    assert f"10.0.0.11 has other data of 'nyuv2' (digest {other}) than 10.0.0.10 ({digest}). Bring" in differs
    fake_ssh(tmp_path, monkeypatch, unreachable="10.0.0.11")
    assert found(cluster_path) == ["10.0.0.11 does not answer, so whether it has the data of 'nyuv2' is unknown."]


@pytest.mark.parametrize("name", ["toy", "qm9", "nyuv2-demo"])
def test_a_study_whose_data_are_made_or_fetched_asks_no_host(
    name: str, tmp_path: Path, cluster_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake_ssh(tmp_path, monkeypatch, unreachable="")
    assert check(cluster_path, name, monkeypatch) == 0
    assert "Asking" not in capsys.readouterr().out


def test_check_ends_with_code_2_where_a_host_lacks_the_data(
    tmp_path: Path, cluster_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    prepare(tmp_path / HOSTS[0], monkeypatch)
    assert check(cluster_path, "nyuv2", monkeypatch) == 2
    told = capsys.readouterr()
    assert "Asking 2 hosts for the data of nyuv2" in told.out
    assert "study: c.yaml: 10.0.0.11 has no data of 'nyuv2'." in told.err
    prepare(tmp_path / HOSTS[1], monkeypatch)
    assert check(cluster_path, "nyuv2", monkeypatch) == 0
    assert "All of them have the same." in capsys.readouterr().out


def test_nodes_of_a_cloud_are_asked_once_they_are_there(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert check(ROOT / "cluster.yaml", "nyuv2", monkeypatch) == 0
    assert "Every node needs the data of nyuv2" in capsys.readouterr().out


def check(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "argv", ["study", "cluster", "check", str(path), name])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0

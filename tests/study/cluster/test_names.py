"""What a cluster file names wrongly is found without a network, one line each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from go4align import UserError
from study.cluster.checks import findings
from study.cluster.files import load_cluster
from study.cluster.names import _fault

ROOT = Path(__file__).parents[3]
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The findings of a shipped file with a change."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def check(edit: Edit, name: str = "clusters/on-premise.yaml") -> list[str]:
        content = yaml.safe_load((ROOT / name).read_text())
        content["file_mounts"]["~/go4align-study"] = str(ROOT)
        content["auth"].pop("ssh_private_key", None)
        edit(content)
        path = tmp_path / "edited.yaml"
        path.write_text(yaml.safe_dump(content))
        return findings(load_cluster(str(path)))

    return check


def _worker(old: str, new: str, kind: str = "worker") -> Edit:
    def edit(content: dict[str, Any]) -> None:
        key = f"{kind}_start_ray_commands"
        content[key] = [command.replace(old, new) for command in content[key]]

    return edit


def test_the_shipped_file_has_none(found: Callable[..., list[str]]) -> None:
    assert found(lambda c: None) == []


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (lambda c: c["auth"].pop("ssh_user"), ["`auth.ssh_user` is required"]),
        (lambda c: c["auth"].update(ssh_user="a b"), ["`auth.ssh_user`", "'a b'"]),
        (lambda c: c.pop("auth"), ["`auth.ssh_user` is required"]),
        (lambda c: c["provider"].update(worker_ips=["10.0.0.11", "10.0.0.11"]), ["holds 10.0.0.11 2 times"]),
        (lambda c: c["provider"].update(worker_ips=["node1", "Node1."]), ["holds node1 2 times"]),
        (lambda c: c["provider"].update(worker_ips=["10.0.0.10"]), ["holds the head, 10.0.0.10"]),
        (lambda c: c["provider"].update(worker_ips=["10.0.0.300"]), ["`provider.worker_ips.0`", "no IPv4 address"]),
        (lambda c: c["provider"].update(head_ip="10.0.0.10:22"), ["`provider.head_ip`", "has a port"]),
        (lambda c: c["provider"].update(head_ip="me@10.0.0.10"), ["`provider.head_ip`", "`auth.ssh_user`"]),
        (lambda c: c["provider"].update(head_ip=""), ["`provider.head_ip`", "empty"]),
        (lambda c: c["provider"].update(head_ip="YOUR_HEAD_NODE_HOSTNAME"), ["`provider.head_ip`", "placeholder"]),
        (lambda c: c["provider"].update(worker_ips=["-a.b"]), ["`provider.worker_ips.0`", "a host's name is"]),
        (lambda c: c["provider"].update(worker_ips=[11]), ["`provider.worker_ips.0`", "in quotes"]),
        (lambda c: c["provider"].update(external_head_ip="1.2.3.400"), ["`provider.external_head_ip`", "IPv4"]),
        (lambda c: c.update(cluster_name="a/b"), ["`cluster_name`", "'a/b'"]),
        (lambda c: c.update(cluster_name=""), ["`cluster_name`"]),
        (_worker("6379", "6380"), ["join port 6380", "listens on 6379"]),
        (_worker("--port=6379", "--port=6000", "head"), ["join port 6379", "listens on 6000"]),
        (_worker("$RAY_HEAD_IP", "10.0.0.99"), ["join 10.0.0.99", "not the head"]),
        (_worker("--address=$RAY_HEAD_IP:6379", ""), ["must have `--address"]),
        (_worker("--head ", "", "head"), ["must have `--head`"]),
        (_worker("--autoscaling-config=~/ray_bootstrap_config.yaml", "", "head"), ["must have `--autoscaling-config"]),
        (lambda c: c["metadata"]["environment"].update({"A=B": "x"}), ["`metadata.environment`", "'A=B'"]),
    ],
)
def test_each_fault_is_one_line(found: Callable[..., list[str]], edit: Edit, parts: list[str]) -> None:
    [line] = found(edit)
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_a_head_on_its_default_port_is_joined_there(found: Callable[..., list[str]]) -> None:
    assert found(_worker("--port=6379 ", "", "head")) == []
    assert found(_worker("$RAY_HEAD_IP", "${RAY_HEAD_IP}")) == []
    assert found(_worker("--address=$RAY_HEAD_IP:6379", "--address '10.0.0.10:6379'")) == []


@pytest.mark.parametrize(("name", "key"), [("cluster.yaml", "region"), ("clusters/gcp.yaml", "project_id")])
def test_a_cloud_needs_its_place(found: Callable[..., list[str]], name: str, key: str) -> None:
    [line] = found(lambda c: c["provider"].pop(key), name)
    assert f"`provider.{key}` is required" in line


def test_what_ray_asserts_is_one_line(found: Callable[..., list[str]]) -> None:
    with pytest.raises(UserError, match="Ray refuses it: Must provide a container & image name"):
        found(lambda c: c.update(docker={"image": "x"}))
    with pytest.raises(UserError, match="Ray refuses it: Please supply a `head_ip`"):
        found(lambda c: c["provider"].pop("head_ip"))


@given(st.ip_addresses().map(str))
def test_every_address_is_one(address: str) -> None:
    assert _fault(address) == ""


@pytest.mark.parametrize("host", ["node1", "gpu-01.lab.example.org", "node1.", "10-0-0-1", "localhost"])
def test_names_of_hosts(host: str) -> None:
    assert _fault(host) == ""

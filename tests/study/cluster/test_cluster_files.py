"""Cluster files: the shipped ones are in order, and every fault is one line that says what to do."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from go4align import UserError
from study import cli
from study.cluster.checks import findings
from study.cluster.files import exports, load_cluster
from study.cluster.nodes import Expected, expected
from study.spec.loading import load_study
from study.spec.run_sections import Resources
from study.spec.study_file import StudyFile

ROOT = Path(__file__).parents[3]
SHIPPED = ["cluster.yaml", "clusters/gcp.yaml", "clusters/on-premise.yaml"]
RAY = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("ray=="))

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with the ssh key that on-premise.yaml names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").touch()


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., str]:
    """A shipped file with a change."""

    def write(edit: Edit, name: str = "clusters/on-premise.yaml") -> str:
        content = yaml.safe_load((ROOT / name).read_text())
        content["file_mounts"]["~/go4align-study"] = str(ROOT)
        edit(content)
        path = tmp_path / "edited.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def gpus(number: float, cpus: float = 4) -> StudyFile:
    return load_study("toy").model_copy(update={"resources": Resources(cpus=cpus, gpus=number)})


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_have_no_faults(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    cluster = load_cluster(str(ROOT / name))
    assert findings(cluster) == []
    assert findings(cluster, load_study("qm9")) == []
    monkeypatch.setattr(sys, "argv", ["study", "cluster", "check", str(ROOT / name), "qm9"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "No faults found" in capsys.readouterr().out


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_install_this_project_with_its_constraints(name: str) -> None:
    cluster = load_cluster(str(ROOT / name))
    assert (cluster.path.parent / cluster.config["file_mounts"]["~/go4align-study"]).samefile(ROOT)
    assert any("-c constraints.txt -e" in command for command in cluster.config["setup_commands"])


def test_what_to_wait_for() -> None:
    trial = Resources(cpus=4, gpus=0.5)
    aws = load_cluster(str(ROOT / "cluster.yaml"))
    assert expected(aws, trial) == Expected(nodes=5, gpus=4, room=8)
    assert expected(aws, trial, workers=1) == Expected(nodes=2, gpus=1, room=2)
    on_premise = load_cluster(str(ROOT / "clusters" / "on-premise.yaml"))
    assert expected(on_premise, trial) == Expected(nodes=2, gpus=2, room=0), "nothing to ask an autoscaler for"


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (lambda c: c.update(setup_comands=c.pop("setup_commands")), ["setup_comands", "mean 'setup_commands'"]),
        (lambda c: c["auth"].update(ssh_usr="x"), ["`auth.ssh_usr`", "mean 'ssh_user'"]),
        (lambda c: c["provider"].update(worker_ip=[]), ["`provider.worker_ip`", "mean 'worker_ips'"]),
        (lambda c: c["provider"].pop("worker_ips"), ["Ray refuses it", "worker_ips"]),
        (lambda c: c["provider"].update(type="awss"), ["awss", "mean 'aws'"]),
        (lambda c: c.pop("provider"), ["`provider.type` is required"]),
        (lambda c: c["metadata"].update(enviroment={}), ["metadata", "mean 'environment'"]),
        (lambda c: c["metadata"].update(gpus_per_node=-1), ["metadata", "gpus_per_node", "-1"]),
        (lambda c: c.update(max_workers="two"), ["max_workers", "two"]),
        (lambda c: c.update(apiVersion="v1"), ["Kubernetes", "kubectl apply -f"]),
    ],
)
def test_a_file_that_ray_refuses_is_one_line(edited: Callable[..., str], edit: Edit, parts: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        load_cluster(edited(edit))
    message = str(raised.value)
    assert "edited.yaml" in message and "\n" not in message
    for part in parts:
        assert part in message


def _environment(**values: str | None) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        variables = content["metadata"]["environment"]
        for key, value in values.items():
            variables.pop(key) if value is None else variables.update({key: value})

    return edit


def _command(kind: str, old: str, new: str) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        name = f"{kind}_start_ray_commands"
        content[name] = [command.replace(old, new) for command in content[name]]

    return edit


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (_environment(GO4ALIGN_HOME=None), ["GO4ALIGN_HOME", "required with several nodes"]),
        (_environment(GO4ALIGN_HOME="home"), ["absolute path", "'home'"]),
        (_environment(GO4ALIGN_HOME="/tmp/home"), ["'/tmp/home' is each node's own"]),
        (_environment(MLFLOW_TRACKING_URI=None), ["MLFLOW_TRACKING_URI", "required", "MLflow server"]),
        (_environment(MLFLOW_TRACKING_URI="sqlite:////mnt/m.db"), ["sqlite:////mnt/m.db is a file", "MLflow server"]),
        (_environment(MLFLOW_TRACKING_URI="http://127.0.0.1:5000"), ["'127.0.0.1' is always oneself"]),
        (_environment(MLFLOW_TRACKING_URI="http://localhost:5000"), ["'localhost' is always oneself"]),
        (_environment(MLFLOW_TRACKING_URI="ftp://a"), ["ftp://a", "http(s)://HOST:PORT"]),
        (_command("worker", "PATH=", "P="), ["`worker_start_ray_commands`", "PATH"]),
        (_command("head", "RAY_AUTH_MODE=token", ""), ["`head_start_ray_commands`", "RAY_AUTH_MODE=token"]),
        (_command("head", "host=127.0.0.1", "host=0.0.0.0"), ["--dashboard-host=127.0.0.1"]),
        (_command("worker", "ray stop", "true"), ["`worker_start_ray_commands`", "`ray stop`"]),
        (lambda c: c["file_mounts"].pop("~/.ray/auth_token"), ["`file_mounts`", "~/.ray/auth_token"]),
        (lambda c: c["file_mounts"].update(a="/no/such"), ["`file_mounts.a`", "'/no/such'"]),
        (
            lambda c: c.update(setup_commands=["cd go4align-study && pip install -e '.[qm9,aws]'"]),
            ["`setup_commands`", "found .[qm9,aws]", "write .[study,qm9,aws]"],
        ),
        (lambda c: c["auth"].update(ssh_private_key="/no/key"), ["`auth.ssh_private_key`", "'/no/key'"]),
    ],
)
def test_a_fault_is_one_line_with_its_remedy(edited: Callable[..., str], edit: Edit, parts: list[str]) -> None:
    found = findings(load_cluster(edited(edit)))
    assert found
    for part in parts:
        assert part in found[0]


@pytest.mark.parametrize(
    ("value", "ray"), [("012", 10), ("1_0", 10), ("1:30", 90), ("0b11", 3), ("03", 3), ("12", 12), ("0x10", 16)]
)
def test_what_ray_reads_otherwise_is_a_fault(value: str, ray: int, tmp_path: Path) -> None:
    text = (ROOT / "clusters/on-premise.yaml").read_text()
    path = tmp_path / "cluster.yaml"
    path.write_text(f"idle_timeout_minutes: {value}\n{text}")
    cluster = load_cluster(str(path))
    assert cluster.config["idle_timeout_minutes"] == ray, "validated as Ray will see it"
    told = [fault for fault in findings(cluster) if "YAML 1.1" in fault]
    assert [fault.split(" is ")[0] for fault in told] == (
        [] if value in {"03", "12", "0x10"} else [f"Line 1: `{value}`"]
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cluster_name: 1:30", "`cluster_name`: must be a text, found 90. Line 1: `1:30` is one thing in YAML 1.1"),
        ("cluster_name: on", "`cluster_name`: must be a text, found True. Line 1: `on` is one thing in YAML 1.1"),
        ("cluster_name: 5", "`cluster_name`: must be a text, found 5."),
        ("cluster_name:", "`cluster_name`: must be a text, found nothing."),
        ("max_workers: many", "`max_workers`: must be a whole number, found 'many'."),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_as_it_was_written(line: str, told: str, tmp_path: Path) -> None:
    text = (ROOT / "clusters/on-premise.yaml").read_text()
    path = tmp_path / "cluster.yaml"
    path.write_text(f"{line}\n" + re.sub(rf"(?m)^{line.split(':', maxsplit=1)[0]}:.*\n", "", text))
    with pytest.raises(UserError, match=re.escape(told)):
        load_cluster(str(path))


def test_several_faults_end_with_exit_code_2(
    edited: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = edited(_environment(GO4ALIGN_HOME=None, MLFLOW_TRACKING_URI=None))
    for words in (["cluster", "check", path], ["launch", path, "toy"]):
        monkeypatch.setattr(sys, "argv", ["study", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("study: edited.yaml: ") for line in lines)


def test_resources_of_the_study_against_the_nodes(edited: Callable[..., str]) -> None:
    aws = load_cluster(edited(lambda content: None, "cluster.yaml"))
    assert findings(aws, gpus(1)) == []
    [fault] = findings(aws, gpus(2))
    assert "needs 4 CPUs and 2 GPUs on one node" in fault and "gpu-worker: 8 CPUs, 1 GPUs" in fault
    [fault] = findings(aws, gpus(0, cpus=9))
    assert "9 CPUs" in fault
    on_premise = load_cluster(edited(lambda content: None))
    assert findings(on_premise, gpus(1, cpus=500)) == [], "an on-premise host's CPUs are not in the file"
    [fault] = findings(on_premise, gpus(2))
    assert "2 GPUs on one node" in fault
    unknown = load_cluster(edited(lambda content: content["metadata"].pop("gpus_per_node")))
    assert findings(unknown, gpus(2)) == []


def test_the_study_file_and_the_command_line_name_the_store(edited: Callable[..., str]) -> None:
    cluster = load_cluster(edited(lambda content: None))
    study = load_study("toy").model_copy(update={"tracking_uri": "sqlite:///m.db"})
    [fault] = findings(cluster, study)
    assert "sqlite:///m.db is a file" in fault
    assert findings(cluster, study, "http://10.0.0.9:5000") == []


def test_hosts_on_loopback_share_the_loopback(edited: Callable[..., str]) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["provider"].update(head_ip="127.0.0.1", worker_ips=["127.0.0.2"])
        _environment(MLFLOW_TRACKING_URI="http://127.0.0.1:5000", GO4ALIGN_HOME="/tmp/home")(content)

    assert findings(load_cluster(edited(edit))) == []


def test_a_head_alone_may_use_its_own_store_and_folder(edited: Callable[..., str]) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["provider"].update(worker_ips=[])
        content["metadata"].pop("environment")

    assert findings(load_cluster(edited(edit))) == []


def test_exports() -> None:
    assert exports("export PATH=/x:$PATH A=b; ulimit -n 5; ray start") == "export PATH=/x:$PATH A=b"
    assert exports("ray start --head") == ""


def test_the_kubernetes_manifest_hangs_together() -> None:
    job = yaml.safe_load((ROOT / "clusters" / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" == RAY
    assert cluster["authOptions"] == {"mode": "token"}
    [workers] = cluster["workerGroupSpecs"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], workers)]
    for pod in pods:
        [container] = pod["containers"]
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        [mount] = container["volumeMounts"]
        assert mount["name"] == pod["volumes"][0]["name"]
        assert "persistentVolumeClaim" in pod["volumes"][0]
        assert variables["GO4ALIGN_HOME"].startswith(mount["mountPath"])
        assert variables["MLFLOW_TRACKING_URI"].startswith("http://")
        assert container["resources"]["limits"] == container["resources"]["requests"]
    limits = pods[1]["containers"][0]["resources"]["limits"]
    trial, most = load_study("qm9").resources, workers["maxReplicas"]
    room = most * int(min(int(limits["cpu"]) / trial.cpus, int(limits["nvidia.com/gpu"]) / trial.gpus))
    numbers = dict(re.findall(r"--(\w+) (\d+)", job["spec"]["entrypoint"]))
    assert numbers == {"nodes": str(1 + most), "gpus": str(most * int(limits["nvidia.com/gpu"])), "room": str(room)} | {
        "minutes": "60"
    }


def test_the_compose_file_mounts_what_exists() -> None:
    services = yaml.safe_load((ROOT / "clusters" / "mlflow-compose.yaml").read_text())["services"]
    assert set(services) == {"database", "mlflow"}
    files = [volume.split(":")[0] for volume in services["mlflow"]["volumes"] if volume.startswith(".")]
    assert files and all((ROOT / "clusters" / file).exists() for file in files)

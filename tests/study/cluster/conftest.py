"""A cluster file of machines of one's own, as somebody would write it."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cluster_path(tmp_path: Path) -> Path:
    content = yaml.safe_load((ROOT / "clusters" / "on-premise.yaml").read_text())
    content["file_mounts"].pop("~/go4align-study")
    (tmp_path / "key").touch()
    content["auth"] = {"ssh_user": "me", "ssh_private_key": str(tmp_path / "key")}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content))
    return path

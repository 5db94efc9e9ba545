"""The cache on disk with real processes: several at once, a killed one, damaged files, a torch_geometric root."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from go4align.benchmarks.prepared import find_prepared
from go4align.benchmarks.qm9 import QM9, convert, source, targets
from go4align.benchmarks.qm9.cache import VERSION, Cache, QM9Source
from go4align.errors import UserError

pytestmark = pytest.mark.cpu_only("data are converted and kept on the host, whatever trains on them")

KEYS = [field.name for field in dataclasses.fields(Cache)]
OPEN = (
    "import sys; from go4align.benchmarks.qm9.cache import QM9Source; print(len(QM9Source(int(sys.argv[1])).cache()))"
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all prepared data, empty."""
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data"


def start(limit: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_processes_at_once_convert_once(data: Path) -> None:
    processes = [start(300) for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert [out.strip() for out, _ in outputs] == ["300"] * 3
    assert sum("converting 300 molecules" in errors for _, errors in outputs) == 1
    assert {path.name for path in data.iterdir()} == {"qm9-first300", "qm9-first300.lock"}


def test_workers_of_a_node_without_data_convert_once_for_all_their_trials(tmp_path: Path) -> None:
    """Two nodes, each with a home of its own; two workers on each, which train trial after trial."""
    code = (
        "from go4align.benchmarks.qm9 import QM9; QM9._limit = 300\n"
        "for trial in range(3): QM9(train_size=100, val_size=50, test_size=50).prepare()"
    )
    workers = [
        (node, subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True))
        for node in ("one", "two")
        for environment in [os.environ | {"GO4ALIGN_HOME": str(tmp_path / node)}] * 2
    ]
    told = {"one": "", "two": ""}
    for node, process in workers:
        told[node] += process.communicate(timeout=120)[1]
        assert process.returncode == 0, told[node]
    assert [text.count("QM9: converting 300 molecules, once") for text in told.values()] == [1, 1]


def test_a_killed_conversion_is_taken_up_by_the_next_start(data: Path) -> None:
    limit = 6 * convert.SLAB
    process = start(limit)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while not (converters := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert converters, "the conversion was over before it could be killed"
    assert list(data.glob(".qm9-first*.partial")), "nothing was left half-written"
    assert find_prepared(data / f"qm9-first{limit}", VERSION) is None

    assert len(QM9Source(limit).cache()) == limit
    assert not list(data.glob(".*.partial"))
    while any(running(pid) for pid in converters) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(running(pid) for pid in converters), "a converter outlived its killed parent"


def running(pid: str) -> bool:
    try:
        return "convert.py" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def test_an_interrupted_conversion_leaves_no_process_and_no_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[source.Converter] = []

    def interrupted(converter: source.Converter, report: source.Report) -> bool:
        started.append(converter)
        raise KeyboardInterrupt

    monkeypatch.setattr(source.Converter, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        QM9Source(4 * convert.SLAB).open()
    assert [converter.process.poll() for converter in started] == [-signal.SIGKILL]
    assert [path.suffix for path in data.iterdir()] == [".lock"]


@pytest.mark.usefixtures("data")
def test_the_cache_is_mapped_and_read_only() -> None:
    cache = QM9Source(limit=20).cache()
    assert all(isinstance(getattr(cache, key), np.memmap) for key in KEYS)
    with pytest.raises(ValueError, match="read-only"):
        cache.y[0] = 0


@pytest.mark.usefixtures("data")
def test_a_root_that_torch_geometric_prepared(tmp_path: Path) -> None:
    """torch_geometric reads the same molecules from raw files in its layout: all must be equal, features too."""
    from torch_geometric import datasets

    expected = QM9Source(limit=60).cache()
    skipped = 7
    write_raw(tmp_path / "root" / "raw", 60, skipped)
    theirs = datasets.QM9(str(tmp_path / "root"))
    of_root = QM9Source()
    of_root.convert(of_root.from_root(tmp_path / "root"), source="a root")
    cache = of_root.cache()

    keep = np.arange(60) != skipped
    atoms, bonds = np.repeat(keep, expected.sizes), np.repeat(keep, expected.n_bonds)
    np.testing.assert_array_equal(cache.sizes, expected.sizes[keep])
    np.testing.assert_array_equal(cache.index, 1 + np.flatnonzero(keep))
    np.testing.assert_array_equal(cache.z, expected.z[atoms])
    np.testing.assert_allclose(cache.pos, expected.pos[atoms], atol=1e-4)  # the SDF format has four decimals
    np.testing.assert_allclose(cache.y, expected.y[keep], rtol=1e-5, atol=1e-5)
    assert sorted(map(tuple, cache.bonds)) == sorted(map(tuple, expected.bonds[bonds]))

    ours = QM9(train_size=None, val_size=4, test_size=5)
    assert ours.data_digest == of_root.open().digest
    assert (ours.size("train"), ours.size("val"), ours.size("test")) == (50, 4, 5)
    features = {int(data.idx) + 1: data.x for data in theirs}
    number_of = dict(zip(ours.molecule_ids("train").tolist(), range(50), strict=True))
    by_size = sorted(number_of, key=lambda number: (features[number].shape[0], number_of[number]))
    for number, batch in zip(by_size, ours.batches("train", 1), strict=True):
        np.testing.assert_array_equal(batch.atoms, features[number])


def write_raw(folder: Path, count: int, skipped: int) -> None:
    """qm9pack's first molecules in the layout of the files that torch_geometric downloads."""
    folder.mkdir(parents=True)
    path = source.qm9pack_files()[0]
    (part,) = source.plan([path], 1, limit=count)
    rows = convert.convert_slab(convert.read_rows(str(path), part.start, part.stop))
    starts, bond_starts = np.cumsum(rows["sizes"]) - rows["sizes"], np.cumsum(rows["n_bonds"]) - rows["n_bonds"]
    with Chem.SDWriter(str(folder / "gdb9.sdf")) as sdf:
        sdf.SetKekulize(False)
        for m in range(count):
            molecule = Chem.RWMol()
            atoms = slice(starts[m], starts[m] + rows["sizes"][m])
            for z in rows["z"][atoms]:
                molecule.AddAtom(Chem.Atom(int(z)))
            for i, j, order in rows["bonds"][bond_starts[m] : bond_starts[m] + rows["n_bonds"][m]].tolist():
                molecule.AddBond(i, j, (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)[order - 1])
            conformer = Chem.Conformer(len(rows["z"][atoms]))
            conformer.SetPositions(rows["pos"][atoms].astype(np.float64))
            molecule.AddConformer(conformer)
            molecule.SetProp("_Name", f"gdb_{m + 1}")
            sdf.write(molecule)
    counts = np.stack([[np.sum(z == e) for e in (1, 6, 7, 8, 9)] for z in np.split(rows["z"], starts[1:])])
    atomisation = (rows["raw"][:, 7:11] - counts @ targets.FREE_ATOMS.T) * targets.HARTREE_TO_KCAL_MOL
    table = np.concatenate([rows["raw"][:, 12:], rows["raw"][:, :12], atomisation], axis=1)
    lines = [f"gdb_{m + 1}," + ",".join(map(repr, row)) for m, row in enumerate(table.tolist())]
    (folder / "gdb9.sdf.csv").write_text("\n".join(["mol_id,A,B,C,...", *lines, ""]))
    header = "\n".join("a line of text" for _ in range(9))
    (folder / "uncharacterized.txt").write_text(f"{header}\n  {skipped + 1} a failed check\n\n")


def test_a_folder_that_is_no_root(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="`--root` must be a folder prepared by torch_geometric's QM9, found no .*data_v3.pt"
    ):
        QM9Source().from_root(tmp_path)


def test_a_data_folder_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GO4ALIGN_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="file/data cannot be made: Not a directory.*GO4ALIGN_HOME"):
        QM9Source(limit=5).open()

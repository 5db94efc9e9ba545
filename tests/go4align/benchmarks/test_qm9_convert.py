"""Molecules from text: bonds in every order of atoms, slices of the files, targets."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from go4align.benchmarks.qm9 import convert, source, targets
from go4align.benchmarks.qm9.cache import drop_unbonded
from go4align.errors import UserError

pytestmark = pytest.mark.cpu_only("data are converted and kept on the host, whatever trains on them")

# Propene, with a plausible geometry in the order of its SMILES and then its hydrogens.
SMILES, ELEMENTS = "C=CC", "CCCHHHHHH"
POSITIONS = np.array(
    [
        [-1.28, 0.22, 0.0], [-0.13, -0.45, 0.0], [1.23, 0.16, 0.0], [-1.31, 1.30, 0.0], [-2.23, -0.30, 0.0],
        [-0.17, -1.54, 0.0], [1.17, 1.25, 0.0], [1.80, -0.15, 0.88], [1.80, -0.15, -0.88],
    ]
)  # fmt: skip
BONDS = np.zeros((9, 9), np.uint8)
for first, second, order in [(0, 1, 2), (1, 2, 1), (0, 3, 1), (0, 4, 1), (1, 5, 1), (2, 6, 1), (2, 7, 1), (2, 8, 1)]:
    BONDS[first, second] = BONDS[second, first] = order


def bonds(elements: str, positions: np.ndarray) -> np.ndarray:
    (matrix,) = convert.bond_matrices([SMILES], [elements], [positions])
    return matrix


def test_bonds_in_the_order_of_the_smiles() -> None:
    np.testing.assert_array_equal(bonds(ELEMENTS, POSITIONS), BONDS)


@given(st.permutations(range(9)))
def test_bonds_in_any_other_order_are_mended(order: list[int]) -> None:
    """Also where the elements happen to be in the right order and only the lengths tell."""
    shuffled = bonds("".join(ELEMENTS[place] for place in order), POSITIONS[order])
    np.testing.assert_array_equal(shuffled, BONDS[np.ix_(order, order)])


def test_a_molecule_without_plausible_bonds_is_left_out_and_counted() -> None:
    lost = bonds(ELEMENTS, 10 * POSITIONS)
    assert not lost.any()
    n_bonds, listed = convert.list_bonds([lost, BONDS])
    assert n_bonds.tolist() == [0, 8]
    arrays = {
        "sizes": np.array([9, 9], np.uint8),
        "n_bonds": n_bonds,
        "bonds": listed,
        "z": np.arange(18),
        "y": np.arange(2),
    }
    with pytest.warns(UserWarning, match="1 of 2 molecules left out"):
        kept = drop_unbonded(arrays)
    assert kept["y"].tolist() == [1]
    assert kept["z"].tolist() == list(range(9, 18))
    assert len(kept["bonds"]) == 8


@given(workers=st.integers(1, 9), lengths=st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_slices_hold_every_row_once(tmp_path_factory: pytest.TempPathFactory, workers: int, lengths: list[int]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    rows = [f"{number}:{'x' * length}\n".encode() for number, length in enumerate(lengths)]
    path.write_bytes(b"header\n" + b"".join(rows))
    content = path.read_bytes()
    slices = source.plan([path], workers, limit=None)
    parts = [content[part.start : part.stop] for part in slices]
    assert b"".join(parts) == b"".join(rows)
    assert all(part.endswith(b"\n") for part in parts if part)


def test_an_atom_has_no_atomisation_energy() -> None:
    """Energies of a molecule made of free atoms are the sum of theirs."""
    counts = np.array([[4.0, 1.0, 0.0, 2.0, 1.0]])
    raw = np.zeros((1, 15))
    raw[0, 7:11] = targets.FREE_ATOMS @ counts[0]
    converted = targets.from_raw(raw, counts)[0]
    np.testing.assert_allclose(converted[12:16], 0, atol=1e-6)
    np.testing.assert_allclose(converted[7], raw[0, 7] * 27.211386246, rtol=1e-6)


@pytest.mark.parametrize("package", ["qm9pack", "pyarrow", "rdkit"])
def test_a_missing_package_is_one_line_with_the_command(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    present = source.find_spec
    monkeypatch.setattr(source, "find_spec", lambda name: None if name == package else present(name))
    with pytest.raises(UserError, match=rf"{package}.*pip install 'go4align-study\[qm9\]'$"):
        source.read_qm9pack(tmp_path, lambda count: None, limit=5)


def test_a_converter_that_fails_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("Index,SMILES\n1,C\n")
    part = source.Slice(broken, 13, broken.stat().st_size, 10)
    with pytest.raises(RuntimeError, match="Converting QM9 failed: .*N_atoms"):
        source.run_converters([(part, tmp_path / "out.npz")], 1, lambda count: None)


def test_import_loads_no_package_that_only_conversion_needs() -> None:
    check = (
        "import sys, go4align.benchmarks.qm9\n"
        "print({'rdkit', 'torch_geometric', 'pandas', 'pyarrow', 'qm9pack', 'rich'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "set()"

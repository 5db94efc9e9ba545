"""Rows of qm9pack's CSV files -> plain arrays: elements, positions, bonds and raw targets.

Run as a script, one process per slice of a file, so that all cores work:

    python -P convert.py CSV START STOP MAX_ROWS OUT.npz

START and STOP are byte offsets of whole rows. A script rather than a pool of workers because it starts without torch,
is independent of how the caller's `__main__` looks, and is safe inside threads and Ray workers. It therefore imports
nothing from this package. Progress goes to stdout, a number of finished molecules per line; when the reader is gone (a
killed parent) the next line fails and the script ends.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RAW_TARGETS = (
    "Dipole_debye", "Polarizability_bohr3", "HOMO_au", "LUMO_au", "HOMO_LUMO_gap_au", "R2_bohr2", "ZPVE_au",
    "InternalEnergy_0K_au", "InternalEnergy_298K_au", "Enthalphy_298K_au", "GibbsFreeEnergy_298K_au",
    "Heatcapacity_Cv_cal_mol_K", "RotA_GHz", "RotB_GHz", "RotC_GHz",
)  # fmt: skip
"""Columns of the CSV in the order of the raw targets; "Enthalphy" is the file's own spelling."""

ATOMIC_NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
LONGEST_BOND = 2.0
"""Angstrom. A longer "bond" means that the SMILES' atoms are not in the order of the positions."""

SLAB = 4096
_HEAVY_ONLY = str.maketrans("", "", "".join(chr(code) for code in range(128) if chr(code) not in "CNOF"))
_LIST_SYNTAX = str.maketrans("", "", "[]', ")

Array = NDArray[Any]


def main(argv: Sequence[str]) -> None:
    path, start, stop, max_rows, out = argv[0], int(argv[1]), int(argv[2]), int(argv[3]), argv[4]
    table = read_rows(path, start, stop)[:max_rows]
    parts = []
    for first in range(0, len(table), SLAB):
        slab = table[first : first + SLAB]
        parts.append(convert_slab(slab))
        sys.stdout.write(f"{len(slab)}\n")
        sys.stdout.flush()
    arrays: dict[str, Any] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    np.savez(out, **arrays)


def read_rows(path: str, start: int, stop: int) -> Any:
    """Rows within a byte range as a pyarrow table of the needed columns only (a quarter of the file's bytes)."""
    import pyarrow.csv

    with Path(path).open("rb") as file:
        header = file.readline()
        file.seek(start)
        rows = file.read(stop - start)
    columns = ["Index", "SMILES", "N_atoms", "Elements", "XYZ_Ang", *RAW_TARGETS]
    return pyarrow.csv.read_csv(
        io.BytesIO(header + rows),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=8 << 20),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns, column_types={name: pyarrow.float64() for name in RAW_TARGETS}
        ),
    )


def convert_slab(table: Any) -> dict[str, Array]:
    """Arrays of a few thousand molecules.

    Returns index [S], sizes [S] (atoms), z [A], pos [A, 3] (Angstrom), n_bonds [S], bonds [B, 3] (i < j within the
    molecule; 1, 2 or 3 for single, double, triple), raw [S, 15]. A molecule whose bonds cannot be told has n_bonds 0.
    """
    sizes = table["N_atoms"].to_numpy().astype(np.uint8)
    elements = [row.translate(_LIST_SYNTAX) for row in table["Elements"].to_pylist()]
    pos = parse_positions(table["XYZ_Ang"])
    numbers = np.zeros(128, np.uint8)
    numbers[[ord(symbol) for symbol in ATOMIC_NUMBERS]] = list(ATOMIC_NUMBERS.values())
    z = numbers[np.frombuffer("".join(elements).encode(), np.uint8)]
    ends = np.cumsum(sizes, dtype=np.int64)
    if len(z) != ends[-1] or len(pos) != ends[-1]:
        raise ValueError(f"atoms: {ends[-1]} announced, {len(z)} elements and {len(pos)} positions found")
    matrices = bond_matrices(table["SMILES"].to_pylist(), elements, np.split(pos, ends[:-1]))
    n_bonds, bonds = list_bonds(matrices)
    return {
        "index": table["Index"].to_numpy().astype(np.int32),
        "sizes": sizes,
        "z": z,
        "pos": pos.astype(np.float32),
        "n_bonds": n_bonds,
        "bonds": bonds,
        "raw": np.stack([table[name].to_numpy() for name in RAW_TARGETS], axis=1),
    }


def parse_positions(column: Any) -> Array:
    """The column "[[x,y,z],[x,y,z],...]" as one array [A, 3]: turned into CSV text, which pyarrow reads fast."""
    import pyarrow
    import pyarrow.compute
    import pyarrow.csv

    lines = pyarrow.compute.replace_substring(column, "],[", "\n")
    text = "\n".join(pyarrow.compute.utf8_trim(lines, "[]").to_pylist())
    table = pyarrow.csv.read_csv(
        io.BytesIO(text.encode()),
        read_options=pyarrow.csv.ReadOptions(column_names=list("xyz"), use_threads=False),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys("xyz", pyarrow.float64())),
    )
    return np.stack([table[axis].to_numpy() for axis in "xyz"], axis=1)


def bond_matrices(smiles: list[str], elements: list[str], positions: list[Array]) -> list[Array]:
    """A symmetric matrix of bond orders [n, n] per molecule, in the order of its positions; zeros where none fits."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # the mending tries orders that RDKit comments on
    unsanitised = Chem.SmilesParserParams()  # qm9pack's SMILES are in Kekule form already: half the time without it
    unsanitised.sanitize = False
    unsanitised.removeHs = False
    matrices = []
    for text, symbols, pos in zip(smiles, elements, positions, strict=True):
        molecule = Chem.MolFromSmiles(text, unsanitised)
        molecule.UpdatePropertyCache(False)
        molecule = Chem.AddHs(molecule)
        matrix = Chem.GetAdjacencyMatrix(molecule, useBO=True).astype(np.uint8)
        heavy = text.translate(_HEAVY_ONLY)
        in_order = len(matrix) == len(symbols) and symbols == heavy.ljust(len(symbols), "H")
        if not (in_order and bonds_fit(matrix, pos)):
            matrix = mend(molecule, symbols, pos)
        matrices.append(matrix)
    return matrices


def bonds_fit(matrix: Array, pos: Array) -> bool:
    """Whether every bond is short enough to be one."""
    i, j = np.nonzero(matrix)
    offset = pos[i] - pos[j]
    return bool(np.einsum("ij,ij->i", offset, offset).max(initial=0.0) < LONGEST_BOND**2)


def mend(molecule: Any, symbols: str, pos: Array) -> Array:
    """Bond orders for a molecule whose SMILES does not fit its positions in the given order (453 of 130,831).

    Connectivity comes from the distances. The SMILES' skeleton, bond orders aside, is matched onto it (451); where the
    relaxed geometry is another constitution than the SMILES (2), bond orders come from the geometry as well.
    """
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    n = len(symbols)
    rows = (f"{symbol} {x:.10f} {y:.10f} {w:.10f}" for symbol, (x, y, w) in zip(symbols, pos, strict=True))
    found = Chem.MolFromXYZBlock("\n".join([str(n), "", *rows]))
    rdDetermineBonds.DetermineConnectivity(found)
    skeleton = Chem.RWMol(molecule)
    for atom in skeleton.GetAtoms():
        atom.SetFormalCharge(0)
    for bond in skeleton.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
    place = np.array(found.GetSubstructMatch(skeleton), dtype=np.int64)
    matrix = np.zeros((n, n), np.uint8)
    if len(place) == n:
        matrix[np.ix_(place, place)] = Chem.GetAdjacencyMatrix(molecule, useBO=True)
    else:
        try:
            rdDetermineBonds.DetermineBondOrders(found)
        except ValueError:  # no valence model fits: the caller counts these molecules and leaves them out
            return matrix
        Chem.Kekulize(found, clearAromaticFlags=True)
        matrix[:] = Chem.GetAdjacencyMatrix(found, useBO=True)
    return matrix if bonds_fit(matrix, pos) else np.zeros((n, n), np.uint8)


def list_bonds(matrices: list[Array]) -> tuple[Array, Array]:
    """Symmetric matrices -> n_bonds [S] and bonds [B, 3] of (i, j, order) with i < j."""
    rows = [np.nonzero(np.triu(matrix)) for matrix in matrices]
    n_bonds = np.array([len(i) for i, _ in rows], np.uint8)
    bonds = [np.stack([i, j, matrix[i, j]], axis=1) for (i, j), matrix in zip(rows, matrices, strict=True)]
    return n_bonds, np.concatenate(bonds).astype(np.uint8)


if __name__ == "__main__":
    main(sys.argv[1:])

"""QM9's targets: PyG's units and order, and the 11 tasks of the multi-task literature."""

import numpy as np
from numpy.typing import NDArray

from go4align.benchmarks.base import Task
from go4align.metrics import Metric

HARTREE_TO_EV = 27.211386246
HARTREE_TO_KCAL_MOL = 627.509
KCAL_MOL_TO_EV = 0.04336414

# Energies of the free atoms in Hartree, as in the data set's `atomref.txt`; rows U0 U H G, columns H C N O F.
FREE_ATOMS = np.array(
    [
        [-0.500273, -37.846772, -54.583861, -75.064579, -99.718730],
        [-0.498857, -37.845355, -54.582445, -75.063163, -99.717314],
        [-0.497912, -37.844411, -54.581501, -75.062219, -99.716370],
        [-0.510927, -37.861317, -54.598897, -75.079532, -99.733544],
    ]
)

TARGET_NAMES = (
    "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "U0_total", "U_total", "H_total", "G_total", "Cv",
    "U0", "U", "H", "G", "A", "B", "C",
)  # fmt: skip
"""torch_geometric's 19 targets in its order; U0, U, H, G are the atomisation energies."""

# Task: unit of the reported error, factor from the target's unit, published STL error.
_TASKS: dict[str, tuple[str, float, float]] = {
    "mu": ("D", 1.0, 0.0671),
    "alpha": ("a0^3", 1.0, 0.1814),
    "homo": ("meV", 1000.0, 60.576),
    "lumo": ("meV", 1000.0, 53.915),
    "r2": ("a0^2", 1.0, 0.5027),
    "zpve": ("meV", 1000.0, 4.539),
    "U0": ("meV", 1000.0, 58.838),
    "U": ("meV", 1000.0, 64.244),
    "H": ("meV", 1000.0, 63.852),
    "G": ("meV", 1000.0, 66.223),
    "Cv": ("cal/(mol K)", 1.0, 0.07212),
}

_FAMILIES = {
    "electronic": ("mu", "alpha", "homo", "lumo", "r2"),
    "vibrational": ("zpve", "Cv"),
    "energies": ("U0", "U", "H", "G"),
}
_FAMILY = {name: family for family, names in _FAMILIES.items() for name in names}

TASKS = tuple(
    Task(name, (Metric("mae", unit),), {"mae": stl}, family=_FAMILY[name]) for name, (unit, _, stl) in _TASKS.items()
)
TARGET_INDEX = tuple(TARGET_NAMES.index(name) for name in _TASKS)
REPORT_FACTOR = tuple(factor for _, factor, _ in _TASKS.values())
"""From a target's unit to the unit in which its error is reported."""

PUBLISHED_SOURCE = (
    "single-task learning on QM9: Navon et al., Multi-Task Learning as a Bargaining Game (ICML 2022), "
    "the reference of the Delta m in the FAMO and GO4Align papers"
)


def from_raw(raw: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Raw targets [S, 15] and atoms per element (H C N O F) [S, 5] -> torch_geometric's targets [S, 19].

    Raw: mu alpha homo lumo gap r2 zpve U0 U H G Cv A B C, energies in Hartree.
    """
    factor = np.ones(15)
    factor[[2, 3, 4, 6, 7, 8, 9, 10]] = HARTREE_TO_EV
    atomisation = (raw[:, 7:11] - counts @ FREE_ATOMS.T) * (HARTREE_TO_KCAL_MOL * KCAL_MOL_TO_EV)
    converted = raw * factor
    return np.concatenate([converted[:, :12], atomisation, converted[:, 12:]], axis=1).astype(np.float32)

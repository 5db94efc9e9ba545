"""Molecules of QM9's true sizes, made up: QM9's work for the machine where qm9pack and RDKit are not installed.

Numbers of atoms are drawn from QM9's own distribution and elements by their share of its atoms. Geometry, bonds and
targets carry no chemistry: a time measured on them is a time of QM9, a loss means nothing.
"""

from functools import cached_property

import numpy as np

from go4align.benchmarks.qm9 import QM9
from go4align.benchmarks.qm9.batches import ELEMENTS
from go4align.benchmarks.qm9.cache import Cache

MOLECULES_OF_SIZE = {
    3: 2, 4: 4, 5: 5, 6: 12, 7: 20, 8: 65, 9: 172, 10: 483, 11: 1053, 12: 2189, 13: 4027, 14: 6758, 15: 10216,
    16: 13824, 17: 16969, 18: 17442, 19: 18146, 20: 12403, 21: 13166, 22: 4428, 23: 6362, 24: 712, 25: 1923, 26: 59,
    27: 356, 29: 35,
}  # fmt: skip
"""How many of QM9's 130,831 molecules have how many atoms, counted in the converted package qm9pack."""
SHARE_OF_ELEMENT = (0.5122, 0.3526, 0.0562, 0.0777, 0.0013)
"""Of all atoms of the same molecules, in the order of `ELEMENTS`: H C N O F."""
SHARE_OF_BOND = (0.9284, 0.0566, 0.0150)
"""Single, double and triple ones among all bonds of the same molecules."""
BOND_LENGTH = 1.2
"""Angstrom; about the mean over QM9's bonds."""
N_TARGETS = 19


class GeneratedQM9(QM9):
    """`QM9` with its options, splits, batches and network, over generated molecules; it reads and writes no file."""

    @cached_property
    def _cache(self) -> Cache:
        """As many molecules as the splits ask for."""
        sizes = [size for size in self._sizes.values() if size is not None]
        return generated(sum(sizes), seed=0)


def generated(count: int, seed: int) -> Cache:
    """`count` molecules, each a random walk of atoms bonded to the one before; equal seeds give equal molecules."""
    random = np.random.default_rng(seed)
    shares = np.array(list(MOLECULES_OF_SIZE.values())) / sum(MOLECULES_OF_SIZE.values())
    sizes = random.choice(np.array(list(MOLECULES_OF_SIZE), np.uint8), count, p=shares)
    atoms = int(sizes.sum(dtype=np.int64))
    first = np.cumsum(sizes, dtype=np.int64) - sizes
    place = np.arange(atoms) - np.repeat(first, sizes)  # of an atom in its molecule
    bonded = place[place > 0]
    orders = random.choice(np.array([1, 2, 3]), len(bonded), p=SHARE_OF_BOND)
    return Cache(
        index=np.arange(1, count + 1, dtype=np.int32),
        sizes=sizes,
        z=random.choice(np.array(ELEMENTS, np.uint8), atoms, p=np.divide(SHARE_OF_ELEMENT, sum(SHARE_OF_ELEMENT))),
        pos=random_walks(random, place, first, sizes),
        n_bonds=sizes - np.uint8(1),
        bonds=np.stack([bonded - 1, bonded, orders], 1).astype(np.uint8),
        y=random.normal(size=(count, N_TARGETS)).astype(np.float32),
    )


def random_walks(random: np.random.Generator, place: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Positions [A, 3] in Angstrom: steps of one bond length in random directions, anew from 0 for every molecule."""
    steps = random.normal(size=(len(place), 3))
    steps *= BOND_LENGTH / np.linalg.norm(steps, axis=1, keepdims=True)
    walked = steps.cumsum(0)
    return (walked - np.repeat(walked[first], sizes, axis=0)).astype(np.float32)

"""A split's molecules in memory, laid out by size, and batches of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from go4align.benchmarks.qm9.cache import Cache
from go4align.models.mpnn import Molecules

ELEMENTS = (1, 6, 7, 8, 9)
N_FEATURES = 11
SELF, NO_BOND = 0, 1  # in a bond matrix; single, double, triple follow


@dataclass(frozen=True)
class QM9Batch(Molecules):
    """Molecules with what their network does not read: positions [N, 3] in Angstrom, and targets [B, M].

    Targets are standardised or centred, in the order of the molecules. Other networks may want the positions.
    """

    pos: Tensor
    targets: Tensor


@dataclass(frozen=True)
class SizeClass:
    """All S molecules of n atoms: atoms [S, n, 11] (uint8), pos [S, n, 3], bond [S, n, n] (uint8)."""

    atoms: Tensor
    pos: Tensor
    bond: Tensor


class SplitData:
    """Molecules of a split, sorted by size, with their targets [S, 19] in the units of the cache, all on the CPU.

    About 0.8 kB a molecule: 90 MB for the paper's training split, and 1.6 MB for 2,000 molecules.
    """

    def __init__(self, cache: Cache, chosen: NDArray[np.int64]) -> None:
        sizes = np.asarray(cache.sizes)
        chosen = chosen[np.argsort(sizes[chosen], kind="stable")]
        present, counts = np.unique(sizes[chosen], return_counts=True)
        self._first = np.concatenate([[0], np.cumsum(counts)])
        atom_start = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        bond_start = np.concatenate([[0], np.cumsum(cache.n_bonds, dtype=np.int64)])
        self._classes = [
            gather(cache, part, int(n), atom_start[part], bond_start)
            for part, n in zip(np.split(chosen, self._first[1:-1]), present, strict=True)
        ]
        self.targets = torch.from_numpy(cache.y[chosen])

    def __len__(self) -> int:
        return len(self.targets)

    def batches(self, targets: Tensor, size: int, generator: torch.Generator | None) -> Iterator[QM9Batch]:
        """One pass in a random order, or by ascending size without a generator; the last batch may be smaller."""
        order = torch.arange(len(self), device="cpu")
        if generator is not None:
            order = torch.randperm(len(self), generator=generator, device="cpu")
        for chosen in order.split(size):
            yield self.batch(targets, chosen.sort().values)

    def batch(self, targets: Tensor, chosen: Tensor) -> QM9Batch:
        """The molecules of ascending places `chosen`, which are then sorted by size."""
        ends = np.searchsorted(chosen.numpy(), self._first)
        atoms = []
        positions = []
        distances = []
        bonds = []
        slots = []
        groups = []
        largest = max(data.atoms.shape[1] for data, a, b in zip(self._classes, ends, ends[1:], strict=False) if b > a)
        for data, first, start, end in zip(self._classes, self._first, ends, ends[1:], strict=False):
            if start == end:
                continue
            rows = chosen[start:end] - int(first)
            n = data.atoms.shape[1]
            pos = data.pos.index_select(0, rows)
            positions.append(pos.view(-1, 3))
            atoms.append(data.atoms.index_select(0, rows).view(-1, N_FEATURES))
            distances.append(torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist").view(-1))
            bonds.append(data.bond.index_select(0, rows).view(-1))
            first_slot = largest * torch.arange(start, end, device="cpu")
            slots.append((first_slot[:, None] + torch.arange(n, device="cpu")).view(-1))
            groups.append((int(end - start), n))
        return QM9Batch(
            atoms=torch.cat(atoms).to(torch.float32),
            distance=torch.cat(distances),
            bond=torch.cat(bonds),
            slot=torch.cat(slots),
            groups=tuple(groups),
            pos=torch.cat(positions),
            targets=targets.index_select(0, chosen),
        )


def gather(
    cache: Cache, chosen: NDArray[np.int64], n: int, atom_start: NDArray[np.int64], bond_start: NDArray[np.int64]
) -> SizeClass:
    """Molecules of n atoms from the cache's flat arrays."""
    atom = atom_start[:, None] + np.arange(n)
    counts = bond_start[chosen + 1] - bond_start[chosen]
    molecule = np.repeat(np.arange(len(chosen)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - bond_start[chosen], counts)
    i, j, order = cache.bonds[place].T
    bond = np.full((len(chosen), n, n), NO_BOND, np.uint8)
    bond[:, range(n), range(n)] = SELF
    bond[molecule, i, j] = bond[molecule, j, i] = order + NO_BOND
    z = cache.z[atom]
    return SizeClass(*map(torch.from_numpy, (node_features(z, bond), cache.pos[atom], bond)))


def node_features(z: NDArray[np.uint8], bond: NDArray[np.uint8]) -> NDArray[Any]:
    """torch_geometric's 11 features: element one-hot (H C N O F), atomic number, aromatic, sp, sp2, sp3, hydrogens.

    Aromatic and hybridisation are zero for every atom there, because it reads the molecules unsanitised.
    """
    features = np.zeros((*z.shape, N_FEATURES), np.uint8)
    for column, element in enumerate(ELEMENTS):
        features[..., column] = z == element
    features[..., 5] = z
    features[..., 10] = ((bond > NO_BOND) & (z == 1)[:, None, :]).sum(-1)
    return features

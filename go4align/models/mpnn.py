"""The message-passing network of the QM9 experiments, with messages that never need a matrix per pair of atoms.

Network (Gilmer et al. 2017; torch_geometric's `qm9_nn_conv` example, which Nash-MTL, FAMO and GO4Align use): lin0,
then three rounds of the same convolution and GRU, Set2Set with three steps, lin1, and one linear head per task. Every
pair of atoms of a molecule exchanges messages, see `edge_messages`.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from go4align.models.base import MultiTaskModel
from go4align.models.edge_messages import Sizes, exchange
from go4align.models.set2set import Set2Set
from go4align.transfer import moved


@dataclass(frozen=True)
class Molecules:
    """Molecules of a batch, sorted by size. N atoms in all, E = sum of n^2 over molecules of n atoms.

    atoms [N, F]: node features. distance [E] and bond [E]: of every ordered pair within a molecule, row by row; bond 0
    is an atom with itself, 1 no bond, 2 single, 3 double, 4 triple. slot [N]: where an atom goes when molecules are
    padded to the size of the largest. groups: (number of molecules, n) for every size n in the batch, ascending.
    """

    atoms: Tensor
    distance: Tensor
    bond: Tensor
    slot: Tensor
    groups: Sizes

    def to(self, device: torch.device) -> Self:
        there: dict[str, Any] = {
            key: moved(value, device) for key, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **there)


class MPNN(MultiTaskModel):
    """Molecules -> one number per task.

    Args:
        n_tasks: M, the number of linear heads.
        n_features: F, of a node; 11 in torch_geometric's QM9.
        dim: width of the node states; 64 in the published network.
        edge_hidden: width of the edge network's hidden layer; 128 in the published network.
        rounds: of message passing with shared parameters.
        steps: of Set2Set.
    """

    def __init__(
        self, n_tasks: int, n_features: int = 11, dim: int = 64, edge_hidden: int = 128, rounds: int = 3, steps: int = 3
    ) -> None:
        super().__init__()
        self.dim = dim
        self.rounds = rounds
        self.lin0 = nn.Linear(n_features, dim)
        # Four bond columns and the distance. The fourth, aromatic, is always zero in QM9 (Kekule form); it is kept so
        # that parameters match the published network's one by one.
        self.edge_in = nn.Linear(5, edge_hidden)
        self.edge_out = nn.Linear(edge_hidden, dim * dim)
        self.root = nn.Linear(dim, dim)
        self.gru = nn.GRUCell(dim, dim)
        self.set2set = Set2Set(dim, steps)
        self.lin1 = nn.Linear(2 * dim, dim)
        self.heads = nn.Linear(dim, n_tasks)

    def shared_parameters(self) -> list[nn.Parameter]:
        heads = set(self.heads.parameters())
        return [parameter for parameter in self.parameters() if parameter not in heads]

    def encode(self, molecules: Molecules) -> Tensor:
        """A vector per molecule [B, dim], in the order of the batch."""
        heard = exchange(self.edge_in, self.edge_out, molecules.distance, molecules.bond, molecules.groups)
        state = F.relu(self.lin0(molecules.atoms))
        for _ in range(self.rounds):
            message = heard(state) + self.root(state)
            state = self.gru(F.relu(message), state)
        n_molecules = sum(count for count, _ in molecules.groups)
        largest = molecules.groups[-1][1]
        pooled = self.set2set(state, molecules.slot, n_molecules, largest)
        return F.relu(self.lin1(pooled))

    def decode(self, representation: Tensor) -> Tensor:
        """One number per molecule and task, [B, M], from vectors [B, dim]."""
        out: Tensor = self.heads(representation)
        return out

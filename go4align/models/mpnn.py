"""The message-passing network of the QM9 experiments, in a form that never builds a matrix per pair of atoms.

Network (Gilmer et al. 2017; torch_geometric's `qm9_nn_conv` example, which Nash-MTL, FAMO and GO4Align use): lin0,
then three rounds of the same convolution and GRU, Set2Set with three steps, lin1, and one linear head per task. Every
pair of atoms of a molecule exchanges messages. torch_geometric's `NNConv` turns a pair's features e_ij (bond type,
distance) into a matrix and averages messages,

    m_i = mean_j x_j A(e_ij),    A(e) = B + sum_k relu(edge_in(e))_k W_k,    W_k, B [dim, dim].

Three rewritings give the same numbers at a fraction of the work:

1. A is linear in the hidden vector, so with Y_j = x_j [W_1 .. W_h] the message is one matrix product per molecule,
   m_i = sum_jk H_ijk Y_jk. Molecules of equal size lie next to each other, so a size needs one `bmm` and no padding.
2. For a given bond type, hidden unit k is relu(c_k + w_k r) of the distance r alone. A unit whose sign does not change
   within the distances that occur is linear there (or zero), and all such units together need only two columns a bond
   type, "1" and "r". Only the units that bend keep a column of their own: about a quarter of 128.
3. H does not change between the rounds, and the mean's 1 / (n - 1) goes into the columns, since relu(a x) = a relu(x).
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from go4align.models.base import MultiTaskModel
from go4align.models.set2set import Set2Set

Groups = tuple[tuple[int, int], ...]

BOND_TYPES = 4
"""No bond, single, double, triple."""


@dataclass(frozen=True)
class Molecules:
    """Molecules of a batch, sorted by size. N atoms in all, E = sum of n^2 over molecules of n atoms.

    atoms [N, F]: node features. distance [E] and bond [E]: of every ordered pair within a molecule, row by row; bond 0
    is an atom with itself, 1 no bond, 2 single, 3 double, 4 triple. slot [N]: where an atom goes when molecules are
    padded to the size of the largest. reach [4, 2]: bounds of the batch's distances for bond 1..4; a wrong bound gives
    wrong messages. groups: (number of molecules, n) for every size n in the batch, ascending.
    """

    atoms: Tensor
    distance: Tensor
    bond: Tensor
    slot: Tensor
    reach: Tensor
    groups: Groups

    def to(self, device: torch.device) -> Self:
        tensors: dict[str, Any] = {key: value for key, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{key: value.to(device, non_blocking=True) for key, value in tensors.items()})


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
        self.dim, self.rounds = dim, rounds
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
        pairs, kernel = self.pairs_and_kernel(molecules)
        state = F.relu(self.lin0(molecules.atoms))
        for _ in range(self.rounds):
            message = messages(state, pairs, kernel, molecules.groups) + self.root(state)
            state = self.gru(F.relu(message), state)
        n_molecules, largest = sum(count for count, _ in molecules.groups), molecules.groups[-1][1]
        pooled = self.set2set(state, molecules.slot, n_molecules, largest)
        return F.relu(self.lin1(pooled))

    def decode(self, representation: Tensor) -> Tensor:
        """One number per molecule and task, [B, M], from vectors [B, dim]."""
        out: Tensor = self.heads(representation)
        return out

    def pairs_and_kernel(self, molecules: Molecules) -> tuple[Tensor, Tensor]:
        """H [E, C], the columns of every pair, and the kernel [dim, C * dim] that turns a state into its Y.

        The first 2 * BOND_TYPES columns are 1 and r per bond type; then come the hidden units that bend.
        """
        weight, bias = self.edge_in.weight, self.edge_in.bias
        constant = torch.cat([bias[None], bias + weight[:, : BOND_TYPES - 1].t()])  # [T, h]
        slope = weight[:, 4].expand_as(constant)
        on, bent = self.units(constant.detach(), slope.detach(), molecules.reach)
        line = torch.cat([constant, slope])  # [2 T, h]
        identity = torch.eye(len(line), dtype=line.dtype, device=line.device)
        columns = torch.cat([identity, line.index_select(1, bent)], 1)
        pairs = F.relu(pair_basis(molecules, line.dtype) @ columns)  # the basis is non-negative: relu leaves it alone
        mix = torch.cat([line * torch.cat([on, on]), F.one_hot(bent, line.shape[1]).to(line.dtype)])  # [C, h]
        kernel = mix @ self.edge_out.weight.t()  # [C, dim * dim]
        kernel = torch.cat([kernel[:BOND_TYPES] + self.edge_out.bias, kernel[BOND_TYPES:]])
        return pairs, kernel.view(-1, self.dim, self.dim).transpose(0, 1).reshape(self.dim, -1)

    @staticmethod
    @torch.no_grad()
    def units(constant: Tensor, slope: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
        """Which hidden units are linear and on, [T, h] of 0 or 1, and the indices of those that bend.

        On a GPU every unit counts as bending: knowing better would make the host wait for the device.
        """
        if constant.is_cuda:
            return torch.zeros_like(constant), torch.arange(constant.shape[1], device=constant.device)
        ends = constant[..., None] + slope[..., None] * reach[:, None].to(constant.dtype)  # [T, h, 2]
        on, off = ends.amin(-1) > 0, ends.amax(-1) < 0
        straight = (on | off).all(0)
        return (on & straight).to(constant.dtype), (~straight).nonzero().view(-1)


def pair_basis(molecules: Molecules, dtype: torch.dtype) -> Tensor:
    """[E, 2 T]: one-hot bond type, then the same times the distance; both divided by the number of neighbours."""
    table = torch.eye(BOND_TYPES + 1, BOND_TYPES, dtype=dtype, device=molecules.bond.device).roll(1, 0)
    table[0] = 0
    kind = table.index_select(0, molecules.bond.int())
    end = 0
    for count, n in molecules.groups:
        start, end = end, end + count * n * n
        kind[start:end] *= 1 / max(n - 1, 1)
    return torch.cat([kind, kind * molecules.distance[:, None]], 1)


def messages(state: Tensor, pairs: Tensor, kernel: Tensor, groups: Groups) -> Tensor:
    """m_i = sum_jk H_ijk x_j kernel_k for every atom i: state [N, d], pairs [E, C], kernel [d, C * d] -> [N, d]."""
    out: Tensor = _Messages.apply(state, pairs, kernel, groups)  # type: ignore[no-untyped-call]
    return out


class _Messages(torch.autograd.Function):
    """`messages` with a hand-written gradient: autograd's own fills a whole zero tensor for every slice.

    Sizes are handled one after the other, so that the Y of a size is still in the processor's cache when it is used.
    """

    @staticmethod
    def forward(ctx: Any, state: Tensor, pairs: Tensor, kernel: Tensor, groups: Groups) -> Tensor:
        y, out = state.new_empty(len(state), kernel.shape[1]), torch.empty_like(state)
        views = _by_size(groups, [state, y, out], [pairs])
        for (count, n), s, y_s, out_s, pairs_s in zip(groups, *views, strict=True):
            torch.mm(s, kernel, out=y_s)
            torch.bmm(pairs_s.view(count, n, -1), y_s.view(count, -1, s.shape[1]), out=out_s.view(count, n, -1))
        ctx.save_for_backward(state, pairs, kernel, y)
        ctx.groups = groups
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        state, pairs, kernel, y = ctx.saved_tensors
        groups, largest = ctx.groups, max(count * n for count, n in ctx.groups)
        grad, scratch = grad.contiguous(), y.new_empty(largest, y.shape[1])
        grad_state, grad_pairs, grad_kernel = torch.empty_like(state), torch.empty_like(pairs), torch.zeros_like(kernel)
        views = _by_size(groups, [state, y, grad, grad_state], [pairs, grad_pairs])
        for (count, n), s, y_s, g, grad_s, pairs_s, grad_p in zip(groups, *views, strict=True):
            grad_y, g = scratch[: count * n], g.view(count, n, -1)
            torch.bmm(g, y_s.view(count, -1, s.shape[1]).transpose(1, 2), out=grad_p.view(count, n, -1))
            torch.bmm(pairs_s.view(count, n, -1).transpose(1, 2), g, out=grad_y.view(count, -1, s.shape[1]))
            torch.mm(grad_y, kernel.t(), out=grad_s)
            grad_kernel.addmm_(s.t(), grad_y)
        return grad_state, grad_pairs, grad_kernel, None


def _by_size(groups: Groups, per_atom: list[Tensor], per_pair: list[Tensor]) -> list[tuple[Tensor, ...]]:
    """Views of every tensor, one per size."""
    atoms, pairs = [count * n for count, n in groups], [count * n * n for count, n in groups]
    return [tensor.split(atoms) for tensor in per_atom] + [tensor.split(pairs) for tensor in per_pair]

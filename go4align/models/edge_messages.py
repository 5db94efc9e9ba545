"""What every atom hears from the others of its molecule, without a matrix for every pair of atoms.

torch_geometric's `NNConv` turns a pair's features e_ij (bond type, distance) into a matrix and averages messages,

    m_i = mean_j x_j A(e_ij),    A(e) = B + sum_k relu(edge_in(e))_k W_k,    W_k, B [dim, dim].

For a given bond type, hidden unit k is relu(c_k + w_k r) of the distance r alone. Two ways to the same numbers:

- `Segments` (on a CPU): between two neighbouring distances at which a unit bends, A is linear in r, A = P + r Q. Pairs
  are sorted by bond type and segment; what an atom hears within a segment is added up first, sum_j x_j and
  sum_j r x_j, so that a segment needs one product [rows, 2 dim] x [2 dim, dim]. There are never more rows than pairs,
  however many units bend, and more and more do while a network is trained.
- `Columns` (elsewhere): A is linear in the hidden vector, so with Y_j = x_j [W_1 .. W_h, B] the message is one matrix
  product per molecule, m_i = sum_jk H_ijk Y_jk; molecules of equal size lie next to each other, so a size needs one
  `bmm` and no padding. Which segments there are would have to be known on the host, and this way never waits for it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Sizes = tuple[tuple[int, int], ...]
"""(number of molecules, atoms of each) for every size in a batch, ascending."""

BOND_TYPES = 4
"""No bond, single, double, triple."""


def exchange(
    edge_in: nn.Linear,
    edge_out: nn.Linear,
    distance: Tensor,
    bond: Tensor,
    sizes: Sizes,
    *,
    way: "type[Columns | Segments] | None" = None,
) -> "Columns | Segments":
    """The function from states [N, dim] to messages [N, dim] for the pairs of a batch.

    Args:
        edge_in: [h, 5], from four bond columns and the distance.
        edge_out: [dim * dim, h].
        distance, bond: [E], of every ordered pair within a molecule, row by row; see `Molecules`.
        sizes: of the molecules.
        way: default `Segments` on a CPU, `Columns` elsewhere.
    """
    constant = torch.cat([edge_in.bias[None], edge_in.bias + edge_in.weight[:, : BOND_TYPES - 1].t()])  # [T, h]
    slope = edge_in.weight[:, 4]
    way = way or (Segments if distance.is_cpu else Columns)
    return way(constant, slope, edge_out, distance, bond, sizes)


class Columns:
    """One column of H [E, h + 1] per hidden unit, and one for the bias."""

    def __init__(
        self, constant: Tensor, slope: Tensor, edge_out: nn.Linear, distance: Tensor, bond: Tensor, sizes: Sizes
    ) -> None:
        dim = int(edge_out.out_features**0.5)
        table = torch.cat([torch.zeros_like(constant[:1]), constant])
        hidden = F.relu(table.index_select(0, bond.int()) + distance[:, None].to(slope) * slope)
        others = (bond > 0).to(hidden)
        end = 0
        for count, n in sizes:
            start, end = end, end + count * n * n
            others[start:end] *= 1 / max(n - 1, 1)
        self.pairs = torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1) * others[:, None]
        kernel = torch.cat([edge_out.weight.t(), edge_out.bias[None]])  # [h + 1, dim * dim]
        self.kernel = kernel.view(-1, dim, dim).transpose(0, 1).reshape(dim, -1)
        self.sizes = sizes

    def __call__(self, state: Tensor) -> Tensor:
        out: Tensor = _ColumnMessages.apply(state, self.pairs, self.kernel, self.sizes)  # type: ignore[no-untyped-call]
        return out


class _ColumnMessages(torch.autograd.Function):
    """m_i = sum_jk H_ijk x_j kernel_k, with a gradient of its own: autograd's fills a whole zero tensor per slice."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, pairs: Tensor, kernel: Tensor, sizes: Sizes) -> Tensor:
        y = state.new_empty(len(state), kernel.shape[1])
        out = torch.empty_like(state)
        views = _by_size(sizes, [state, y, out], [pairs])
        for (count, n), s, y_s, out_s, pairs_s in zip(sizes, *views, strict=True):
            torch.mm(s, kernel, out=y_s)
            torch.bmm(pairs_s.view(count, n, -1), y_s.view(count, -1, s.shape[1]), out=out_s.view(count, n, -1))
        ctx.save_for_backward(state, pairs, kernel, y)
        ctx.sizes = sizes
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        state, pairs, kernel, y = ctx.saved_tensors
        grad = grad.contiguous()
        scratch = y.new_empty(max(count * n for count, n in ctx.sizes), y.shape[1])
        grad_state = torch.empty_like(state)
        grad_pairs = torch.empty_like(pairs)
        grad_kernel = torch.zeros_like(kernel)
        views = _by_size(ctx.sizes, [state, y, grad, grad_state], [pairs, grad_pairs])
        for (count, n), s, y_s, g, grad_s, pairs_s, grad_p in zip(ctx.sizes, *views, strict=True):
            grad_y, g = scratch[: count * n], g.view(count, n, -1)
            torch.bmm(g, y_s.view(count, -1, s.shape[1]).transpose(1, 2), out=grad_p.view(count, n, -1))
            torch.bmm(pairs_s.view(count, n, -1).transpose(1, 2), g, out=grad_y.view(count, -1, s.shape[1]))
            torch.mm(grad_y, kernel.t(), out=grad_s)
            grad_kernel.addmm_(s.t(), grad_y)
        return grad_state, grad_pairs, grad_kernel, None


def _by_size(sizes: Sizes, per_atom: list[Tensor], per_pair: list[Tensor]) -> list[tuple[Tensor, ...]]:
    """Views of every tensor, one per size."""
    atoms = [count * n for count, n in sizes]
    pairs = [count * n * n for count, n in sizes]
    return [tensor.split(atoms) for tensor in per_atom] + [tensor.split(pairs) for tensor in per_pair]


class Segments:
    """One matrix [2 dim, dim] per segment: P above Q."""

    def __init__(
        self, constant: Tensor, slope: Tensor, edge_out: nn.Linear, distance: Tensor, bond: Tensor, sizes: Sizes
    ) -> None:
        dim = int(edge_out.out_features**0.5)
        self.layout, kind, middle = _laid_out(constant, slope, distance, bond, sizes)
        at_middle = constant[kind] + middle[:, None] * slope  # [S, h], the units there before their relu
        value = F.relu(at_middle) @ edge_out.weight.t() + edge_out.bias
        change = ((at_middle.detach() > 0) * slope) @ edge_out.weight.t()
        self.kernel = torch.cat([value.view(-1, dim, dim), change.view(-1, dim, dim)], 1)

    def __call__(self, state: Tensor) -> Tensor:
        if not self.layout.rows:  # molecules of one atom
            return torch.zeros_like(state) + self.kernel.sum()
        out: Tensor = _SegmentMessages.apply(state, self.kernel, self.layout)  # type: ignore[no-untyped-call]
        return out


class _SegmentMessages(torch.autograd.Function):
    """Add up what an atom hears within a segment, multiply, and add up its segments."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, kernel: Tensor, layout: "_Layout") -> Tensor:
        heard = torch.cat([layout.gather(state, weights) for weights in (layout.share, layout.offset)], 1)
        product = state.new_empty(len(heard), state.shape[1])
        for segment, rows in enumerate(layout.rows):
            torch.mm(heard[rows], kernel[segment], out=product[rows])
        ctx.save_for_backward(heard, kernel)
        ctx.layout = layout
        return layout.of_atoms(product)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        heard, kernel = ctx.saved_tensors
        layout: _Layout = ctx.layout
        grad_product = grad.index_select(0, layout.hearer)
        grad_heard = torch.empty_like(heard)
        grad_kernel = torch.empty_like(kernel)
        for segment, rows in enumerate(layout.rows):
            torch.mm(grad_product[rows], kernel[segment].t(), out=grad_heard[rows])
            torch.mm(heard[rows].t(), grad_product[rows], out=grad_kernel[segment])
        return layout.scatter(grad_heard), grad_kernel, None


@dataclass(frozen=True)
class _Layout:
    """Where the pairs of a batch go: sorted by bond type and segment, then by the atom that hears.

    All pairs of one segment in which one atom hears make a row, of R rows in all.

    Attributes:
        sender: [E], of every sorted pair.
        share, offset: [E], of one message in the mean, and that times the distance from the segment's middle.
        starts: [R], each row's first pair.
        rows: of each segment.
        hearer: [R], of every row.
        by_hearer, atom_starts: the rows atom by atom, [R], and each atom's first entry there, [N].
        by_sender, sender_starts: for 2 R half rows (sums of x_j, and of r x_j), those in which an atom speaks, with
            `sender_weights`, atom by atom, [2 E], and each atom's first entry there, [N].
    """

    sender: Tensor
    share: Tensor
    offset: Tensor
    starts: Tensor
    rows: list[slice]
    hearer: Tensor
    by_hearer: Tensor
    atom_starts: Tensor
    by_sender: Tensor
    sender_weights: Tensor
    sender_starts: Tensor

    def gather(self, state: Tensor, weights: Tensor) -> Tensor:
        """[N, d] of senders -> [R, d], weighted sums."""
        return F.embedding_bag(self.sender, state, self.starts, mode="sum", per_sample_weights=weights)

    def of_atoms(self, rows: Tensor) -> Tensor:
        """[R, d] -> [N, d], sums over an atom's rows."""
        return F.embedding_bag(self.by_hearer, rows, self.atom_starts, mode="sum")

    def scatter(self, rows: Tensor) -> Tensor:
        """[R, 2 d] -> [N, d] of senders, the transpose of both `gather`s."""
        halves = rows.view(2 * len(rows), -1)
        return F.embedding_bag(
            self.by_sender, halves, self.sender_starts, mode="sum", per_sample_weights=self.sender_weights
        )


@torch.no_grad()
def _laid_out(
    constant: Tensor, slope: Tensor, distance: Tensor, bond: Tensor, sizes: Sizes
) -> tuple[_Layout, Tensor, Tensor]:
    """The layout of a batch's pairs; of every segment its bond type (from 0) and its middle, [S] each."""
    pairs = _pairs_of_two(sizes, bond)
    r = distance.double().numpy()[pairs.place]
    kind = bond.numpy()[pairs.place].astype(np.int64) - 1
    segment = _segments(constant, slope, r, kind)
    order = np.argsort(segment, kind="stable")  # within a segment the hearers still ascend
    segment, hearer, sender, share = segment[order], pairs.hearer[order], pairs.sender[order], pairs.share[order]
    first = np.flatnonzero(np.diff(segment, prepend=-1))
    counts = np.diff(first, append=len(segment))
    middle = np.bincount(np.repeat(np.arange(len(first)), counts), weights=r[order], minlength=len(first)) / counts
    offset = share * (r[order] - np.repeat(middle, counts))
    begins = (np.diff(segment, prepend=-1) != 0) | (np.diff(hearer, prepend=-1) != 0)
    starts = np.flatnonzero(begins)
    row = np.cumsum(begins) - 1
    edges = [*row[first].tolist(), len(starts)]
    n_atoms = sum(count * n for count, n in sizes)
    by_hearer, atom_starts = _grouped(hearer[starts], n_atoms)
    by_sender, sender_starts = _grouped(np.concatenate([sender, sender]), n_atoms)
    halves = np.concatenate([2 * row, 2 * row + 1])
    weights = np.concatenate([share, offset])
    floats = (torch.from_numpy(values).to(slope) for values in (share, offset, weights[by_sender], middle))
    share_, offset_, weights_, middle_ = floats
    layout = _Layout(
        sender=torch.from_numpy(sender),
        share=share_,
        offset=offset_,
        starts=torch.from_numpy(starts),
        rows=[slice(a, b) for a, b in pairwise(edges)],
        hearer=torch.from_numpy(hearer[starts]),
        by_hearer=torch.from_numpy(by_hearer),
        atom_starts=torch.from_numpy(atom_starts),
        by_sender=torch.from_numpy(halves[by_sender]),
        sender_weights=weights_,
        sender_starts=torch.from_numpy(sender_starts),
    )
    return layout, torch.from_numpy(kind[order[first]]), middle_


class _Pairs(NamedTuple):
    """The ordered pairs of two atoms: where they stand among all pairs, who hears whom, and the share of the message
    in the hearer's mean."""

    place: NDArray[np.int64]
    hearer: NDArray[np.int64]
    sender: NDArray[np.int64]
    share: NDArray[np.float64]


def _pairs_of_two(sizes: Sizes, bond: Tensor) -> _Pairs:
    atom = 0
    hearers, senders, shares = [], [], []
    for count, n in sizes:
        atoms = atom + np.arange(count * n).reshape(count, n)
        hearers.append(np.repeat(atoms.ravel(), n))
        senders.append(np.repeat(atoms, n, axis=0).ravel())
        shares.append(np.full(count * n * n, 1 / max(n - 1, 1)))
        atom += count * n
    place = np.flatnonzero(bond.numpy())
    return _Pairs(place, *(np.concatenate(values)[place] for values in (hearers, senders, shares)))


def _segments(constant: Tensor, slope: Tensor, r: NDArray[np.float64], kind: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Which segment of its bond type's distances each pair lies in, numbered through all bond types."""
    apart = r.max(initial=0.0) + 1.0  # bond types lie one behind the other on one axis
    with np.errstate(divide="ignore", invalid="ignore"):
        bends = (-constant.double() / slope.double()).numpy()  # [T, h]; infinite or NaN where a unit never bends
    begin = apart * np.arange(BOND_TYPES)
    knots = np.concatenate([(bends + begin[:, None])[(bends > 0) & (bends < apart)], begin])
    place: NDArray[np.uint16] = np.searchsorted(np.sort(knots), r + apart * kind, side="right").astype(np.uint16)
    return place


def _grouped(owner: NDArray[np.int64], n_atoms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order that puts together what belongs to one atom, and each atom's first place in it."""
    small = owner.astype(np.uint16) if n_atoms < 2**16 else owner  # sorted by radix, ten times faster
    counts = np.bincount(owner, minlength=n_atoms)
    return np.argsort(small, kind="stable"), np.cumsum(counts) - counts

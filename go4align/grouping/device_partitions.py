"""Optimal partitions of sorted values on a device, in a number of operations that grows with log K alone.

One step of the dynamic programming for each group, as a host takes them, would queue several operations for each.
In the algebra of (min, +) the least cost of k groups from any value to any other is the k-th power of the matrix of
segment costs, so powers can be multiplied instead: A^(a+b) = A^a A^b. Of partitions that cost the same, each product
takes the earliest split; segment costs have the Monge property, so that this is the partition whose groups all end
earliest, which the host's steps find, too. Sums are associated otherwise than there: the two may differ where
partitions cost the same but for the rounding of a sum.

Matrices are of [last, before] as in `device_segments`.
"""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from go4align.grouping.choose_k import choose_k


def boundaries(costs: Tensor, n_groups: int) -> Tensor:
    """[K + 1] ascending: the last value of every group, behind the M - 1 that is before the first.

    The best split of K groups into two halves is found from the costs of the halves, and so on down to single groups;
    then every interval, of the whole to begin with, is split by what was found for its number of groups.
    """
    plan = _halving(n_groups, len(costs), costs.device)
    tables = []
    powers = costs[None]
    for level in plan.levels[:-1]:
        least, splits = _product(powers[level.left], powers[level.right])
        tables.append(splits)
        powers = torch.stack((costs, least[0])) if level.keeps_one else least
    if not plan.levels:
        return plan.whole
    last = plan.levels[-1]
    split = (powers[last.left][:-1, -1] + powers[last.right][0, -1, :-1]).argmin()
    found = torch.where(plan.middle, split, plan.whole)
    for level, table in zip(reversed(plan.levels[:-1]), reversed(tables), strict=True):
        step = level.step
        index = [level.which, found[step::step], found[:-1:step]]
        torch.ops.aten.index.Tensor_out(table, index, out=found[step // 2 :: step])
    return found if plan.kept is None else found.index_select(0, plan.kept)


def _product(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The (min, +) products [n, M, M] of one matrix [M, M] and n others, and where the left part ends in each."""
    least, splits = (left.T[:, :-1] + right[:, :, None, :-1]).min(-1)
    return least, splits


class _Level(NamedTuple):
    """Of one level the products: which power is on the left and which are on the right, of those of the level below.

    keeps_one: whether single groups are among what the level above needs, beside this level's product.
    step: of the boundaries before this level's splits are among them.
    which: [intervals] int, the product that splits each interval.
    """

    left: int
    right: slice
    keeps_one: bool
    step: int
    which: Tensor


class _Halving(NamedTuple):
    """The levels from single groups up.

    whole: [boundaries] int, M - 1, which is the first one and the last.
    middle: [boundaries] bool, where the highest level's split belongs.
    kept: [K + 1] int, those that are of the K groups; None for all.
    """

    levels: list[_Level]
    whole: Tensor
    middle: Tensor
    kept: Tensor | None


@lru_cache(maxsize=256)
def _halving(n_groups: int, size: int, device: torch.device) -> _Halving:
    """Numbers of groups on a level are one, or two neighbours: the halves of those above, rounded down and up."""
    counts: list[tuple[int, ...]] = [(n_groups,)]
    while counts[-1] != (1,):
        above = counts[-1]
        counts.append(tuple(range(max(1, above[0] // 2), (above[-1] + 1) // 2 + 1)))
    intervals = [n_groups]
    levels = []
    for number, (here, below) in enumerate(pairwise(counts)):
        left = (here[0] + 1) // 2
        rights = [count - left for count in here if count > left]
        first = rights[0] - below[0]
        which = torch.tensor([max(0, count - left - rights[0]) for count in intervals], device=device)
        step = 2 ** (len(counts) - 1 - number)
        levels.append(_Level(left - below[0], slice(first, first + len(rights)), here[0] == 1, step, which))
        splits = [(min(left, count), max(0, count - left)) for count in intervals]
        intervals = [part for pair in splits for part in pair]
    kept = [0]
    for place, count in enumerate(intervals, start=1):
        if count:
            kept.append(place)
        else:  # a single group that was split all the same: its end is behind what was found there
            kept[-1] = place
    whole = torch.full((len(intervals) + 1,), size - 1, device=device)
    middle = torch.arange(len(whole), device=device) == len(intervals) // 2
    every = len(kept) == len(whole)
    return _Halving(levels[::-1], whole, middle, None if every else torch.tensor(kept, device=device))


class Chosen(NamedTuple):
    """A partition into K groups, K known on the device alone.

    Attributes:
        last_label: K - 1.
        ends: [at least M], the last value of every group, the last group first; -1 from K on.
        befores: [at least M], the value before each.
    """

    last_label: Tensor
    ends: Tensor
    befores: Tensor


def chosen_partition(costs: Tensor, misfits: Tensor) -> Chosen:
    """The partition into as many groups as `choose_k` says.

    Every (k, last value of k groups) is a node that points to the (k - 1, last value) before its last group. Sums over
    the path from each node, and the path itself, come from pointers that reach 1, 2, 4, ... nodes ahead.
    """
    size = len(costs)
    known = _chain_constants(size, costs.device)
    sums = _least_sums(costs)
    last = (sums[:-1, None, :-1] + costs[:, :-1]).argmin(-1)
    befores = torch.cat((known.befores, last))
    ahead = (befores + known.offsets).flatten()
    total = misfits[known.positions, befores].flatten()
    jumps = [ahead]
    for number in range(known.rounds):
        total = total + total.index_select(0, jumps[-1])
        if number < known.rounds - 1:
            jumps.append(jumps[-1].index_select(0, jumps[-1]))
    last_label = choose_k(total.view(size + 1, size)[1:, -1])
    path = ahead.new_empty(2**known.rounds)
    torch.index_select(known.roots, 0, last_label.view(1), out=path[:1])
    for number in reversed(range(known.rounds)):
        step = 2**number
        torch.index_select(jumps[number], 0, path[:: 2 * step], out=path[step :: 2 * step])
    return Chosen(last_label, known.ends.index_select(0, path), befores.flatten().index_select(0, path))


def _least_sums(costs: Tensor) -> Tensor:
    """[M, M]: entry [k - 1, j] is the least cost of k groups of the first values up to j."""
    size = len(costs)
    sums = torch.empty_like(costs)
    sums[0] = costs[:, -1]
    power, done = costs, 1
    while done < size:
        more = min(done, size - done)
        torch.amin(sums[:more, None, :-1] + power[:, :-1], -1, out=sums[done : done + more])
        done += more
        if done < size:
            power = (power.T[:, :-1] + power[:, None, :-1]).amin(-1)
    return sums


class _ChainConstants(NamedTuple):
    """For nodes (k, j), k = 0, ..., M, of which those of no group point to each other and cost nothing.

    rounds: of doubling until a pointer reaches over M nodes.
    positions: [M], 0, 1, ..., M - 1.
    befores: [2, M], where the last group begins for k = 0 (as if it were value j alone) and k = 1.
    offsets: [M + 1, 1], the number of the first node of k - 1.
    ends: [(M + 1) M], j, or -1 for k = 0.
    roots: [M], the node of K groups of all values, for each K - 1.
    """

    rounds: int
    positions: Tensor
    befores: Tensor
    offsets: Tensor
    ends: Tensor
    roots: Tensor


@lru_cache(maxsize=64)
def _chain_constants(size: int, device: torch.device) -> _ChainConstants:
    positions = torch.arange(size, device="cpu")
    befores = torch.stack(((positions - 1) % size, torch.full_like(positions, size - 1)))
    offsets = size * torch.arange(-1, size, device="cpu").clamp(min=0)[:, None]
    ends = torch.cat((torch.full_like(positions, -1), positions.repeat(size)))
    roots = size * (positions + 2) - 1
    tensors = (positions, befores, offsets, ends, roots)
    return _ChainConstants(max(1, (size - 1).bit_length()), *(tensor.to(device) for tensor in tensors))

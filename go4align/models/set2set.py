"""Set2Set: attention pooling over sets of different sizes (Vinyals et al. 2016, "Order Matters")."""

import torch
from torch import Tensor, nn


class Set2Set(nn.Module):
    """States of all elements [N, d] -> one vector per set [B, 2 d]; torch_geometric's parameters and results.

    Sets are padded to the size of the largest, which costs little here and makes a step of attention two `bmm`.
    """

    def __init__(self, dim: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.lstm = nn.LSTMCell(2 * dim, dim)

    def forward(self, state: Tensor, slot: Tensor, n_sets: int, largest: int) -> Tensor:
        """slot [N]: the place of every element among the n_sets * largest padded ones."""
        dim = state.shape[1]
        padded = state.new_zeros(n_sets * largest, dim).index_copy(0, slot, state).view(n_sets, largest, dim)
        empty = state.new_full((n_sets * largest,), float("-inf")).index_fill(0, slot, 0.0).view(n_sets, 1, largest)
        hidden = memory = state.new_zeros(n_sets, dim)
        pooled = state.new_zeros(n_sets, 2 * dim)
        for _ in range(self.steps):
            hidden, memory = self.lstm(pooled, (hidden, memory))
            attention = torch.baddbmm(empty, hidden[:, None], padded.transpose(1, 2)).softmax(-1)
            pooled = torch.cat([hidden, torch.bmm(attention, padded)[:, 0]], 1)
        return pooled

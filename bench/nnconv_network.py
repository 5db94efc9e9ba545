"""The QM9 network as published: torch_geometric's `qm9_nn_conv` example with its transforms, and linear heads.

What `go4align.models.mpnn` is measured and tested against. Written after torch_geometric's example (MIT) and the
description in Navon et al. 2022; the parameters' shapes are those of `MPNN`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Data
from torch_geometric.nn import NNConv
from torch_geometric.nn.aggr import Set2Set
from torch_geometric.transforms import BaseTransform, Compose, Distance
from torch_geometric.utils import remove_self_loops

from go4align.benchmarks.base import Split
from go4align.benchmarks.qm9 import QM9
from go4align.models.mpnn import MPNN


class Complete(BaseTransform):
    """Every ordered pair of atoms becomes an edge; its bond features stay, and are zero where there is no bond."""

    def forward(self, data: Data) -> Data:
        n = data.num_nodes
        row = torch.arange(n).repeat_interleave(n)
        column = torch.arange(n).repeat(n)
        features = data.edge_attr.new_zeros((n * n, data.edge_attr.shape[1]))
        features[data.edge_index[0] * n + data.edge_index[1]] = data.edge_attr
        data.edge_index, data.edge_attr = remove_self_loops(torch.stack([row, column]), features)
        return data


def published_transform() -> Compose:
    return Compose([Complete(), Distance(norm=False)])


class NNConvNetwork(nn.Module):
    """lin0, 3 x (NNConv, GRU), Set2Set, lin1, heads."""

    def __init__(self, n_tasks: int, n_features: int = 11, dim: int = 64, edge_hidden: int = 128) -> None:
        super().__init__()
        self.lin0 = nn.Linear(n_features, dim)
        edge_network = nn.Sequential(nn.Linear(5, edge_hidden), nn.ReLU(), nn.Linear(edge_hidden, dim * dim))
        self.conv = NNConv(dim, dim, edge_network, aggr="mean")
        self.gru = nn.GRU(dim, dim)
        self.set2set = Set2Set(dim, processing_steps=3)
        self.lin1 = nn.Linear(2 * dim, dim)
        self.heads = nn.Linear(dim, n_tasks)

    def forward(self, data: Any) -> Tensor:
        out = F.relu(self.lin0(data.x))
        hidden = out.unsqueeze(0)
        for _ in range(3):
            message = F.relu(self.conv(out, data.edge_index, data.edge_attr))
            out, hidden = self.gru(message.unsqueeze(0), hidden)
            out = out.squeeze(0)
        pooled = self.set2set(out, data.batch)
        return self.heads(F.relu(self.lin1(pooled)))  # type: ignore[no-any-return]


def parameter_names() -> dict[str, str]:
    """Name of every parameter in `MPNN` by its name in `NNConvNetwork`."""
    names = {
        "conv.nn.0.weight": "edge_in.weight",
        "conv.nn.0.bias": "edge_in.bias",
        "conv.nn.2.weight": "edge_out.weight",
        "conv.nn.2.bias": "edge_out.bias",
        "conv.lin.weight": "root.weight",
        "conv.bias": "root.bias",
    }
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        names[f"gru.{kind}_l0"] = f"gru.{kind}"
        names[f"set2set.lstm.{kind}_l0"] = f"set2set.lstm.{kind}"
    return names | {
        f"{layer}.{kind}": f"{layer}.{kind}" for layer in ("lin0", "lin1", "heads") for kind in ("weight", "bias")
    }


def same_parameters(model: MPNN) -> NNConvNetwork:
    """The published network with the parameters of `model`."""
    network = NNConvNetwork(model.heads.out_features, model.lin0.in_features, model.dim, model.edge_in.out_features).to(
        model.lin0.weight.dtype
    )
    own = dict(model.named_parameters())
    network.load_state_dict({theirs: own[ours].detach().clone() for theirs, ours in parameter_names().items()})
    return network


def graphs_of(benchmark: QM9, split: Split, dtype: torch.dtype = torch.float32) -> list[Data]:
    """A split's molecules as torch_geometric's QM9 stores them, with the benchmark's targets, by ascending size."""
    graphs = []
    for batch in benchmark.batches(split, 1):
        bonds = batch.bond.view(len(batch.atoms), -1)
        edge_index = (bonds >= 2).nonzero().t()
        edge_attr = F.one_hot(bonds[*edge_index].long() - 2, 4).to(dtype)
        x, pos, y = batch.atoms.to(dtype), batch.pos.to(dtype), batch.targets.to(dtype)
        graphs.append(Data(x=x, pos=pos, edge_index=edge_index, edge_attr=edge_attr, y=y))
    return graphs

"""The fast message passing against torch_geometric's NNConv network with the same parameters."""

import sys
from dataclasses import replace
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch
from devices import here
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from go4align.benchmarks.qm9 import QM9
from go4align.models.edge_messages import Columns, Segments, exchange
from go4align.models.mpnn import MPNN, Molecules

N_TASKS = 11


class SmallQM9(QM9):
    _limit = 400


on_the_host = pytest.mark.cpu_only("segments of the distance are found on the host")


@pytest.fixture(scope="module")
def published() -> ModuleType:
    """The published network, which bench/ measures too."""
    path = Path(__file__).parents[3] / "bench" / "nnconv_network.py"
    spec = spec_from_file_location("nnconv_network", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["nnconv_network"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def qm9() -> SmallQM9:
    return SmallQM9(train_size=40, val_size=40, test_size=40)


@pytest.mark.parametrize(("dim", "edge_hidden"), [(64, 128), (32, 32), (3, 5)])
@pytest.mark.parametrize(
    ("dtype", "output_tolerance", "gradient_tolerance"), [(torch.float64, 1e-12, 1e-10), (torch.float32, 1e-6, 1e-5)]
)
def test_outputs_and_gradients_are_those_of_nnconv(
    published: ModuleType,
    qm9: SmallQM9,
    dim: int,
    edge_hidden: int,
    dtype: torch.dtype,
    output_tolerance: float,
    gradient_tolerance: float,
) -> None:
    """Outputs to an absolute tolerance; gradients relative to the largest entry of a parameter's gradient."""
    from torch_geometric.data import Batch

    torch.manual_seed(dim)
    model = MPNN(N_TASKS, dim=dim, edge_hidden=edge_hidden).to(dtype)
    network = published.same_parameters(model)
    graphs = published.graphs_of(qm9, "train", dtype)
    (batch,) = qm9.batches("train", 40)
    batch = here(batch)
    batch = replace(batch, atoms=batch.atoms.to(dtype), distance=exact_distances(batch.pos.to(dtype), batch.groups))
    complete = here(Batch.from_data_list([published.published_transform()(graph) for graph in graphs]))
    ours, theirs = model(batch), network(complete)
    assert ours.shape == (40, N_TASKS)
    torch.testing.assert_close(ours, theirs, atol=output_tolerance, rtol=0)
    direction = torch.randn_like(ours)
    (ours * direction).sum().backward()
    (theirs * direction).sum().backward()
    own = dict(model.named_parameters())
    names = published.parameter_names()
    assert sorted(names.values()) == sorted(own)
    for name, parameter in network.named_parameters():
        expected, found = parameter.grad, own[names[name]].grad
        assert found is not None, name
        assert (found - expected).abs().max() <= gradient_tolerance * max(expected.abs().max(), 1e-3), name


def exact_distances(pos: Tensor, groups: tuple[tuple[int, int], ...]) -> Tensor:
    parts = zip(pos.split([count * n for count, n in groups]), groups, strict=True)
    molecules = [part.view(count, n, 3) for part, (count, n) in parts]
    return torch.cat([(p[:, :, None] - p[:, None]).square().sum(-1).sqrt().view(-1) for p in molecules])


def made_on_the_host(groups: tuple[tuple[int, int], ...], generator: torch.Generator) -> Molecules:
    """Positions and bonds without chemistry, so that every bond type meets every distance."""
    largest, first, slots, bonds = groups[-1][1], 0, [], []
    for count, n in groups:
        slots.append((torch.arange(first, first + count)[:, None] * largest + torch.arange(n)).view(-1))
        first += count
        upper = torch.randint(1, 5, (count, n, n), generator=generator).triu(1)
        bonds.append((upper + upper.transpose(1, 2)).view(-1))
    n_atoms = sum(count * n for count, n in groups)
    distance = exact_distances(2 * torch.rand(n_atoms, 3, generator=generator, dtype=torch.float64), groups)
    bond = torch.cat(bonds)
    atoms = torch.randn(n_atoms, 11, generator=generator, dtype=torch.float64)
    return Molecules(atoms, distance, bond.to(torch.uint8), torch.cat(slots), groups)


def random_molecules(groups: tuple[tuple[int, int], ...], generator: torch.Generator) -> Molecules:
    with torch.device("cpu"):
        molecules = made_on_the_host(groups, generator)
    return here(molecules)


@on_the_host
@given(
    seed=st.integers(0, 2**31),
    counts=st.dictionaries(st.integers(1, 7), st.integers(1, 3), min_size=1, max_size=3),
    scale=st.floats(0, 5),
)
def test_both_ways_give_the_same(seed: int, counts: dict[int, int], scale: float) -> None:
    """Outputs and gradients, wherever the hidden units bend; a molecule of one atom hears nothing."""
    generator = torch.Generator().manual_seed(seed)
    molecules = random_molecules(tuple((counts[n], n) for n in sorted(counts)), generator)
    torch.manual_seed(seed)
    model = MPNN(3, dim=4, edge_hidden=12).double()
    with torch.no_grad():
        model.edge_in.bias.mul_(scale)
    results = []
    for way in (Segments, Columns):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("go4align.models.mpnn.exchange", partial(exchange, way=way))
            outputs = model(molecules)
        results.append([outputs, *torch.autograd.grad(outputs.square().sum(), list(model.parameters()))])
    for by_segments, by_columns in zip(*results, strict=True):
        torch.testing.assert_close(by_segments, by_columns, atol=1e-11, rtol=1e-9)


@on_the_host
def test_rows_are_at_most_the_pairs_however_many_units_bend(qm9: SmallQM9) -> None:
    """Between 1.2 and 6 Angstrom every one of 128 units bends; a fresh network bends in few places."""
    torch.manual_seed(0)
    (batch,) = qm9.batches("train", 40)
    model = MPNN(N_TASKS)

    def layout() -> tuple[int, int]:
        found = exchange(model.edge_in, model.edge_out, batch.distance, batch.bond, batch.groups)
        assert isinstance(found, Segments)
        return len(found.layout.rows), len(found.layout.hearer)

    fresh_segments, fresh_rows = layout()
    with torch.no_grad():
        model.edge_in.weight[:, 4] = 1.0
        model.edge_in.bias[:] = -torch.linspace(1.2, 6, 128)
    segments, rows = layout()
    n_pairs = int((batch.bond > 0).sum())
    assert fresh_segments < 50 < 100 < segments
    assert fresh_rows < 0.6 * n_pairs < rows <= n_pairs


@pytest.mark.parametrize("way", [pytest.param(Segments, marks=on_the_host), Columns])
def test_gradient_of_messages(way: type[Segments] | type[Columns]) -> None:
    molecules = random_molecules(((2, 3), (1, 4)), torch.Generator().manual_seed(0))
    edge_in, edge_out = torch.nn.Linear(5, 3).double(), torch.nn.Linear(3, 4).double()
    parameters = dict(edge_in.named_parameters(prefix="in")) | dict(edge_out.named_parameters(prefix="out"))

    def heard(state: Tensor, *_: Tensor) -> Tensor:
        function = exchange(edge_in, edge_out, molecules.distance, molecules.bond, molecules.groups, way=way)
        return function(state)

    state = torch.randn(10, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(heard, (state, *parameters.values()))


def test_molecules_do_not_mix_and_atoms_have_no_order() -> None:
    """A molecule's output is the same alone, in a batch, and with its atoms in another order."""
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    model = MPNN(2, dim=4, edge_hidden=6).double()
    both = random_molecules(((1, 4), (1, 6)), generator)
    alone = Molecules(both.atoms[4:], both.distance[16:], both.bond[16:], torch.arange(6), ((1, 6),))
    torch.testing.assert_close(model(both)[1:], model(alone))
    order = here(torch.randperm(6, generator=generator, device="cpu"))
    pairs = alone.distance.view(6, 6)[order][:, order], alone.bond.view(6, 6)[order][:, order]
    shuffled = replace(alone, atoms=alone.atoms[order], distance=pairs[0].reshape(-1), bond=pairs[1].reshape(-1))
    torch.testing.assert_close(model(shuffled), model(alone))


def test_shared_parameters_are_all_but_the_heads() -> None:
    model = MPNN(2, dim=4, edge_hidden=6)
    shared = {id(parameter) for parameter in model.shared_parameters()}
    assert {name for name, parameter in model.named_parameters() if id(parameter) not in shared} == {
        "heads.weight",
        "heads.bias",
    }


def test_several_backward_passes_through_one_graph(qm9: SmallQM9) -> None:
    """As methods with a gradient per task need them."""
    model = MPNN(3, dim=8, edge_hidden=8)
    (batch,) = map(here, qm9.batches("train", 40))
    losses = model(batch).square().mean(0)
    shared = model.shared_parameters()
    rows = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses]
    total = torch.autograd.grad(losses.sum(), shared)
    for parts, whole in zip(zip(*rows, strict=True), total, strict=True):
        torch.testing.assert_close(sum(parts), whole, atol=1e-6, rtol=1e-4)

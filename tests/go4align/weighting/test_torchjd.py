"""TorchJD's methods: which there are, that a step is TorchJD's own, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchjd_optimum
from devices import here
from jacobians import take_step
from torch import Tensor
from torchjd import aggregation, linalg, scalarization
from torchjds import built

from go4align import UserError, build_weighting, hyperparameters, torchjd_methods
from go4align.weighting._torchjd.catalogue import methods, name_of, refused
from go4align.weighting.descriptions import describe
from go4align.weighting.registry import available_methods, compares_gradients, is_method

ROWS = torch.tensor([[3.0, 1.0, 0.0, 1.0], [-2.0, 1.0, 1.0, 0.0], [0.5, -1.0, 2.0, 0.0]], dtype=torch.float64)
LOSSES = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
SAME_STEP = {"constant", "mean", "random", "sum"}
"""A scalarizer and an aggregator have this name; the scalarizer is the method."""


def weights_of(weighting: Any, losses: Tensor, **arguments: Any) -> Tensor:
    shared = torch.nn.Parameter(torch.ones_like(losses))
    record = weighting.backward(losses * shared, shared_parameters=[shared], **arguments)
    return record.weights.cpu()


def test_every_public_class_of_torchjd_is_a_method_or_left_out_for_a_reason() -> None:
    for package in (aggregation, scalarization):
        for public in package.__all__:
            kind = getattr(package, public)
            name = name_of(kind)
            is_base = name.endswith(("_bases", "_base"))
            is_weighting_of_an_aggregator = public.endswith("Weighting") and name in methods()
            same_step = package is aggregation and name in SAME_STEP
            taken = methods().get(name) is kind
            assert [is_base, is_weighting_of_an_aggregator, same_step, taken, f"torchjd.{name}" in refused()].count(
                True
            ) >= 1, public


def test_they_are_not_among_our_own() -> None:
    assert not set(available_methods()) & set(torchjd_methods())
    assert {"torchjd.upgrad", "torchjd.aligned_mtl", "torchjd.imtl_l", "torchjd.stch"} <= set(torchjd_methods())
    assert is_method("torchjd.upgrad") and is_method("famo") and not is_method("upgrad") and not is_method("torchjd.x")


@pytest.mark.parametrize("name", sorted(set(SAME_STEP) - {"random"}))
def test_where_two_share_a_name_the_steps_are_the_same(name: str) -> None:
    options = {"weights": [0.5, 2.0, 1.0]} if name == "constant" else {}
    kind = {"constant": aggregation.Constant, "mean": aggregation.Mean, "sum": aggregation.Sum}[name]
    arguments = {key: torch.tensor(value, dtype=torch.float64, device="cpu") for key, value in options.items()}
    _, grad = take_step(build_weighting(f"torchjd.{name}", 3, **options), here(ROWS))
    torch.testing.assert_close(grad.cpu(), kind(**arguments)(ROWS.cpu()))


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("aligned_mtl", aggregation.AlignedMTL),
        ("config", aggregation.ConFIG),
        ("dualproj", aggregation.DualProj),
        ("excess_mtl", aggregation.ExcessMTL),
        ("fairgrad", lambda: aggregation.FairGrad(1.0)),
        ("krum", lambda: aggregation.Krum(0)),
        ("pcd", aggregation.PCD),
        ("trimmed_mean", lambda: aggregation.TrimmedMean(1)),
        ("upgrad", aggregation.UPGrad),
    ],
)
def test_a_step_is_that_of_the_aggregator(name: str, build: Callable[[], Any]) -> None:
    weighting, rows = built(f"torchjd.{name}"), here(ROWS)
    _, grad = take_step(weighting, rows)
    torch.testing.assert_close(grad.cpu(), build()(ROWS.cpu()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["gradvac", "graddrop", "pcgrad"])
def test_draws_are_those_of_the_global_generator_which_stays_as_it_was(name: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    _, grad = take_step(build_weighting(f"torchjd.{name}", 3), here(ROWS))
    assert torch.equal(torch.get_rng_state(), before)
    if grad.device.type == "cpu":
        torch.testing.assert_close(grad, methods()[name]()(ROWS))


@pytest.mark.parametrize(
    ("name", "scalarizer"),
    [
        ("geometric_mean", scalarization.GeometricMean()),
        ("stch", scalarization.STCH(1.0)),
        ("pbi", scalarization.PBI(5.0, torch.full((3,), 1 / 3, dtype=torch.float64, device="cpu"))),
        ("imtl_l", scalarization.IMTLL(3)),
    ],
)
def test_weights_are_the_gradient_of_the_scalarizer(name: str, scalarizer: Any) -> None:
    leaf = LOSSES.cpu().clone().requires_grad_()
    (expected,) = torch.autograd.grad(scalarizer.cpu()(leaf), leaf)
    torch.testing.assert_close(weights_of(build_weighting(f"torchjd.{name}", 3), here(LOSSES)), expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("torchjd.upgrd", {}, "Unknown method 'torchjd.upgrd'. Did you mean 'torchjd.upgrad'?"),
        ("upgrad", {}, "Unknown method 'upgrad'. Did you mean 'torchjd.upgrad'? `study methods` lists all."),
        ("torchjd.modo", {}, "'torchjd.modo' is no method here: it needs the gradients of two independent batches"),
        ("torchjd.cr_mogm", {}, "smooths the weights of another"),
        ("torchjd.cagrad", {"cc": 1}, "Unknown hyperparameter of 'torchjd.cagrad' 'cc'. Did you mean 'c'?"),
        ("torchjd.upgrad", {"projector": 1}, "Unknown hyperparameter of 'torchjd.upgrad' 'projector'."),
        ("torchjd.stch", {"mu": "1e-3"}, "`mu` must be a finite number of at least 0, found '1e-3'."),
        ("torchjd.stch", {"mu": 0.0}, "TorchJD says: Parameter `mu` should be strictly positive. Found `mu = 0.0`."),
        ("torchjd.gradvac", {"beta": 2.0}, "Attribute `beta` must be in [0, 1]. Found beta=2.0."),
        ("torchjd.aligned_mtl", {"scale_mode": "minn"}, "Unknown scale_mode 'minn'. Did you mean 'min'?"),
        ("torchjd.constant", {"weights": [1.0]}, "`weights` must be a list of 3 finite numbers, one per task, found"),
        ("torchjd.fairgrad", {"max_iters": 1.5}, "`max_iters` must be a whole number of at least 0 or None, found 1.5"),
        ("torchjd.krum", {"n_byzantine": 1}, "'torchjd.krum' cannot be built for M = 3 tasks. TorchJD says:"),
    ],
)
def test_a_mistake_gets_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build_weighting(name, 3, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_package_gets_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linalg.QuadprogProjector, "_REQUIRED_DEPS", ["a_package_that_nobody_has"])
    expected = (
        "'torchjd.upgrad' needs packages that TorchJD does not bring: pip install \"torchjd[quadprog_projector]\""
    )
    with pytest.raises(UserError) as caught:
        build_weighting("torchjd.upgrad", 3)
    assert str(caught.value) == expected


def test_hyperparameters_are_those_of_the_signature() -> None:
    assert hyperparameters("torchjd.gradvac") == {
        "beta": 0.5, "eps": 1e-8, "seed": None, "heads": "sum", "gramian": "stored",
    }  # fmt: skip
    assert hyperparameters("torchjd.upgrad") == {"pref_vector": None, "heads": "sum", "gramian": "stored"}
    assert hyperparameters("torchjd.stch") == {"mu": 1.0, "weights": None, "reference": None}
    assert hyperparameters("torchjd.imtl_l") == {"weights_lr": 0.025}


def test_absent_tasks_take_no_part() -> None:
    labelled = torch.tensor([True, False, True], device="cpu")
    for name, options in (("stch", {"weights": [0.2, 0.3, 0.5]}), ("imtl_l", {}), ("aligned_mtl", {})):
        whole = build_weighting(f"torchjd.{name}", 3, **options)
        few = {key: [value[0], value[2]] for key, value in options.items()}
        part = build_weighting(f"torchjd.{name}", 2, **few)
        found = weights_of(whole, here(LOSSES), labelled=labelled)
        assert found[1] == 0
        torch.testing.assert_close(found[[0, 2]], weights_of(part, here(LOSSES[[0, 2]])))


@pytest.mark.parametrize("name", ["torchjd.famo", "torchjd.gradvac"])
def test_what_keeps_state_of_all_tasks_refuses_a_batch_without_labels_of_one(name: str) -> None:
    weighting = build_weighting(name, 3)
    with pytest.raises(UserError, match="keeps state of all tasks together, so every batch must have labels of all"):
        weights_of(weighting, here(LOSSES), labelled=torch.tensor([True, False, True], device="cpu"))
    assert weights_of(weighting, here(LOSSES)).isfinite().all()


def test_what_torchjd_raises_is_one_line_and_leaves_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    weighting: Any = build_weighting("torchjd.gradvac", 3)
    take_step(weighting, here(ROWS))
    state = weighting.state_dict()

    def failing(aggregator: Any, gramian: Tensor) -> Tensor:
        found: Tensor = aggregator.gramian_weighting(gramian)
        if torch.equal(gramian, torch.eye(3, dtype=torch.float64, device="cpu")):
            return found  # a call before the state is put back
        raise RuntimeError("no solution.")

    monkeypatch.setattr(weighting.wrapped, "_call", failing)
    with pytest.raises(UserError) as caught:
        take_step(weighting, here(-ROWS))
    assert str(caught.value) == (
        "'torchjd.gradvac' could not take this step. TorchJD says: no solution. The weighting's state is unchanged: "
        "skip this batch."
    )
    torch.testing.assert_close(weighting.state_dict(), state, rtol=0, atol=0)


@pytest.mark.cpu_only("compares solvers that work on the host")
def test_torchjd_misses_its_optimum_on_badly_scaled_gradients_where_ours_does_not() -> None:
    assert torchjd_optimum.worst("torchjd.mgda", 11, spread=3.0) > 10
    assert torchjd_optimum.worst("mgda", 11, spread=3.0) < 1e-9
    pytest.importorskip("cvxpy")
    assert torchjd_optimum.worst("torchjd.cagrad", 3, spread=3.0) == 1
    assert torchjd_optimum.worst("torchjd.cagrad", 3, spread=0.0) == torchjd_optimum.worst("cagrad", 3, spread=3.0) == 0


@pytest.mark.parametrize(("name", "instead"), [("upgrad", 0.5), ("dualproj", 0.5), ("cagrad", 0.0)])
def test_torchjd_takes_short_gradients_for_none(name: str, instead: float) -> None:
    """Below a length of 0.01 in all; the direction of a step should not depend on the gradients' unit."""
    rows = here(torch.tensor([[1.0, 0.0], [-2.0, 0.5]], dtype=torch.float64))
    short, _ = take_step(built(f"torchjd.{name}", 2), 1e-3 * rows)
    assert short.weights.tolist() == [instead, instead]
    long, _ = take_step(built(f"torchjd.{name}", 2), rows)
    assert (long.weights - instead).abs().max() > 0.1


def test_every_method_is_described() -> None:
    assert describe("torchjd.famo")[:2] == ("losses", "one backward pass, a second forward pass")
    assert describe("torchjd.upgrad") == (
        "gradients", "a backward pass per task", "UPGrad: Jacobian Descent For Multi-Objective Optimization",
    )  # fmt: skip
    for name in (*available_methods(), *torchjd_methods()):
        kind, _, source = describe(name)
        assert (kind == "gradients") == compares_gradients(name) and source and "\n" not in source

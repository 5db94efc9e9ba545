"""GO4Align beyond the contract: its options, long runs, and the path without host synchronisation."""

import pytest
import torch
from devices import filled, here
from hypothesis import given, settings
from hypothesis import strategies as st

from go4align import GO4Align, UserError, Weighting

WIDE = torch.tensor([2.26, 66.8, 0.357, 1.625, 78668.0, 0.813, 106.6, 108.5, 110.0, 90.2, 16.5], dtype=torch.float64)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from(["linear", "log"]), st.floats(1e-6, 1e6))
def test_equal_losses_give_weights_of_one(n_tasks: int, n_groups: int, space: str, level: float) -> None:
    weighting = GO4Align(n_tasks, min(n_groups, n_tasks), space=space)
    weights = weighting.weigh(torch.full((n_tasks,), level, dtype=torch.float64)).weights
    torch.testing.assert_close(weights, torch.ones(n_tasks, dtype=torch.float64), rtol=1e-12, atol=0)


def test_as_many_groups_as_tasks_keep_the_sum_of_the_losses() -> None:
    record = GO4Align(11, 11, 0.0).weigh(WIDE)
    assert (record.weights * WIDE).sum().item() == pytest.approx(WIDE.sum().item())


@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=8), st.data())
def test_normalised_weights_have_the_sum_of_the_tasks_and_the_proportions_of_the_others(
    values: list[float], data: st.DataObject
) -> None:
    n_groups = data.draw(st.integers(1, len(values)))
    losses = torch.tensor(values, dtype=torch.float64)
    plain = GO4Align(len(values), n_groups).weigh(losses)
    normalised = GO4Align(len(values), n_groups, normalise=True).weigh(losses)
    assert float(normalised.weights.sum()) == pytest.approx(len(values))
    torch.testing.assert_close(
        normalised.weights / plain.weights, (normalised.weights / plain.weights)[0].expand(len(values))
    )
    assert normalised.labels is not None and normalised.centres is not None
    torch.testing.assert_close(normalised.centres[normalised.labels], normalised.weights)


def test_log_space_weights_are_geometric_means() -> None:
    record = GO4Align(11, 2, 0.0, space="log").weigh(WIDE)
    gamma = WIDE.sum() / WIDE / 11
    for k in range(2):
        assert record.centres[k].item() == pytest.approx(gamma[record.labels == k].log().mean().exp().item())


def test_mean_scale_is_one_mth_of_sum_scale() -> None:
    one, other = GO4Align(11, 5).weigh(WIDE), GO4Align(11, 5, scale="mean").weigh(WIDE)
    torch.testing.assert_close(other.weights * 11, one.weights)


@pytest.mark.parametrize("space", ["linear", "log"])
def test_thousands_of_steps_with_a_hot_beta_stay_finite(space: str) -> None:
    weighting = GO4Align(3, 2, 0.025, space=space)
    losses = torch.tensor([0.03, 0.95, 30.0])
    for _ in range(3000):
        record = weighting.weigh(losses)
    assert record.weights.isfinite().all() and (record.weights[:2] > 0).all()
    assert weighting.indicator.log_q.isfinite().all()


@settings(max_examples=50)
@given(st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4), st.sampled_from([2, "auto"]))
def test_the_paper_s_package_is_never_better(values: list[float], n_groups: int | str) -> None:
    losses = torch.tensor(values, dtype=torch.float64)
    gamma = losses.sum() / losses / 4
    exact, other = (GO4Align(4, n_groups, 0.0, clustering=c).weigh(losses) for c in ("exact", "kmeans_pytorch"))
    assert len(filled(exact.centres)) == len(filled(other.centres))

    def within(weights: torch.Tensor) -> float:
        return (gamma - weights).square().sum().item()

    assert within(exact.weights) <= within(other.weights) * (1 + 1e-9) + 1e-20 * gamma.max().item() ** 2


@settings(max_examples=80)
@given(st.lists(st.floats(0, 2.0**124, width=32), min_size=1, max_size=6), st.data())
def test_any_float32_losses_give_finite_weights(values: list[float], data: st.DataObject) -> None:
    n_groups = data.draw(st.sampled_from([*range(1, len(values) + 1), "auto"]))
    weighting = GO4Align(len(values), n_groups, 0.0, space=data.draw(st.sampled_from(["linear", "log"])))
    record = weighting.weigh(torch.tensor(values))
    assert record.weights.isfinite().all() and (record.weights >= 0).all()
    assert record.labels.unique().tolist() == list(range(len(filled(record.centres))))


@pytest.mark.parametrize("n_groups", [1, 5, 11, "auto"])
@pytest.mark.parametrize("space", ["linear", "log"])
def test_a_gpu_computes_what_a_cpu_computes(n_groups: int | str, space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The torch path of a GPU; where there is none, run on the CPU."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand(30, 11, generator=generator, dtype=torch.float64, device="cpu")
    losses = list(WIDE.cpu().sqrt() * shares)
    host, device = (GO4Align(11, n_groups, 1e-3, space=space) for _ in range(2))
    host.cpu()
    expected = [host.weigh(values) for values in losses]
    monkeypatch.setattr(Weighting, "checks_on_host", False)
    for values, record in zip(losses, expected, strict=True):
        found = device.weigh(here(values))
        assert found.labels.tolist() == record.labels.tolist()
        torch.testing.assert_close(found.weights.cpu(), record.weights, rtol=1e-11, atol=0)
        torch.testing.assert_close(found.centres[: len(record.centres)].cpu(), record.centres, rtol=1e-11, atol=0)
    torch.testing.assert_close(device.indicator.log_q.cpu(), host.indicator.log_q, rtol=0, atol=1e-11)


def test_losses_of_whole_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="must be floating point, found torch.int64"):
        GO4Align(2).weigh(torch.ones(2, dtype=torch.int64))


def test_losses_elsewhere_than_the_weighting_are_refused() -> None:
    with pytest.raises(UserError, match=r"on meta but the weighting is on \S+\. .*weighting\.to\('meta'\)"):
        GO4Align(2).weigh(torch.ones(2, device="meta"))

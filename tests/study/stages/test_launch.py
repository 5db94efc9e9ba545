"""A launch: what it may say, what it reads, and what a plan keeps of it."""

from collections import Counter
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from go4align import UserError
from go4align.benchmarks.qm9 import QM9
from go4align.benchmarks.toy import Toy
from study.spec import loading, search_space
from study.stages import Launch


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many files were read, by kind, and how many benchmarks built."""
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, key: Any) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def call(*args: Any, **options: Any) -> Any:
            counts[key(args)] += 1
            return original(*args, **options)

        monkeypatch.setattr(owner, name, call)

    count(loading, "read_text", lambda args: args[1])
    count(search_space, "read_yaml", lambda args: f"search space {args[0].name}")
    for benchmark in (Toy, QM9):
        count(benchmark, "__init__", lambda args: "benchmark")
    return counts


@pytest.mark.parametrize("source", ["toy", "qm9-demo", "qm9"])
def test_each_file_is_read_once_and_the_benchmark_built_once(source: str, counted: Counter[str]) -> None:
    loaded = Launch(source=source, methods="all", max_hours=1.0).load()
    assert loaded.benchmark.name == loaded.study.benchmark.name
    assert loaded.text.startswith("#") or "name:" in loaded.text
    own, common = f"search space {loaded.benchmark.name}.yaml", "search space methods.yaml"
    assert counted == {"study file": 1, own: 1, common: 1, "benchmark": 1}


@pytest.mark.parametrize("wrong", [{"max_trials": 0}, {"max_hours": -1.0}, {"max_gpu_hours": float("nan")}])
def test_limits_must_be_positive(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must be positive"):
        Launch.of("toy", **wrong)


def test_an_unknown_option_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="`max_trails`: Unknown key 'max_trails'. Did you mean 'max_trials'"):
        Launch.of("toy", max_trails=3)


def test_an_option_of_another_type_is_one_line() -> None:
    with pytest.raises(UserError, match="`max_trials`: must be a whole number, found '4'"):
        Launch.of("toy", max_trials="4")


def test_methods_may_be_a_list() -> None:
    launch = Launch.of("toy", methods=["ls", "uw"])
    assert launch == Launch(source="toy", methods="ls,uw")
    assert launch.load().study.methods == ["ls", "uw"]


def test_limits_replace_the_files() -> None:
    budget = Launch(source="toy", max_trials=3, max_hours=2).load().study.budget
    assert (budget.max_trials, budget.hours, budget.gpu_hours) == (3, 2.0, None)
    assert budget.trials == Launch(source="toy").load().study.budget.trials


def test_what_only_this_session_needs_is_not_kept() -> None:
    launch = Launch(
        source="toy", max_trials=3, again=True, accept_changes=True, address="auto", tracking_uri="http://me:secret@x"
    )
    kept = Launch.model_validate_json(launch.model_dump_json())
    assert kept == Launch(source="toy", max_trials=3)


def test_going_on_keeps_what_a_study_began_with_and_takes_what_is_said_anew(tmp_path: Path) -> None:
    begun = Launch(source=str(tmp_path / "a.yaml"), methods="ls", max_trials=3, max_hours=1, warm_start="other")
    later = Launch(source="mine", max_trials=5, address="auto", accept_changes=True)
    assert begun.renewed(later) == Launch(
        source=begun.source,
        methods="ls",
        max_trials=5,
        max_hours=1,
        warm_start="other",
        address="auto",
        accept_changes=True,
    )
    moved = Launch(source=str(tmp_path / "b.yaml"))
    assert begun.renewed(moved).source == moved.source, "the same file in another folder"

"""Final runs: which ones, that a shared configuration runs once, and the table against values worked out by hand."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from records import GOOD

from go4align import UserError
from go4align.benchmarks.toy import Toy
from study.cli.tables import family_table, main_table, task_table
from study.results.final_table import (
    Candidate,
    FinalRow,
    FinalTable,
    candidates,
    final_id,
    final_table,
    main_csv,
    reference_error,
)
from study.results.frames import Outcome, metrics_frame, outcome_of_result, trials_frame
from study.spec.configuration import BestConfiguration, BestFile, Configuration, Reference
from study.spec.run_sections import Seeds
from study.spec.study_file import StudyFile
from study.stages.final import final_seeds, final_trials
from study.trials.records import Trial, TrialResult

STUDY = StudyFile.model_validate(GOOD)
TWO = StudyFile.model_validate({**GOOD, "benchmark": {"name": "toy", "n_tasks": 2}})
REFERENCE = Reference(source="measured", val={}, test={"task0/mae": 1.0, "task1/mae": 2.0})
LS, TUNED = STUDY.configuration("ls"), STUDY.configuration("go4align", {"n_groups": 3})
DEFAULT = STUDY.configuration("go4align")
CHOSEN = [Candidate("ls", "default", LS), Candidate("ls", "tuned", LS),
          Candidate("go4align", "default", DEFAULT), Candidate("go4align", "tuned", TUNED)]  # fmt: skip


def run(candidate: Candidate, seed: int, first: float, second: float) -> Outcome:
    """A final run with these errors of the two tasks."""
    changes = {"task0/mae": 100 * (first - 1), "task1/mae": 100 * (second / 2 - 1)}
    metrics = {"test/task0/mae": first, "test/task1/mae": second, "epoch_s": 0.5}
    metrics |= {f"test/{key}_change": change for key, change in changes.items()}
    metrics["test/delta_m"] = sum(changes.values()) / 2
    return outcome(candidate, seed, TrialResult("", "finished", 1.0, metrics, epochs=2, seconds=1.0))


def outcome(candidate: Candidate, seed: int, result: TrialResult) -> Outcome:
    trial_id = final_id(candidate, seed, REFERENCE)
    trial = Trial(trial_id, "final", candidate.configuration, seed, candidate.origin, test=True)
    return outcome_of_result(trial, result)


def test_candidates_are_default_and_tuned_of_each_method() -> None:
    sections = {key: getattr(TUNED, key) for key in Configuration.model_fields}
    frozen = BestFile(
        study="mine", reference=REFERENCE, configurations=[BestConfiguration(**sections, trial="t", score=1.0)]
    )
    found = candidates(STUDY, frozen, {"go4align": DEFAULT, "ls": LS})
    assert [(c.key, c.configuration) for c in found] == [
        (("go4align", "default"), DEFAULT), (("go4align", "tuned"), TUNED),
    ]  # fmt: skip


def test_a_configuration_that_is_both_default_and_tuned_runs_once_per_seed() -> None:
    trials = final_trials(CHOSEN, [101, 102], REFERENCE)
    assert len(trials) == len({trial.id for trial in trials}) == 3 * 2
    assert all(trial.test and trial.stage == "final" for trial in trials)


def test_final_seeds_are_the_files_then_new_ones_never_used_before() -> None:
    seeds = Seeds(search=104, reference=1, final=[101, 102])
    assert final_seeds(seeds, None) == [101, 102]
    assert final_seeds(seeds, 1) == [101]
    assert final_seeds(seeds, 5) == [101, 102, 103, 105, 106]
    for wrong in (0, 10**12):
        with pytest.raises(UserError, match=f"`--seeds` must be a whole number from 1 to 1000, found {wrong}"):
            final_seeds(seeds, wrong)


def test_the_table_is_mean_and_standard_error_with_ranks_among_the_tuned() -> None:
    failed = outcome(CHOSEN[3], 102, TrialResult("", "failed", reason="epoch 1: loss is nan"))
    runs = [run(CHOSEN[0], 101, 1.2, 2.0), run(CHOSEN[0], 102, 1.4, 2.0),
            run(CHOSEN[2], 101, 3.0, 6.0), run(CHOSEN[3], 101, 1.0, 2.2), failed]  # fmt: skip
    frames = {"trials": trials_frame(runs), "metrics": metrics_frame(runs)}
    table = final_table(TWO, CHOSEN, [101, 102], REFERENCE, **frames)
    rows = {row.candidate.key: row for row in table.rows}
    assert [row.candidate.key for row in table.rows][:2] == [("go4align", "default"), ("go4align", "tuned")]
    ls = rows["ls", "tuned"]
    assert (ls.delta_m, ls.delta_m_se) == (pytest.approx(15.0), pytest.approx(5.0))
    assert ls.changes == pytest.approx({"task0/mae": 30.0, "task1/mae": 0.0})
    assert rows["go4align", "tuned"].delta_m_se is None
    assert (ls.mean_rank, rows["go4align", "tuned"].mean_rank) == (1.5, 1.5)
    assert rows["ls", "default"].mean_rank == 1.0
    assert table.failed == (f"{failed.trial}: epoch 1: loss is nan",)
    lines = main_csv(table).splitlines()
    assert len(lines) == 5 and lines[0].startswith("method,origin,delta_m")
    assert main_table(table).row_count == 2 + 1  # and single-task learning
    assert task_table(table).row_count == 2


@pytest.mark.parametrize("on_device", [True, False])
def test_memory_has_a_column_only_where_a_gpu_was_measured(on_device: bool) -> None:
    peaks = {101: 1000.4, 102: 1200.6} if on_device else {}
    runs = [
        replace(run(CHOSEN[0], seed, 1.2, 2.0), peak_host_mib=500.0, peak_device_mib=peaks.get(seed))
        for seed in (101, 102)
    ]
    runs.append(run(CHOSEN[3], 101, 1.0, 2.2))  # of an earlier version, which measured none
    frames = {"trials": trials_frame(runs), "metrics": metrics_frame(runs)}
    table = final_table(TWO, CHOSEN, [101, 102], REFERENCE, **frames)
    rows = {row.candidate.key: row for row in table.rows}
    assert rows["ls", "tuned"].peak_device_mib == (1200.6 if on_device else None)
    assert rows["go4align", "tuned"].peak_device_mib is None
    shown = main_table(table)
    headers = [str(column.header) for column in shown.columns]
    assert headers[6:] == ["s/epoch", *(["MiB"] if on_device else []), "seeds"]
    assert ("MiB" in str(shown.caption)) == on_device
    if on_device:
        assert list(shown.columns[7].cells) == ["-", "1201", "-"]
    head, *lines = main_csv(table).splitlines()
    assert ("peak_device_mib" in head) == on_device
    assert "peak_host_mib" not in head
    assert len({len(cells) for cells in csv.reader([head, *lines])}) == 1


def test_with_more_methods_than_tasks_the_methods_are_lines() -> None:
    changes = {"a/mae": 1.0, "b/mae": -2.0}
    configuration = STUDY.configuration("ls")
    rows = tuple(
        FinalRow(Candidate(f"m{n}", "tuned", configuration), 1, -0.5, None, -0.5, 1.0, changes, 0.1) for n in range(3)
    )
    table = task_table(FinalTable("s", "measured", rows, {"a": ["a"], "b": ["b"]}))
    assert table.row_count == 3
    assert [column.header for column in table.columns] == ["method", "a\nmae", "b\nmae"]


def test_families_of_one_metric_each_have_no_table_and_many_are_lines() -> None:
    row = FinalRow(Candidate("ls", "tuned", STUDY.configuration("ls")), 1, 0.5, None, 0.5, 1.0, {}, 0.1)
    attributes = {f"{n}/f1": float(n) for n in range(12)}
    names = [key.removesuffix("/f1") for key in attributes]
    each = FinalTable("s", "measured", (replace(row, changes=attributes),), {name: [name] for name in names})
    assert family_table(each) is None
    two = {f"{name}/{metric}": float(name) for name in names for metric in ("f1", "error")}
    many = family_table(replace(each, rows=(replace(row, changes=two),)))
    assert many is not None
    assert [column.header for column in many.columns] == ["family", "ls"]
    assert list(many.columns[0].cells) == [*names, "Δm"]
    assert list(many.columns[1].cells)[2:4] == ["+2.0", "+3.0"]
    few = family_table(replace(each, families={"low": names[:4], "high": names[4:]}))
    assert few is not None
    assert [column.header for column in few.columns] == ["method", "low", "high", "Δm"]
    assert [cell for column in few.columns for cell in column.cells] == ["ls", "+1.5", "+7.5", "+0.5"]


def test_the_references_error_is_that_of_delta_m_when_its_seeds_are_drawn_again() -> None:
    """First order against a simulation: three seeds of each task, many times over."""
    benchmark = Toy(n_tasks=2)
    random = np.random.default_rng(0)
    values = {"task0/mae": 1.1, "task1/mae": 2.4}
    drawn = random.normal([1.0, 2.0], [0.02, 0.05], (20_000, 3, 2))
    means = drawn.mean(1)
    deltas = 50 * (1.1 / means[:, 0] - 1) + 50 * (2.4 / means[:, 1] - 1)
    errors = []
    for seeds in drawn[:500]:
        runs = [dict(zip(values, row, strict=True)) for row in seeds.tolist()]
        test = {key: float(np.mean([run[key] for run in runs])) for key in values}
        errors.append(reference_error(benchmark, values, Reference(source="measured", val={}, test=test, runs=runs)))
    assert np.mean(np.square(errors)) ** 0.5 == pytest.approx(deltas.std(), rel=0.08)


def test_runs_of_one_method_give_all_metrics_together() -> None:
    """What goes up in one task and down in another by the same share cancels, within a run but not between runs."""
    runs = [{"task0/mae": 1.0 + x, "task1/mae": 1.0 - x} for x in (-0.1, 0.0, 0.1)]
    mean = {"task0/mae": 1.0, "task1/mae": 1.0}
    single = Reference(source="measured", val={}, test=mean, runs=runs)
    whole = single.model_copy(update={"method": "ls"})
    assert reference_error(Toy(n_tasks=2), mean, whole) == pytest.approx(0.0, abs=1e-12)
    assert reference_error(Toy(n_tasks=2), mean, single) == pytest.approx((2 * (50 * 0.1) ** 2 / 3) ** 0.5)
    assert reference_error(Toy(n_tasks=2), mean, REFERENCE) is None


def test_the_table_names_both_budgets_the_reference_and_what_its_error_adds() -> None:
    study = StudyFile.model_validate(
        {
            **GOOD,
            "benchmark": {"name": "toy", "n_tasks": 2},
            "final": {"benchmark": {"train_size": 600}, "training": {"epochs": 5}},
        }
    )
    runs = [{"task0/mae": 0.9, "task1/mae": 2.0}, {"task0/mae": 1.1, "task1/mae": 2.0}]
    reference = Reference(source="measured", val={}, test=REFERENCE.test, runs=runs, searched_lrs=4)
    candidate = Candidate("ls", "tuned", LS)
    outcomes = [replace(run(candidate, 101, 1.2, 2.0), trial=final_id(candidate, 101, reference))]
    frames = {"trials": trials_frame(outcomes), "metrics": metrics_frame(outcomes)}
    table = final_table(study, [candidate], [101], reference, **frames)
    assert table.rows[0].reference_se == pytest.approx(50 * 1.2 * 0.1)
    caption = " ".join(str(main_table(table).caption).split())
    for part in (
        "lr the best of 4, mean of 2 seeds",
        "2 epochs; final runs: 5 epochs with train_size 600",
        "6.0 to 6.0",
    ):
        assert part in caption

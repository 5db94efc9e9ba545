"""Final runs: which ones, that a shared configuration runs once, and the table against values worked out by hand."""

import pytest

from go4align import UserError
from go4align.benchmarks.toy import Toy
from study.config import Configuration, FrozenConfiguration, FrozenFile, Reference, Seeds, StudyFile
from study.finals import Candidate, FinalRow, FinalTable, candidates, final_id, final_seeds, final_table, final_trials
from study.tables import main_csv, main_table, task_table
from study.trial import TrialResult
from tests.study.test_config import GOOD

STUDY = StudyFile.model_validate(GOOD)
TOY = Toy(n_tasks=2)
REFERENCE = Reference(source="measured", val={}, test={"task0/mae": 1.0, "task1/mae": 2.0})
LS, TUNED = STUDY.configuration("ls"), STUDY.configuration("go4align", {"n_groups": 3})
DEFAULT = STUDY.configuration("go4align")
CHOSEN = [Candidate("ls", "published", LS), Candidate("ls", "tuned", LS),
          Candidate("go4align", "published", DEFAULT), Candidate("go4align", "tuned", TUNED)]  # fmt: skip


def result(candidate: Candidate, seed: int, first: float, second: float) -> TrialResult:
    changes = {"task0/mae": 100 * (first - 1), "task1/mae": 100 * (second / 2 - 1)}
    metrics = {"test/task0/mae": first, "test/task1/mae": second, "epoch_s": 0.5}
    metrics |= {f"test/{key}_change": change for key, change in changes.items()}
    metrics["test/delta_m"] = sum(changes.values()) / 2
    return TrialResult(final_id(candidate, seed, REFERENCE), "finished", 1.0, metrics, epochs=2, seconds=1.0)


def test_candidates_are_published_and_tuned_of_each_method() -> None:
    sections = {key: getattr(TUNED, key) for key in Configuration.model_fields}
    frozen = FrozenFile(
        study="mine", reference=REFERENCE, configurations=[FrozenConfiguration(**sections, trial="t", score=1.0)]
    )
    found = candidates(frozen, {"go4align": DEFAULT, "ls": LS})
    assert [(c.key, c.configuration) for c in found] == [
        (("go4align", "published"), DEFAULT), (("go4align", "tuned"), TUNED),
    ]  # fmt: skip


def test_a_configuration_that_is_both_published_and_tuned_runs_once_per_seed() -> None:
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
    runs = [result(CHOSEN[0], 101, 1.2, 2.0), result(CHOSEN[0], 102, 1.4, 2.0),
            result(CHOSEN[2], 101, 3.0, 6.0), result(CHOSEN[3], 101, 1.0, 2.2)]  # fmt: skip
    failed = TrialResult(final_id(CHOSEN[3], 102, REFERENCE), "failed", reason="epoch 1: loss is nan")
    results = {run.trial: run for run in [*runs, failed]}
    table = final_table("mine", TOY, CHOSEN, results, [101, 102], REFERENCE)
    rows = {row.candidate.key: row for row in table.rows}
    assert [row.candidate.key for row in table.rows][:2] == [("go4align", "published"), ("go4align", "tuned")]
    ls = rows["ls", "tuned"]
    assert (ls.delta_m, ls.delta_m_se) == (pytest.approx(15.0), pytest.approx(5.0))
    assert ls.changes == pytest.approx({"task0/mae": 30.0, "task1/mae": 0.0})
    assert rows["go4align", "tuned"].delta_m_se is None
    assert (ls.mean_rank, rows["go4align", "tuned"].mean_rank) == (1.5, 1.5)
    assert rows["ls", "published"].mean_rank == 1.0
    assert table.failed == (f"{failed.trial}: epoch 1: loss is nan",)
    lines = main_csv(table).splitlines()
    assert len(lines) == 5 and lines[0].startswith("method,origin,delta_m")
    assert main_table(table).row_count == 2 + 1  # and single-task learning
    assert task_table(table).row_count == 2


def test_with_more_methods_than_tasks_the_methods_are_lines() -> None:
    changes = {"a/mae": 1.0, "b/mae": -2.0}
    configuration = STUDY.configuration("ls")
    rows = tuple(
        FinalRow(Candidate(f"m{n}", "tuned", configuration), 1, -0.5, None, -0.5, 1.0, changes, 0.1) for n in range(3)
    )
    table = task_table(FinalTable("s", "measured", rows, {"a": ["a"], "b": ["b"]}))
    assert table.row_count == 3
    assert [column.header for column in table.columns] == ["method", "a\nmae", "b\nmae"]

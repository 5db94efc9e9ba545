"""The single-task reference that Delta m is relative to: published, or trained once per tracking store and budget."""

from collections.abc import Callable, Mapping, Sequence

from go4align.benchmarks.base import Benchmark
from go4align.errors import RunFailedError
from study.spec.configuration import Configuration, MethodSection, Reference
from study.spec.sections import digest
from study.spec.study_file import StudyFile
from study.trials.records import Trial, TrialResult
from study.trials.scores import Metrics

RunTrials = Callable[[Sequence[Trial]], list[TrialResult]]
FindMetrics = Callable[[Sequence[str]], Mapping[str, Metrics]]


def reference_trials(study: StudyFile, benchmark: Benchmark) -> list[Trial]:
    """One single-task run per task: the same data, network, epochs and learning rate, all weight on one task."""
    return [
        Trial(
            id=f"reference-{name}-{reference_key(configuration, study.seeds.reference)[:6]}",
            stage="reference",
            configuration=configuration,
            seed=study.seeds.reference,
            test=True,
        )
        for task, name in enumerate(benchmark.task_names)
        for configuration in [
            Configuration(
                benchmark=study.benchmark, method=MethodSection(name="stl", task=task), training=study.training
            )
        ]
    ]


def published_reference(benchmark: Benchmark) -> Reference:
    """The published single-task numbers, for both splits."""
    published = benchmark.published_stl()
    return Reference(source="published", val=published, test=published)


def measured_reference(study: StudyFile, benchmark: Benchmark, find: FindMetrics, run: RunTrials) -> Reference:
    """Single-task metrics from the tracking store where they are, trained where they are not.

    Args:
        study, benchmark: what to measure.
        find: looks finished single-task runs up, all at once, and returns metrics by `reference_key`, without those
            that it does not find.
        run: trains the missing ones.

    Raises:
        UserError: a single-task run failed, so that Delta m would have no reference.
    """
    keys = {reference_key(trial.configuration, trial.seed): trial for trial in reference_trials(study, benchmark)}
    found = find(list(keys))
    known = {trial.id: found[key] for key, trial in keys.items() if key in found}
    missing = [trial for trial in keys.values() if trial.id not in known]
    for result in run(missing) if missing else []:
        if result.status != "finished":
            raise RunFailedError(f"The single-task reference run {result.trial} failed: {result.reason}")
        known[result.trial] = result.metrics
    splits: dict[str, Metrics] = {"val": {}, "test": {}}
    for task, trial in zip(benchmark.tasks, keys.values(), strict=True):
        if trial.id not in known:
            raise RunFailedError(f"The single-task reference run {trial.id} gave no result. Run the command again.")
        metrics = known[trial.id]
        for split, table in splits.items():
            table |= {f"{task.name}/{m.name}": metrics[f"{split}/{task.name}/{m.name}"] for m in task.metrics}
    return Reference(source="measured", val=splits["val"], test=splits["test"])


def reference_key(configuration: Configuration, seed: int) -> str:
    """Names a single-task run by all that decides its result: its configuration, the task among it, and its seed."""
    return digest({"configuration": configuration.key, "seed": seed})

"""The single-task reference that Delta m is relative to: published, or trained once per tracking store and budget."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.registry import benchmark_options, build_benchmark
from go4align.errors import RunFailedError, UserError
from study.config import Configuration, MethodSection, Reference, StudyFile, digest
from study.scores import Metrics
from study.trial import Trial, TrialResult

RunTrials = Callable[[Sequence[Trial]], list[TrialResult]]
FindMetrics = Callable[[str], Metrics | None]


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
        find: looks a finished single-task run up by `reference_key` and returns its metrics.
        run: trains the missing ones.

    Raises:
        UserError: a single-task run failed, so that Delta m would have no reference.
    """
    trials = reference_trials(study, benchmark)
    known = {trial.id: find(reference_key(trial.configuration, trial.seed)) for trial in trials}
    missing = [trial for trial in trials if known[trial.id] is None]
    for result in run(missing) if missing else []:
        if result.status != "finished":
            raise RunFailedError(f"The single-task reference run {result.trial} failed: {result.reason}")
        known[result.trial] = result.metrics
    splits: dict[str, Metrics] = {"val": {}, "test": {}}
    for task, trial in zip(benchmark.tasks, trials, strict=True):
        metrics = known[trial.id]
        if metrics is None:
            raise RunFailedError(f"The single-task reference run {trial.id} gave no result. Run the command again.")
        for split, table in splits.items():
            table |= {f"{task.name}/{m.name}": metrics[f"{split}/{task.name}/{m.name}"] for m in task.metrics}
    return Reference(source="measured", val=splits["val"], test=splits["test"])


def reference_key(configuration: Configuration, seed: int) -> str:
    """Names a single-task run by all that decides its result: benchmark, training, seed and task (an option of `stl`).

    Options left at their default count like options written out.
    """
    benchmark = configuration.benchmark
    return digest(
        {
            "benchmark": benchmark.name,
            "options": benchmark_options(benchmark.name) | benchmark.options,
            "training": asdict(configuration.training),
            "method": configuration.method.model_dump(mode="json"),
            "seed": seed,
        }
    )


def find_reference(
    key: str, tracking_uri: str | None = None, *, notify: Callable[[str], None] = lambda _: None
) -> dict[str, float] | None:
    """The metrics (`val/...`, `test/...`) of the oldest complete reference run with this key, in any study.

    None where there is no such run. A store that cannot be reached is told to `notify`, and the answer is None: the
    reference is then trained again, and the study goes on.
    """
    from study.mlflow_client import connect, final_metrics, pages

    try:
        client = connect(tracking_uri)
        experiments = [found.experiment_id for found in pages(client.search_experiments)]
        query = f"tags.reference_key = '{key}' and attributes.status = 'FINISHED'"
        runs = client.search_runs(experiments, query, max_results=1, order_by=["attributes.start_time ASC"])
    except Exception as error:  # MLflow, a database driver and a network each have their own
        notify(f"Looking for the single-task reference: {' '.join(str(error).split())}")
        return None
    return final_metrics(runs[0].data.metrics) if runs else None


def stored_reference(study: StudyFile, tracking_uri: str) -> Reference:
    """The reference of a study that has run, from the tracking store alone.

    Raises:
        UserError: a single-task run is missing in the store.
    """
    benchmark = build_benchmark(study.benchmark.name, **study.benchmark.options)
    if study.reference == "published":
        return published_reference(benchmark)

    def refuse(trials: Sequence[Trial]) -> list[TrialResult]:
        raise UserError(
            f"The tracking store has no finished single-task run for {trials[0].id} of the study '{study.name}'. "
            f"Train it with: study run {study.name} --again"
        )

    return measured_reference(study, benchmark, lambda key: find_reference(key, tracking_uri), refuse)

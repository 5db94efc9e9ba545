"""Tuned small, trained at full size: frozen configurations under another study's benchmark and protocol."""

import shlex
from dataclasses import replace
from typing import Any

from rich.console import Console

from go4align.errors import UserError
from go4align.training import TrainingOptions
from study.results import FinalTable, exists, open_study
from study.spec import (
    BestConfiguration,
    BestFile,
    Budgeted,
    Reference,
    StudyFile,
    absolute,
    digest,
    is_file,
    revised,
)
from study.spec.configuration import BenchmarkSection
from study.stages.final import final_seeds, run_final
from study.stages.plan import FinalPlan, begin_plan, newest_plan
from study.stages.prepared import Prepared
from study.stages.progress import notices
from study.stages.reference import run_reference
from study.stages.session import open_session
from study.store.client import connect
from study.store.uri import without_password
from study.tracking import JournalTracker
from study.trials.code import code_in_use


def run_transfer(
    best: BestFile,
    target: Prepared,
    *,
    source: str,
    lr_factor: float = 1.0,
    seeds: int | None = None,
    console: Console | None = None,
) -> FinalTable:
    """Train a study's best configurations in another study's benchmark and protocol, over its final seeds.

    A method's hyperparameters carry over as they are, the learning rate times a factor; benchmark, training options,
    seeds and reference are the other study's. It is made in the store if it is not there, without a search, and keeps
    the configurations, so that it can be reported by its name alone. The same call goes on with what a kill has left.

    Args:
        best: what was tuned.
        target: the other study, made ready.
        source: what `best` was read from, for messages.
        lr_factor: of the learning rates.
        seeds: how many; default the other study's.
        console: where what differs and the progress are shown.

    Raises:
        UserError: both are the same study, the store has one of that name that is another, or a method does not fit the
            other study's tasks.
    """
    if target.loaded.study.name == best.study:
        raise UserError(f"`--with` needs another study than '{best.study}', found the same. Give its file a `name`.")
    study = _with_methods(target.loaded.study, best)
    final_seeds(study.seeds, seeds)
    for tuned in best.configurations:
        try:
            tuned.method.check(target.loaded.benchmark.task_names)
        except UserError as error:
            raise UserError(
                f"{source}: '{tuned.method.key}' does not fit the tasks of '{study.name}': {error} Choose another by "
                "`study best --method`."
            ) from None
    for line in differences(best, study, lr_factor):
        notices(console)(line)
    command = _command(target, source, lr_factor, seeds)
    reference = _reference(study, target, command, console)
    frozen = carried_over(best, study, reference, lr_factor)
    asked = FinalPlan(source=study.name, frozen=frozen, seeds=seeds)
    return run_final(asked, target.store, address=target.launch.address, console=console)


def _command(target: Prepared, source: str, lr_factor: float, seeds: int | None) -> str:
    """What was asked for, to be typed in any folder."""
    named = absolute(source) if is_file(source) else source
    words = ["study", "final", named, "--with", target.launch.located().source]
    words += [] if lr_factor == 1.0 else ["--lr-factor", f"{lr_factor:g}"]
    words += [] if seeds is None else ["--seeds", str(seeds)]
    words += ["--tracking-uri", without_password(target.store)] if target.launch.tracking_uri else []
    return shlex.join(words)


def carried_over(best: BestFile, study: StudyFile, reference: Reference, lr_factor: float = 1.0) -> BestFile:
    """The configurations as the other study trains them."""
    configurations = [
        BestConfiguration(
            benchmark=study.benchmark,
            method=tuned.method,
            training=replace(study.training, lr=tuned.training.lr * lr_factor),
            trial=tuned.trial,
            seed=tuned.seed,
            score=tuned.score,
        )
        for tuned in best.configurations
    ]
    lr = "" if lr_factor == 1.0 else f"; learning rates times {lr_factor:g}"
    return BestFile(
        study=study.name,
        reference=reference,
        configurations=configurations,
        tuned_with=f"{best.study}: {_otherwise(*_of_both(best, study))}{lr}",
        lr_factor=lr_factor,
    )


def differences(best: BestFile, study: StudyFile, lr_factor: float = 1.0) -> list[str]:
    """What carries over, and what does not, a line each."""
    small, large = _of_both(best, study)
    keys = [key for key in large if small.get(key) != large[key]]
    lr = "as they are" if lr_factor == 1.0 else f"times {lr_factor:g}"
    lines = [f"Tuned on '{best.study}', trained as '{study.name}': hyperparameters as they are, learning rates {lr}."]
    return lines + [f"  {key}: {small.get(key)} -> {large[key]}" for key in keys]


def _settings(benchmark: BenchmarkSection, training: TrainingOptions) -> dict[str, Any]:
    """Benchmark and training, flat; without the learning rate, which is a method's own."""
    options = {f"benchmark.{key}": value for key, value in benchmark.settings.items()}
    return {
        "benchmark": benchmark.name,
        **options,
        **{f"training.{key}": value for key, value in vars(training).items() if key != "lr"},
    }


def _of_both(best: BestFile, study: StudyFile) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was tuned with, and what final runs are trained with."""
    tuned = best.configurations[0]
    return _settings(tuned.benchmark, tuned.training), _settings(study.final_benchmark, study.final_training)


def _otherwise(small: dict[str, Any], large: dict[str, Any]) -> str:
    """What the study that was tuned had otherwise."""
    found = [f"{key.partition('.')[2] or key} {value}" for key, value in small.items() if large.get(key) != value]
    return ", ".join(found) or "the same budget"


def _with_methods(study: StudyFile, best: BestFile) -> StudyFile:
    """The study with the methods of the file, variants among them, in the place of its own."""
    sections = [tuned.method for tuned in best.configurations]
    variants = {section.label: section.model_copy(update={"label": None}) for section in sections if section.label}
    of_reference = {key: one for key, one in study.variants.items() if key == study.reference_method}
    methods = [section.key for section in sections]
    return revised(study, methods=methods, variants={**of_reference, **variants}, fixed_weights=[])


def _reference(study: StudyFile, target: Prepared, command: str, console: Console | None) -> Reference:
    """What the other study's final runs are relative to; made with the study, where it is not there or not whole."""
    connect(target.store, create=True)
    stage: Budgeted = "final" if study.final_reference_differs else "search"
    study_run = None
    if newest_plan(study.name, target.store) or exists(study.name, target.store):
        stored = open_study(study.name, target.store)
        if _decisive(stored.study) != _decisive(study):
            raise UserError(
                f"The store has another study '{study.name}', of other data, training, reference or seeds. Give the "
                "file of `--with` another `name`."
            )
        try:
            return stored.reference(stage)
        except UserError:  # it was stopped before its single-task runs were done
            study_run = stored.study_run
    _, space, benchmark, _ = target.loaded
    tracker = JournalTracker(
        study, target.store, space_hash=digest(space), study_run=study_run, notify=notices(console)
    )
    address = target.launch.address
    with open_session(
        study, tracker, benchmark=benchmark, address=address, console=console, goes_on=command
    ) as session:
        if study_run is None:
            code = code_in_use(study, benchmark)
            plan = begin_plan(tracker.study_run, target.store, study, space, target.launch, code)
            plan.saved_with(searched=True, goes_on=command)
        return run_reference(session, stage)


def _decisive(study: StudyFile) -> dict[str, Any]:
    """What decides final runs, beside the methods."""
    values = study.written_out
    return {key: values.get(key) for key in ("benchmark", "training", "final", "reference", "seeds")}

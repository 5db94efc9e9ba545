"""Tuned small, trained at full size: frozen configurations under another study's benchmark and protocol."""

from dataclasses import replace
from typing import Any

from rich.console import Console

from go4align.errors import UserError
from study.results import FinalTable, exists, open_study
from study.spec import BestConfiguration, BestFile, Reference, StudyFile, digest
from study.stages.final import run_final
from study.stages.plan import FinalPlan, begin_plan
from study.stages.prepared import Prepared
from study.stages.progress import notices
from study.stages.reference import run_reference
from study.stages.session import open_session
from study.store.client import connect
from study.tracking import JournalTracker
from study.trials.code import code_in_use


def run_transfer(
    best: BestFile,
    target: Prepared,
    *,
    lr_factor: float = 1.0,
    seeds: int | None = None,
    console: Console | None = None,
) -> FinalTable:
    """Train a study's best configurations in another study's benchmark and protocol, over its final seeds.

    A method's hyperparameters carry over as they are, the learning rate times a factor; benchmark, training options,
    seeds and reference are the other study's. It is made in the store if it is not there, without a search.

    Args:
        best: what was tuned.
        target: the other study, made ready.
        lr_factor: of the learning rates.
        seeds: how many; default the other study's.
        console: where what differs and the progress are shown.

    Raises:
        UserError: both are the same study, or the store has one of that name that is another.
    """
    say = notices(console)
    study = _with_methods(target.loaded.study, best)
    if study.name == best.study:
        raise UserError(f"`--with` needs another study than '{best.study}', found the same. Give its file a `name`.")
    for line in differences(best, study, lr_factor):
        say(line)
    if not exists(study.name, target.store):
        reference = _begin(study, target, console)
    else:
        stored = open_study(study.name, target.store)
        if stored.study.benchmark != study.benchmark or stored.study.training != study.training:
            raise UserError(
                f"The store has another study '{study.name}', of other data or training. Give the file of `--with` "
                "another `name`."
            )
        reference = stored.reference()
    frozen = carried_over(best, study, reference, lr_factor)
    asked = FinalPlan(source=study.name, frozen=frozen, seeds=seeds)
    return run_final(asked, target.store, address=target.launch.address, console=console)


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
    tuned_with = f"{best.study}: {_otherwise(_settings(best.configurations[0]), _settings(study))}"
    return BestFile(study=study.name, reference=reference, configurations=configurations, tuned_with=tuned_with)


def differences(best: BestFile, study: StudyFile, lr_factor: float = 1.0) -> list[str]:
    """What carries over, and what does not, a line each."""
    small, large = _settings(best.configurations[0]), _settings(study)
    keys = [key for key in large if small.get(key) != large[key]]
    lr = "as they are" if lr_factor == 1.0 else f"times {lr_factor:g}"
    lines = [f"Tuned on '{best.study}', trained as '{study.name}': hyperparameters as they are, learning rates {lr}."]
    return lines + [f"  {key}: {small.get(key)} -> {large[key]}" for key in keys]


def _settings(section: BestConfiguration | StudyFile) -> dict[str, Any]:
    """Benchmark and training, flat; without the learning rate, which is a method's own."""
    training = {f"training.{key}": value for key, value in vars(section.training).items() if key != "lr"}
    benchmark = {f"benchmark.{key}": value for key, value in section.benchmark.settings.items()}
    return {"benchmark": section.benchmark.name, **benchmark, **training}


def _otherwise(small: dict[str, Any], large: dict[str, Any]) -> str:
    """What the study that was tuned had otherwise."""
    found = [f"{key.partition('.')[2] or key} {value}" for key, value in small.items() if large.get(key) != value]
    return ", ".join(found) or "the same budget"


def _with_methods(study: StudyFile, best: BestFile) -> StudyFile:
    """The study with the methods of the file, variants among them."""
    sections = [tuned.method for tuned in best.configurations]
    variants = {section.label: section.model_copy(update={"label": None}) for section in sections if section.label}
    return study.model_copy(update={"methods": [section.key for section in sections], "variants": variants})


def _begin(study: StudyFile, target: Prepared, console: Console | None) -> Reference:
    """Make the study in the store, with its reference."""
    connect(target.store, create=True)
    _, space, benchmark, _ = target.loaded
    tracker = JournalTracker(study, target.store, space_hash=digest(space), notify=notices(console))
    with open_session(study, tracker, benchmark=benchmark, address=target.launch.address, console=console) as session:
        begin_plan(tracker.study_run, target.store, study, space, target.launch, code_in_use(benchmark)).saved_with(
            searched=True
        )
        return run_reference(session)

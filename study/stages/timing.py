"""What each method costs, one at a time and in turns: trials that share a machine measure what ran beside them."""

from contextlib import ExitStack

from rich.console import Console

from go4align.checks import whole_number
from go4align.errors import UserError
from study.results import MethodTime, StoredStudy, compared, times_csv
from study.results.times import FILE
from study.stages.progress import notices
from study.store.texts import keep_text
from study.trials.timed import TimedTraining

EPOCHS = 5
_MOST = 1000


def time_study(stored: StoredStudy, *, epochs: int | None = None, console: Console | None = None) -> list[MethodTime]:
    """Time the best configuration of every method, and keep the table with the study's parent run.

    Every method trains in a process of its own. In each round every method trains one epoch while the others wait, and
    each round begins with another method; the first round warms up and is not counted.

    Args:
        stored: the study.
        epochs: rounds that count; default 5.
        console: where rounds are told.

    Raises:
        UserError: it is running, or has no complete search trial.
        RunFailedError: a method failed.
    """
    rounds = whole_number("--epochs", EPOCHS if epochs is None else epochs, 1, _MOST)
    if stored.tags.get("status") == "running":
        raise UserError(f"The study '{stored.name}' is running: its trials would be measured, too. Wait for its end.")
    if (processes := stored.study.training.processes) > 1:
        raise UserError(
            f"`study time` times trainings of one process each, found `training.processes` = {processes} in the study "
            f"'{stored.name}'. The seconds of its trials are in `study report`."
        )
    say = notices(console)
    chosen = {one.method.key: one for one in stored.best().configurations}
    say(f"{stored.name}: {rounds} epochs of {', '.join(chosen)}, in turns")
    seconds: list[dict[str, float]] = []
    with ExitStack() as stack:
        trainings = {key: stack.enter_context(TimedTraining(one, rounds + 1)) for key, one in chosen.items()}
        order = list(trainings)
        for number in range(rounds + 1):
            found = {key: trainings[key].epoch() for key in order}
            order = order[1:] + order[:1]
            if number:
                seconds.append({key: found[key] for key in trainings})
                say(f"  {number}/{rounds}: " + ", ".join(f"{key} {took:.3g} s" for key, took in seconds[-1].items()))
        peaks = {key: training.peaks() for key, training in trainings.items()}
    times = compared(seconds, peaks)
    keep_text(stored.uri, stored.run_id, FILE, times_csv(times))
    return times

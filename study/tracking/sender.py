"""One thread that brings events to MLflow, however long it takes, while training goes on."""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby, takewhile
from queue import Empty, SimpleQueue

from go4align.errors import UserError
from study.tracking.events import Event
from study.tracking.ledger import Ledger
from study.tracking.mlflow_writer import MlflowWriter

Notify = Callable[[str], None]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_REFUSALS = 3
_MOST_AT_ONCE = 2000
_DOWN_GRACE_S = 5.0
_BEAT_S = 60.0


class Sender(threading.Thread):
    """Delivers each trial's events in order.

    A store that is down is waited for; an event that a healthy one refuses is skipped. Epochs of a trial that have come
    while the store was busy take one call, so a slow store falls behind only so far.

    Args:
        writer: applies events.
        ledger: where deliveries are noted.
        notify: told in one line, from this thread, when the store goes down, is back, or refuses an event.
        beats: whether the store is told about once a minute that the study's driver lives, and how far it is behind.
    """

    def __init__(self, writer: MlflowWriter, ledger: Ledger, notify: Notify, *, beats: bool = False) -> None:
        super().__init__(name="mlflow", daemon=True)
        self._writer = writer
        self._ledger = ledger
        self._notify = notify
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._progress = threading.Condition()
        self._pending = 0
        self._down = False
        self._refused = 0
        self._told: set[int] = set()
        self._skipped: set[int] = set()
        self._hurry = threading.Event()
        self._abandon = threading.Event()
        self._next_beat = time.monotonic() if beats else math.inf

    @property
    def refused(self) -> int:
        """Events that the store would not take."""
        return self._refused

    def submit(self, event: Event) -> None:
        """Hand over an event; returns at once."""
        with self._progress:
            self._pending += 1
        self._queue.put(event)

    def flush(self, timeout_s: float) -> int:
        """Wait until all is delivered, or `timeout_s` has passed, or the store has been down for 5 s; what is left."""
        deadline = time.monotonic() + timeout_s
        grace = time.monotonic() + _DOWN_GRACE_S
        with self._progress:
            while self._pending and self.is_alive():
                if (left := (min(grace, deadline) if self._down else deadline) - time.monotonic()) <= 0:
                    break
                self._progress.wait(min(left, 0.2))
            return self._pending

    def stop(self, timeout_s: float) -> int:
        """`flush`, with no long waits between attempts, and end the thread; what is left."""
        self._next_beat = math.inf
        self._hurry.set()
        left = self.flush(timeout_s)
        self._abandon.set()
        self._queue.put(None)
        if not left:
            self.join(1.0)
        return left

    def run(self) -> None:
        while (events := self._next()) is not None and not self._abandon.is_set():
            for together in _together(events):
                self._deliver(together)
            self._mark(events)
            self._beat()

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + _BEAT_S
            with suppress(Exception):  # a store that is down: the next event finds out
                self._writer.beat(self._pending)

    def _next(self) -> list[Event] | None:
        """What waits, and at least one event, or none where it is time for a beat; None where the thread shall end."""
        events: list[Event] = []
        with suppress(Empty):
            while len(events) < _MOST_AT_ONCE:
                wait = None if math.isinf(self._next_beat) else max(0.0, self._next_beat - time.monotonic())
                event = self._queue.get(block=not events, timeout=wait)
                if event is None:
                    self._queue.put(None)  # for the next time
                    return events or None
                events.append(event)
        return events

    def _deliver(self, events: Sequence[Event]) -> None:
        wait = _FIRST_WAIT_S
        refusals = 0
        while not self._abandon.is_set():
            try:
                self._writer.apply(events)
            except Exception as error:  # whatever a store or a network can raise: training must go on
                self._wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT_S)
                refusals += self._is_up(error)
                if refusals >= _REFUSALS and len(events) > 1:
                    for event in events:  # not all of them need be bad
                        self._deliver([event])
                    return
                if refusals >= _REFUSALS:
                    self._skip(events[0], error)
                    return
            else:
                self._done(events)
                return

    def _wait(self, seconds: float) -> None:
        """Until the next attempt; at most `_FIRST_WAIT_S` once the study is being closed."""
        self._abandon.wait(_FIRST_WAIT_S)
        self._hurry.wait(seconds - _FIRST_WAIT_S)

    def _is_up(self, problem: Exception) -> bool:
        self._writer.forget()
        try:
            self._writer.check()
        except Exception:
            if not self._down:
                self._say(f"{_one_line(problem)} Training goes on; the journal keeps everything until it is back.")
            self._down = True
            return False
        return True

    def _done(self, events: Sequence[Event], *, skipped: bool = False) -> None:
        (self._skipped if skipped else self._told).update(event.seq for event in events)
        with self._progress:
            self._pending -= len(events)
            self._progress.notify_all()
        if self._down and not skipped:
            self._down = False
            self._say(f"MLflow is back; {self._pending} events are on their way.")

    def _mark(self, events: Sequence[Event]) -> None:
        """Note what was told, up to the first event that was not: after a kill the rest is told again."""
        settled = self._told | self._skipped
        if whole := list(takewhile(lambda event: event.seq in settled, events)):
            with suppress(OSError):  # a full disk: events may be told twice, which changes nothing
                self._ledger.mark(whole, refused=self._skipped)
        self._told.clear()
        self._skipped.clear()

    def _skip(self, event: Event, problem: Exception) -> None:
        self._done([event], skipped=True)
        if not self._refused:
            what = f"'{event.kind}' of {event.trial or 'the study'}"
            self._say(f"MLflow refused {what} ({_one_line(problem)}). The journal keeps it; `study sync` tries again.")
        self._refused += 1

    def _say(self, text: str) -> None:
        with suppress(Exception):  # a broken terminal must not end the thread
            self._notify(text)


def _together(events: Sequence[Event]) -> Iterator[list[Event]]:
    """What one call can tell. A trial's events keep their order, and no trial's passes one of the study as a whole."""
    for _, between in groupby(events, key=lambda event: bool(event.trial)):
        by_trial = defaultdict[tuple[str, str], list[Event]](list)
        for event in between:
            by_trial[event.study_run, event.trial].append(event)
        for own in by_trial.values():
            for _, alike in groupby(own, key=lambda event: "epochs" if event.kind == "log" else event.seq):
                yield list(alike)


def _one_line(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    text = text if isinstance(problem, UserError) else f"{type(problem).__name__}: {text}"
    return text if len(text) <= 300 else text[:297] + "..."

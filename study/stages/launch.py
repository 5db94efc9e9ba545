"""How a study is asked for: its name or file, and every option of a run, made once and passed whole."""

import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BeforeValidator, Field, ValidationError

from go4align.benchmarks.base import Benchmark
from go4align.errors import UserError
from study.spec import (
    ReadStudy,
    SearchSpace,
    Section,
    StudyFile,
    absolute,
    explain,
    is_file,
    load_space,
    method_names,
    read_study,
    revised,
)

LIMITS = {"max_trials": "max_trials", "max_hours": "hours", "max_gpu_hours": "gpu_hours"}
"""Options that replace a key of the study file's `budget`, and that key."""


def _positive(found: Any) -> Any:
    if isinstance(found, (int, float)) and not 0 < found < math.inf:
        raise UserError(f"must be positive, found {found}.")
    return found


def _comma_separated(found: Any) -> Any:
    return ",".join(map(str, found)) if isinstance(found, (list, tuple)) else found


class Loaded(NamedTuple):
    """What a launch names, read and checked.

    Attributes:
        study: the study file with what the launch says instead.
        space: what is searched.
        benchmark: the study's.
        text: the study file as written; "" where it is gone.
    """

    study: StudyFile
    space: SearchSpace
    benchmark: Benchmark
    text: str

    def with_data(self) -> "Loaded":
        """The same with the identity of the data at hand, which are prepared now where that has not been done.

        Raises:
            UserError: they are not on this machine, or others than the study names.
        """
        return self._replace(study=self.study.with_data(self.benchmark))


class Launch(Section):
    """How a study was asked for. What a later `study resume` must know goes into the study's plan; the rest does not.

    Attributes:
        source: a preset's name or the path of a study file; to resume, the study's name or its file.
        methods: instead of the file's: comma-separated (a list becomes that), or "all".
        max_trials, max_hours, max_gpu_hours: limits of the budget instead of the file's; None leaves those.
        warm_start: a study in the store, over the same search space, whose finished trials the search learns from.
        again: run a study that the store already holds anew, beside the earlier one.
        accept_changes: go on although study file or search space have changed.
        address: a Ray cluster; None for a fresh local one.
        tracking_uri: the store; None for the study file's, else $MLFLOW_TRACKING_URI, else a file in $GO4ALIGN_HOME.
    """

    source: str
    methods: Annotated[str | None, BeforeValidator(_comma_separated)] = None
    max_trials: Annotated[int | None, BeforeValidator(_positive)] = None
    max_hours: Annotated[float | None, BeforeValidator(_positive)] = None
    max_gpu_hours: Annotated[float | None, BeforeValidator(_positive)] = None
    warm_start: str | None = None
    again: bool = Field(default=False, exclude=True)
    accept_changes: bool = Field(default=False, exclude=True)
    address: str | None = Field(default=None, exclude=True)
    tracking_uri: str | None = Field(default=None, exclude=True)  # it may hold a password

    @classmethod
    def of(cls, source: str, **options: Any) -> Self:
        """The launch of a study with these options.

        Raises:
            UserError: an unknown option (with the nearest known one), or a value that it cannot have.
        """
        try:
            return cls(source=source, **options)
        except ValidationError as error:
            raise UserError(explain(error, cls)) from None

    @property
    def limits(self) -> dict[str, Any]:
        """What it says instead of the study file's `budget`."""
        return {key: limit for option, key in LIMITS.items() if (limit := getattr(self, option)) is not None}

    @property
    def readable(self) -> bool:
        """Whether the study file is still there."""
        return not is_file(self.source) or Path(self.source).exists()

    def located(self) -> Self:
        """The same from whatever folder it is read."""
        return self.model_copy(update={"source": absolute(self.source)}) if is_file(self.source) else self

    def load(self, file: ReadStudy | None = None) -> Loaded:
        """Read the study file and its search space, each once, and build the benchmark once.

        Args:
            file: the study file, where it has been read already.

        Raises:
            UserError: anything wrong with them.
        """
        read, benchmark, text = file or read_study(self.source)
        study = self.applied(read)
        return Loaded(study, load_space(study, benchmark), benchmark, text)

    def applied(self, study: StudyFile) -> StudyFile:
        """The study with what the launch says instead.

        Raises:
            UserError: it does not go with the rest of it.
        """
        methods = {} if self.methods is None else {"methods": method_names(self.methods)}
        return revised(study, **methods, budget=study.budget.model_dump() | self.limits)

    def renewed(self, later: "Launch") -> "Launch":
        """This launch as `later` asks to go on with it: only what a study begins with stays for certain."""
        begun = {"methods": self.methods, "warm_start": self.warm_start}
        source = {} if is_file(later.source) else {"source": self.source}
        unsaid = {key: getattr(self, key) for key in LIMITS if getattr(later, key) is None}
        return later.model_copy(update={**begun, **source, **unsaid})

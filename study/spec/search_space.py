"""search_spaces/*.yaml -> what is searched, per method, and the default that every hyperparameter starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from go4align.benchmarks.base import Benchmark
from go4align.errors import UserError, unknown_name
from go4align.weighting.registry import hyperparameters
from study.spec.complaints import written
from study.spec.configuration import MethodSection
from study.spec.kinds import refuse_others
from study.spec.loading import find_file, is_file, parse
from study.spec.sections import Section
from study.spec.study_file import StudyFile
from study.spec.yaml import read_yaml

Value = bool | int | float | str


class Range(Section):
    """A numeric hyperparameter between `low` and `high`, on a log scale if `log`.

    Attributes:
        default: what the paper or its official code takes; None for what the method's own code takes.
    """

    type: Literal["float", "int"]
    low: float
    high: float
    log: bool = False
    default: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Range:
        if not self.low < self.high:
            raise UserError(f"`low` must be below `high`, found {self.low} and {self.high}.")
        if self.log and self.low <= 0:
            raise UserError(f"`low` must be positive on a log scale, found {self.low}.")
        if self.type == "int" and not (self.low.is_integer() and self.high.is_integer()):
            raise UserError(f"`low` and `high` of an int must be whole numbers, found {self.low} and {self.high}.")
        return self

    @property
    def edges(self) -> Sequence[Value]:
        """The values that must build for all to build."""
        return [int(self.low), int(self.high)] if self.type == "int" else [self.low, self.high]

    def holds(self, value: Value) -> bool:
        whole = self.type == "float" or (isinstance(value, (int, float)) and float(value).is_integer())
        return isinstance(value, (int, float)) and whole and self.low <= value <= self.high


class Choice(Section):
    """A hyperparameter with listed values; its `default` is as a range's."""

    type: Literal["categorical"]
    choices: Annotated[list[Value], Field(min_length=1)]
    default: Value | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Choice:
        """Optuna tells choices apart as Python does: it would take the last of equal ones for the first."""
        for place, value in enumerate(self.choices):
            if value in self.choices[:place]:
                equal = self.choices[self.choices.index(value)]
                raise UserError(
                    f"`choices` must hold each value once, found {written(equal)} and {written(value)}. Remove one."
                )
        return self

    @property
    def edges(self) -> Sequence[Value]:
        """The values that must build for all to build."""
        return self.choices

    def holds(self, value: Value) -> bool:
        return value in self.choices


Parameter = Annotated[Range | Choice, Field(discriminator="type")]


class SearchSpace(Section):
    """What is searched for every method (`common`) and for each.

    A key with a point, such as `factors.U0/U/H/G`, is one value of an option that holds several by name.
    """

    benchmark: str
    common: dict[str, Parameter] = Field(default={})
    methods: dict[str, dict[str, Parameter]]

    @model_validator(mode="after")
    def _check(self) -> SearchSpace:
        for key in self.common:
            if key != "lr":
                raise unknown_name("common hyperparameter", key, ["lr"])
        for method, parameters in self.methods.items():
            known = hyperparameters(method)
            for key, parameter in parameters.items():
                if _option(key) != key and _option(key) in parameters:
                    raise UserError(
                        f"{method}: either '{_option(key)}' or parts of it such as '{key}' can be searched, found both."
                    )
                if key != "lr" and _option(key) not in known:
                    raise unknown_name(f"hyperparameter of '{method}'", key, [*known, "lr"])
                if _option(key) != key and parameter.default is None:
                    raise UserError(f"{method}.{key} must have a `default`, found none: add it to its line.")
                if parameter.default is not None and not parameter.holds(parameter.default):
                    raise UserError(
                        f"`default` of {method}.{key} must lie in the searched range, found {parameter.default}: "
                        "the defaults are every method's first trial."
                    )
        return self

    def parameters(self, method: MethodSection) -> dict[str, Range | Choice]:
        """Everything searched for a method, which is the learning rate alone for one without lines here; what a variant
        fixes is not searched."""
        searched = {**self.common, **self.methods.get(method.name, {})}
        return {key: parameter for key, parameter in searched.items() if _option(key) not in method.options}

    def defaults(self, method: MethodSection, lr: float) -> dict[str, Any]:
        """The defaults of what is searched; the learning rate is the study's own unless the space names one."""
        of_the_code: Mapping[str, Any] = {**hyperparameters(method.name), "lr": lr}
        found = {}
        for key, parameter in self.parameters(method).items():
            value = of_the_code[key] if parameter.default is None else parameter.default
            whole = isinstance(parameter, Range) and parameter.type == "int" and parameter.holds(value)
            found[key] = int(value) if whole else value
        return found


def _option(key: str) -> str:
    """The method's option that a key is, or is a part of."""
    return key.partition(".")[0]


def load_space(study: StudyFile, benchmark: Benchmark) -> SearchSpace:
    """Read the study's search space and check it against the study, so that what is wrong shows before anything starts.

    Args:
        study: what names the space, and the methods that are checked.
        benchmark: the study's.

    Raises:
        UserError: no such space, another benchmark's, a method for which nothing is searched, or a default or an edge
            that no method takes.
    """
    path = find_file(study.search_space, "search space", files("search_spaces"))
    space = parse(SearchSpace, path, _extended(path))
    if space.benchmark != study.benchmark.name:
        raise UserError(
            f"{path} is for the benchmark '{space.benchmark}', but the study's is '{study.benchmark.name}'. "
            "Name another `search_space`."
        )
    for name in study.methods:
        base = study.method(name).name
        if base not in space.methods and not space.common:
            raise UserError(
                f"{path} must say what is searched for '{base}', found nothing. Add its lines under `methods:`, or the "
                "learning rate of all methods under `common:`."
            )
        _check_fixed(study, name, benchmark.task_names)
        _check_values(study, space, name, str(path), benchmark.task_names)
    return space


def _extended(path: Path) -> dict[str, Any]:
    """What a search space says, with the lines of the packaged one that it extends where it says nothing itself."""
    own = read_yaml(path, "search space")
    refuse_others(path, own, "search space")
    name = own.pop("extends", None)
    if name is None:
        return own
    if not isinstance(name, str) or is_file(name):
        raise UserError(f"{path}: `extends` must be the name of a packaged search space, as methods, found {name!r}.")
    base = read_yaml(find_file(name, "search space", files("search_spaces")), "search space")
    if "extends" in base:
        raise UserError(f"{path}: `extends` must name a search space that extends none, found '{name}'. Write: methods")
    methods = _merged(base["methods"], own.get("methods"))
    if isinstance(own.get("methods"), dict):
        methods |= {key: _merged(base["methods"].get(key, {}), lines) for key, lines in own["methods"].items()}
    return {**own, "common": _merged(base["common"], own.get("common")), "methods": methods}


def _merged(base: dict[str, Any], own: Any) -> Any:
    """Both, the own lines before the others; what is no mapping is left to be complained of."""
    if own is None:
        return dict(base)
    return {**base, **own} if isinstance(own, dict) else own


def _check_fixed(study: StudyFile, method: str, task_names: Sequence[str]) -> None:
    """What a variant fixes must build, also where nothing of it is searched."""
    try:
        study.configuration(method).method.check(task_names)
    except UserError as error:
        raise UserError(f"`variants.{method}`: {error}" if method in study.variants else str(error)) from None


def _check_values(study: StudyFile, space: SearchSpace, method: str, path: str, task_names: Sequence[str]) -> None:
    """The defaults must be in range, and the edges of every range must build."""
    defaults = space.defaults(study.method(method), study.training.lr)
    try:
        study.configuration(method, defaults).method.check(task_names)
    except UserError as error:
        raise UserError(f"{path}: the defaults of `methods.{method}`: {error}") from None
    for key, parameter in space.parameters(study.method(method)).items():
        if not parameter.holds(defaults[key]):
            raise UserError(
                f"{path}: the default {method}.{key} = {defaults[key]} must lie in the searched range: it "
                "is the method's first trial. Widen the range, or name another `default` (for lr: `training.lr`)."
            )
        for value in parameter.edges:
            try:
                study.configuration(method, {**defaults, key: value}).method.check(task_names)
            except UserError as error:
                raise UserError(f"{path}: `methods.{method}.{key}` searches {value!r}: {error}") from None

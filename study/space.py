"""search_spaces/*.yaml -> what Optuna searches, per method, with the published value of every hyperparameter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Field, model_validator

from go4align.errors import UserError, unknown_name
from go4align.weighting.registry import hyperparameters
from study.config import MethodSection, Section, StudyFile
from study.files import find_file, parse

Value = bool | int | float | str


class Range(Section):
    """A numeric hyperparameter between `low` and `high`, on a log scale if `log`."""

    type: Literal["float", "int"]
    low: float
    high: float
    log: bool = False
    published: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Range:
        if not self.low < self.high:
            raise UserError(f"`low` must be below `high`, found {self.low} and {self.high}.")
        if self.log and self.low <= 0:
            raise UserError(f"`low` must be positive on a log scale, found {self.low}.")
        if self.type == "int" and not (self.low.is_integer() and self.high.is_integer()):
            raise UserError(f"`low` and `high` of an int must be whole numbers, found {self.low} and {self.high}.")
        return self

    def distribution(self) -> BaseDistribution:
        if self.type == "int":
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def holds(self, value: Value) -> bool:
        whole = self.type == "float" or (isinstance(value, (int, float)) and float(value).is_integer())
        return isinstance(value, (int, float)) and whole and self.low <= value <= self.high


class Choice(Section):
    """A hyperparameter with listed values."""

    type: Literal["categorical"]
    choices: Annotated[list[Value], Field(min_length=1)]
    published: Value | None = None

    def distribution(self) -> BaseDistribution:
        return CategoricalDistribution(self.choices)

    def holds(self, value: Value) -> bool:
        return value in self.choices


Parameter = Annotated[Range | Choice, Field(discriminator="type")]


class SearchSpace(Section):
    """What is searched for every method (`common`) and for each."""

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
                if key != "lr" and key not in known:
                    raise unknown_name(f"hyperparameter of '{method}'", key, [*known, "lr"])
                if parameter.published is not None and not parameter.holds(parameter.published):
                    raise UserError(
                        f"`published` of {method}.{key} must lie in the searched range, found {parameter.published}: "
                        "the published defaults are every method's first trial."
                    )
        return self

    def parameters(self, method: MethodSection) -> dict[str, Range | Choice]:
        """Everything searched for a method; what a variant fixes is not searched."""
        searched = {**self.common, **self.methods[method.name]}
        return {key: parameter for key, parameter in searched.items() if key not in method.options}

    def distributions(self, method: MethodSection) -> dict[str, BaseDistribution]:
        """Optuna's distributions for a method."""
        return {key: parameter.distribution() for key, parameter in self.parameters(method).items()}

    def published(self, method: MethodSection, lr: float) -> dict[str, Any]:
        """The published values of what is searched; the learning rate is the study's own unless the space names one."""
        defaults: Mapping[str, Any] = {**hyperparameters(method.name), "lr": lr}
        found = {}
        for key, parameter in self.parameters(method).items():
            value = defaults[key] if parameter.published is None else parameter.published
            whole = isinstance(parameter, Range) and parameter.type == "int" and parameter.holds(value)
            found[key] = int(value) if whole else value
        return found


def load_space(study: StudyFile) -> SearchSpace:
    """Read the study's search space and check it against the study: everything is wrong before anything starts."""
    path = find_file(study.search_space, "search space", files("search_spaces"))
    space = parse(SearchSpace, path, "search space")
    if space.benchmark != study.benchmark.name:
        raise UserError(
            f"{path} is for the benchmark '{space.benchmark}', but the study's is '{study.benchmark.name}'. "
            "Name another `search_space`."
        )
    for name in study.methods:
        base = study.method(name).name
        if base not in space.methods:
            raise UserError(f"{path}: {unknown_name('method', base, space.methods)} Add its lines under `methods:`.")
        _check_fixed(study, name)
        _check_values(study, space, name, str(path))
    return space


def _check_fixed(study: StudyFile, method: str) -> None:
    """What a variant fixes must build, also where nothing of it is searched."""
    try:
        study.configuration(method).check()
    except UserError as error:
        raise UserError(f"`variants.{method}`: {error}" if method in study.variants else str(error)) from None


def _check_values(study: StudyFile, space: SearchSpace, method: str, path: str) -> None:
    """The published values must be in range, and the edges of every range must build."""
    published = space.published(study.method(method), study.training.lr)
    for key, parameter in space.parameters(study.method(method)).items():
        if not parameter.holds(published[key]):
            raise UserError(
                f"{path}: the published {method}.{key} = {published[key]} must lie in the searched range: it "
                "is the method's first trial. Widen the range, or name another `published` (for lr: `training.lr`)."
            )
        edges = parameter.choices if isinstance(parameter, Choice) else [parameter.low, parameter.high]
        for edge in edges:
            value = int(edge) if isinstance(parameter, Range) and parameter.type == "int" else edge
            try:
                study.configuration(method, {**published, key: value}).check()
            except UserError as error:
                raise UserError(f"{path}: `methods.{method}.{key}` searches {value!r}: {error}") from None


def quiet_optuna() -> None:
    """Silence Optuna's notes on every trial, and its warning that multivariate TPE is experimental."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

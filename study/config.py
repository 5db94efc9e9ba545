"""What a study and a frozen configuration say: their sections, validated before anything starts."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from go4align.benchmarks.registry import benchmark_options, build_benchmark
from go4align.errors import UserError, unknown_name
from go4align.training import TrainingOptions
from go4align.weighting.registry import available_methods, build_weighting, hyperparameters

_LARGEST_SEED = 2**63 - 1
_FINEST = 0.0001
"""The smallest share of a CPU or GPU that Ray hands out."""
_LONGEST_TAG = 8000


def is_name(text: str) -> bool:
    """Whether a study or a variant may be called so: the name is a folder, an experiment, and an argument that must not
    look like a file's or an option's."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text)) and not text.endswith((".yaml", ".yml"))


def _name(found: str) -> str:
    if is_name(found):
        return found
    raise UserError(
        "must be 1 to 64 of the characters A-Z, a-z, 0-9, `.`, `_` and `-`, begin with a letter or digit, and not end "
        f"like a file in .yaml or .yml, found {found[:80]!a}."
    )


Name = Annotated[str, AfterValidator(_name)]


class Section(BaseModel):
    """A part of a file: unknown keys are errors, nothing is converted (`true` is no number), values never change after
    reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Kept(Section):
    """A section that MLflow keeps whole in a tag, to be read back."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """MLflow would cut the tag, and no later command could read the study."""
        length = len(json.dumps(self.model_dump(mode="json"), separators=(",", ":")))
        if length > _LONGEST_TAG:
            raise UserError(
                f"As JSON this must have at most {_LONGEST_TAG:,} characters, which MLflow keeps in a tag, found "
                f"{length:,}. Split it: name fewer variants or seeds."
            )
        return self


def _training(found: Any) -> TrainingOptions:
    """Training options check themselves, as strictly as a section."""
    if isinstance(found, TrainingOptions):
        return found
    if not isinstance(found, dict):
        raise UserError(f"must hold keys and values, found {found!r}.")
    known = {field.name: field.default is MISSING for field in fields(TrainingOptions)}
    for key in found:
        if key not in known:
            raise unknown_name("key", key, known)
    for key, required in known.items():
        if required and key not in found:
            raise UserError(f"`{key}` is required, found none.")
    return TrainingOptions(**found)


Training = Annotated[TrainingOptions, BeforeValidator(_training)]


class Named(BaseModel):
    """A registered thing and its options, written flat: `{name: go4align, n_groups: 5}`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class BenchmarkSection(Named):
    """A benchmark and its options."""

    @model_validator(mode="after")
    def _check(self) -> BenchmarkSection:
        known = benchmark_options(self.name)
        for option in self.options:
            if option not in known:
                raise unknown_name(f"option of the benchmark '{self.name}'", option, known)
        return self


class MethodSection(Named):
    """A weighting method and its hyperparameters; unnamed ones keep the published defaults.

    Attributes:
        label: what a study calls this variant of the method; None where it goes by the method's own name.
    """

    label: Name | None = None

    @property
    def key(self) -> str:
        """What the study calls it."""
        return self.label or self.name

    @model_validator(mode="after")
    def _check(self) -> MethodSection:
        known = hyperparameters(self.name)
        for option in self.options:
            if option not in known:
                raise unknown_name(f"hyperparameter of '{self.name}'", option, known)
        return self


class Configuration(Kept):
    """All that decides a run but its seed: what `study best` writes and `study train` and `study final` read."""

    benchmark: BenchmarkSection
    method: MethodSection
    training: Training

    def check(self) -> None:
        """Build the benchmark and the weighting once, so that a wrong option shows before anything starts."""
        benchmark = build_benchmark(self.benchmark.name, **self.benchmark.options)
        build_weighting(self.method.name, n_tasks=benchmark.n_tasks, **self.method.options)


class Reference(Section):
    """Single-task metrics by `task/metric` that Delta m is relative to, and where they come from.

    Attributes:
        source: "measured" under the same budget, or "published" (then both splits hold the published test values).
        val, test: metrics per split.
    """

    source: Literal["measured", "published"]
    val: dict[str, float]
    test: dict[str, float]

    @property
    def splits(self) -> dict[str, dict[str, float]]:
        return {"val": self.val, "test": self.test}


class FrozenFile(Section):
    """The file of `study best --out`: configurations, the best one first, with where they come from."""

    study: Name
    reference: Reference
    configurations: Annotated[list[FrozenConfiguration], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> FrozenFile:
        names = [c.method.key for c in self.configurations]
        if len(set(names)) < len(names):
            raise UserError(f"`configurations` must hold each method once, found {', '.join(names)}.")
        return self

    def check(self) -> None:
        """Build everything once, and compare the reference's metrics with the benchmark's."""
        for configuration in self.configurations:
            configuration.check()
            section = configuration.benchmark
            known = set(build_benchmark(section.name, **section.options).metrics())
            for split, table in self.reference.splits.items():
                wrong = sorted(known ^ set(table)) or [key for key, value in table.items() if value == 0]
                if wrong:
                    raise UserError(
                        f"`reference.{split}` must hold a number other than zero for each of the benchmark's metrics, "
                        f"found a difference at '{wrong[0]}'. Write the file again with `study best`."
                    )


class FrozenConfiguration(Configuration):
    """A configuration with the trial, its seed and the score (lowest validation Delta m) that chose it."""

    trial: str
    score: float
    seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED)] = 0


class Budget(Section):
    """When the search ends: no new trial starts once a limit is reached; running ones finish.

    Attributes:
        trials: trials per method, the published defaults among them.
        max_trials: trials in all; methods take turns, so each gets its share.
        epochs: epochs in all.
        hours: wall-clock hours of the study's sittings up to the end of its search.
        gpu_hours: GPU-hours of the search (GPUs per trial x hours).
    """

    trials: int = Field(ge=1)
    max_trials: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)


class Scheduler(Section):
    """`asha` stops the weaker trials of a method early (never one method's for another's); `fifo` stops none."""

    name: Literal["asha", "fifo"] = "asha"
    grace_epochs: int = Field(default=1, ge=1)
    reduction_factor: int = Field(default=3, ge=2)


class Resources(Section):
    """What one trial takes; half a GPU means two trials on one."""

    cpus: float = Field(default=1.0, ge=_FINEST)
    gpus: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _of_a_node(self) -> Resources:
        """Ray would fail, or wait for ever, once the study has begun."""
        if 0 < self.gpus < _FINEST or (self.gpus > 1 and not self.gpus.is_integer()):
            raise UserError(
                f"`gpus` must be 0, a share of at least {_FINEST} of one GPU, or a whole number of them, "
                f"found {self.gpus}."
            )
        return self


Seed = Annotated[int, Field(ge=0, le=_LARGEST_SEED)]


class Seeds(Section):
    """Search, reference and final runs never share a seed."""

    search: Seed = 0
    reference: Seed = 1
    final: Annotated[list[Seed], Field(min_length=1)] = Field(default=[101, 102, 103])

    @model_validator(mode="after")
    def _disjoint(self) -> Seeds:
        seeds = [self.search, self.reference, *self.final]
        if len(set(seeds)) < len(seeds):
            raise UserError(
                f"Seeds must differ between search, reference and final runs, found {seeds}. Change the repeated one."
            )
        return self


class StudyFile(Kept):
    """A whole study; see study/presets for commented examples."""

    name: Name
    benchmark: BenchmarkSection
    training: Training
    methods: Annotated[list[str], Field(min_length=1)]
    variants: dict[Name, MethodSection] = Field(default={})
    search_space: str
    budget: Budget
    scheduler: Scheduler = Scheduler()
    resources: Resources = Resources()
    reference: Literal["measured", "published"] = "measured"
    seeds: Seeds = Seeds()
    tracking_uri: str | None = None

    @model_validator(mode="after")
    def _known_methods(self) -> StudyFile:
        for variant in self.variants:
            if variant in available_methods():
                raise UserError(f"`variants` must not use a method's name, found '{variant}'. Give it another.")
        for method in self.methods:
            if method not in self.variants and method not in available_methods():
                raise unknown_name("method", method, [*available_methods(), *self.variants])
        if len(set(self.methods)) < len(self.methods):
            raise UserError(f"`methods` must name each method once, found {', '.join(self.methods)}.")
        return self

    @model_validator(mode="after")
    def _cross_check(self) -> StudyFile:
        benchmark = build_benchmark(self.benchmark.name, **self.benchmark.options)
        if self.reference == "published" and not benchmark.published_stl():
            raise UserError(
                f"The benchmark '{self.benchmark.name}' has no published STL numbers. Set `reference: measured`."
            )
        if self.scheduler.name == "asha" and self.scheduler.grace_epochs > self.training.epochs:
            raise UserError(
                f"`scheduler.grace_epochs` must be at most `training.epochs` = {self.training.epochs}, "
                f"found {self.scheduler.grace_epochs}."
            )
        if self.budget.gpu_hours is not None and self.resources.gpus == 0:
            raise UserError("`budget.gpu_hours` needs GPUs: set `resources.gpus` above 0, or remove it.")
        return self

    def method(self, name: str) -> MethodSection:
        """A registered method with its defaults, or a variant with what it fixes."""
        if name in self.variants:
            return self.variants[name].model_copy(update={"label": name})
        return MethodSection(name=name)

    def configuration(self, method: str, hyperparameters: dict[str, Any] | None = None) -> Configuration:
        """The configuration of a method: its published defaults and the study's training options, but for what
        `hyperparameters` says (`lr` is a training option, all else the method's)."""
        fixed, chosen = self.method(method), dict(hyperparameters or {})
        training = {field.name: getattr(self.training, field.name) for field in fields(self.training)}
        if "lr" in chosen:
            training["lr"] = chosen.pop("lr")
        return Configuration(
            benchmark=self.benchmark,
            method=MethodSection(name=fixed.name, label=fixed.label, **{**fixed.options, **chosen}),
            training=TrainingOptions(**training),
        )


def digest(value: BaseModel | dict[str, Any]) -> str:
    """A short stable hash of a section, for tags and look-ups."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]

"""A whole study as its file says it, checked before anything starts."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.registry import build_benchmark
from go4align.errors import UserError, unknown_name
from go4align.training import TrainingOptions, Watched, check_watched
from go4align.weighting.registry import check_method, compares_gradients, is_method
from study.spec.configuration import _LARGEST_SEED, BenchmarkSection, Configuration, MethodSection, Training
from study.spec.sections import Kept, Name, Section, is_name, nested

SINGLE_TASK = "stl"
Budgeted = Literal["search", "final"]
"""The stages that have a budget of their own."""

_FINEST = 0.0001
"""The smallest share of a CPU or GPU that Ray hands out."""


def fixed_label(method: str) -> str:
    """What the fixed weights of a method are called."""
    return f"{method}-fixed"


class Target(Section):
    """When a method's search has stopped paying: further trials are expected to bring less than is wanted.

    Attributes:
        min_gain: in units of the score, points of Delta m by default; see `study.search.gain.expected_gain`.
        over_trials: by so many further complete trials; those that the scheduler stopped early tell too little.
    """

    min_gain: float = Field(gt=0)
    over_trials: int = Field(default=10, ge=1)


class Budget(Section):
    """When the search ends: no new trial starts once a limit is reached; running ones finish.

    Attributes:
        trials: trials per method, the defaults among them.
        max_trials: trials in all; methods take turns, so each gets its share.
        epochs: epochs in all.
        hours: wall-clock hours of the study's sessions up to the end of its search.
        gpu_hours: GPU-hours of the search (GPUs per trial x hours).
        target: a method that has stopped paying gets no further trials.
    """

    trials: int = Field(ge=1)
    max_trials: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)
    target: Target | None = Field(default=None, exclude_if=lambda target: target is None)


class Search(Section):
    """How a method's trials are proposed. Its first trial is its defaults, whatever the sampler.

    Attributes:
        sampler: "tpe", Optuna's tree-structured Parzen estimator, multivariate; "gp", a Gaussian process (over a second
            a proposal); "random"; "grid", every combination of `levels` values of each range and all choices, in a
            random order, then random ones.
        startup: how many trials of a method, the first among them, are not chosen by what earlier ones gave; default 5.
        start: whether those are a "sobol" sequence (default), which is spread evenly, or "random". docs/search.md has
            measured both.
        group: whether TPE looks for independent groups of hyperparameters.
        levels: of each range, of a grid.
    """

    sampler: Literal["tpe", "gp", "random", "grid"] = "tpe"
    startup: int = Field(default=5, ge=1)
    start: Literal["random", "sobol"] = "sobol"
    group: bool = False
    levels: int = Field(default=3, ge=1, le=100)

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, found: Any) -> Any:
        """They wrote a `startup` of None, which stood for a third of the trials, and `start: random` beside it."""
        if isinstance(found, dict) and found.get("startup", 0) is None:
            gone = {"startup", "start"} if found.get("sampler") == "grid" else {"startup"}
            return {key: value for key, value in found.items() if key not in gone}
        return found

    @model_validator(mode="after")
    def _has_effect(self) -> Search:
        grid = self.sampler == "grid"
        idle = {
            "group": self.group and self.sampler != "tpe",
            "levels": self.levels != 3 and not grid,
            "startup": self.startup != 5 and grid,
            "start": self.start != "sobol" and grid,
        }
        for key in (key for key, found in idle.items() if found):
            raise UserError(f"`search.{key}` has no effect with the sampler '{self.sampler}'. Remove it.")
        return self


class Scheduler(Section):
    """`asha` stops the weaker trials of a method early (never one method's for another's); `fifo` stops none.

    Attributes:
        name: "asha" or "fifo".
        grace_epochs: before which none is stopped; default a quarter of the trial's (docs/search.md has measured it).
        reduction_factor: of as many trials one goes on at each rung.
    """

    name: Literal["asha", "fifo"] = "asha"
    grace_epochs: int | None = Field(default=None, ge=1)
    reduction_factor: int = Field(default=3, ge=2)

    def grace_of(self, epochs: int) -> int:
        """Epochs before the first rung, of a trial of so many."""
        return max(1, epochs // 4) if self.grace_epochs is None else self.grace_epochs


class Resources(Section):
    """What one trial takes, or each of its processes, where several train it; half a GPU means two trials on one."""

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

    def times(self, processes: int) -> Resources:
        """What so many processes take."""
        return self if processes == 1 else Resources(cpus=self.cpus * processes, gpus=self.gpus * processes)


Seed = Annotated[int, Field(ge=0, le=_LARGEST_SEED)]


class Seeds(Section):
    """Search, reference and final runs never share a seed."""

    search: Seed = 0
    reference: Seed | Annotated[list[Seed], Field(min_length=1)] = 1
    final: Annotated[list[Seed], Field(min_length=1)] = Field(default=[101, 102, 103])

    @property
    def references(self) -> list[int]:
        """Those of the reference: the first for the search, all for final runs."""
        return [self.reference] if isinstance(self.reference, int) else list(self.reference)

    @model_validator(mode="after")
    def _disjoint(self) -> Seeds:
        seeds = [self.search, *self.references, *self.final]
        if len(set(seeds)) < len(seeds):
            raise UserError(
                f"Seeds must differ between search, reference and final runs, found {seeds}. Change the repeated one."
            )
        return self


class MeasuredReference(Section):
    """A reference that is measured otherwise than by single tasks at the study's learning rate.

    Attributes:
        method: whose runs, with its defaults: "stl", or another where single tasks are too many to train alone.
        lrs: learning rates that are tried under the search's budget, of which each task takes its best on validation;
            None for the study's own.
    """

    method: str = SINGLE_TASK
    lrs: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] | None = None


class Final(Section):
    """In what final runs differ from the search: more data, more epochs, more GPUs.

    Attributes:
        benchmark, training: options that replace the search's.
        resources: what a final run takes in all, at least the study's CPUs for each of its processes; default the
            study's for each of them. Several GPUs are as many processes, unless `training.processes` says otherwise.
    """

    benchmark: dict[str, Any] = Field(default={})
    training: dict[str, Any] = Field(default={})
    resources: Resources | None = Field(default=None, exclude_if=lambda resources: resources is None)


class StudyFile(Kept):
    """A whole study; see study/presets for commented examples."""

    name: Name
    benchmark: BenchmarkSection
    training: Training
    methods: Annotated[list[str], Field(min_length=1)]
    variants: dict[Name, MethodSection] = Field(default={})
    search_space: str
    budget: Budget
    search: Search = Field(default=Search(), exclude_if=lambda search: search == Search())
    scheduler: Scheduler = Scheduler()
    resources: Resources = Resources()
    reference: Literal["measured", "published"] | MeasuredReference = "measured"
    final: Final | None = Field(default=None, exclude_if=lambda final: final is None)
    seeds: Seeds = Seeds()
    keep_networks: bool = Field(default=True, exclude_if=lambda kept: kept)
    """Whether tuned final runs leave their networks in the tracking store."""
    fixed_weights: list[str] = Field(default=[], exclude_if=lambda methods: not methods)
    """Methods whose mean weights of their best search trial are trained with as constants in final runs, too, see
    `study.results.fixed_weights`."""
    tracking_uri: str | None = None

    @model_validator(mode="after")
    def _known_methods(self) -> StudyFile:
        for variant in self.variants:
            if is_method(variant):
                raise UserError(f"`variants` must not use a method's name, found '{variant}'. Give it another.")
        for method in self.methods:
            check_method(method, *self.variants)
        if len(set(self.methods)) < len(self.methods):
            raise UserError(f"`methods` must name each method once, found {', '.join(self.methods)}.")
        return self

    @model_validator(mode="after")
    def _weights_to_fix(self) -> StudyFile:
        for method in self.fixed_weights:
            if method not in self.methods:
                raise unknown_name("method of `fixed_weights`", method, self.methods)
            if compares_gradients(self.method(method).name):
                raise UserError(
                    f"`fixed_weights` must name methods that weight losses, found '{method}', which combines "
                    "gradients. Remove it."
                )
            label = fixed_label(method)
            if not is_name(label) or label in (*self.methods, *self.variants):
                raise UserError(
                    f"`fixed_weights` adds '{label}', which must be a name of at most 64 characters that no method "
                    f"has. Rename the variant '{label if label in self.variants else method}'."
                )
        return self

    @model_validator(mode="after")
    def _cross_check(self) -> StudyFile:
        if self.scheduler.name == "asha" and self.scheduler.grace_of(self.training.epochs) > self.training.epochs:
            raise UserError(
                f"`scheduler.grace_epochs` must be at most `training.epochs` = {self.training.epochs}, "
                f"found {self.scheduler.grace_epochs}."
            )
        if self.budget.gpu_hours is not None and self.resources.gpus == 0:
            raise UserError("`budget.gpu_hours` needs GPUs: set `resources.gpus` above 0, or remove it.")
        return self

    @model_validator(mode="after")
    def _known_reference(self) -> StudyFile:
        check_method(self.reference_method, *self.variants, kind="method of `reference`")
        return self

    @model_validator(mode="after")
    def _final_fits(self) -> StudyFile:
        if self.final is not None:
            if "lr" in self.final.training:
                raise UserError("`final.training.lr` must not be given: final runs take the tuned one. Remove it.")
            if "name" in self.final.benchmark:
                raise UserError("`final.benchmark.name` must not be given: final runs are of the study's. Remove it.")
            try:
                _ = self.final_benchmark, self.final_training  # to see whether they can be built
            except (UserError, ValidationError) as error:
                raise UserError(f"`final`: {error}") from None
        return self

    @model_validator(mode="after")
    def _a_gpu_each(self) -> StudyFile:
        trained: dict[Budgeted, TrainingOptions] = {"search": self.training, "final": self.final_training}
        for stage, training in trained.items():
            gpus = self.resources_of(stage).gpus
            if training.processes > 1 and gpus and gpus != training.processes:
                raise UserError(
                    f"`processes` must be as many as the GPUs of a {stage} run, {gpus:g}, found {training.processes}. "
                    "Change one: each process has a GPU of its own."
                )
        return self

    @property
    def reference_method(self) -> str:
        """Whose runs a measured reference are."""
        return self.reference.method if isinstance(self.reference, MeasuredReference) else SINGLE_TASK

    @property
    def reference_lrs(self) -> list[float]:
        """The learning rates that a measured reference is chosen from."""
        named = self.reference.lrs if isinstance(self.reference, MeasuredReference) else None
        return named or [self.training.lr]

    @property
    def final_reference_differs(self) -> bool:
        """Whether final runs have a reference of their own."""
        several = len(self.seeds.references) > 1
        return self.reference != "published" and (several or self.final is not None)

    @property
    def final_benchmark(self) -> BenchmarkSection:
        """As final runs read it."""
        changes = self.final.benchmark if self.final else {}
        return BenchmarkSection(
            name=self.benchmark.name,
            data_digest=self.benchmark.data_digest,
            provenance=self.benchmark.provenance,
            **{**self.benchmark.options, **changes},
        )

    @property
    def final_training(self) -> TrainingOptions:
        """As final runs train."""
        changes = dict(self.final.training) if self.final else {}
        known = [field.name for field in fields(TrainingOptions)]
        for key in changes:
            if key not in known:
                raise unknown_name("key of `training`", key, known)
        if self.final and self.final.resources and self.final.resources.gpus > 1:
            changes.setdefault("processes", int(self.final.resources.gpus))
        return replace(self.training, **changes)

    def resources_of(self, stage: Budgeted) -> Resources:
        """What a trial under a stage's budget takes."""
        if stage == "final" and self.final and (given := self.final.resources):
            least = self.resources.cpus * self.final_training.processes
            return given.model_copy(update={"cpus": max(given.cpus, least)})
        training = self.training if stage == "search" else self.final_training
        return self.resources.times(training.processes)

    def budgeted(self, configuration: Configuration, stage: Budgeted, lr: float | None = None) -> Configuration:
        """A configuration under a stage's budget: its own hyperparameters and learning rate (or `lr`), the stage's
        benchmark and training options."""
        lr = configuration.training.lr if lr is None else lr
        search = (configuration.benchmark, configuration.training)
        benchmark, training = search if stage == "search" else (self.final_benchmark, self.final_training)
        return Configuration(benchmark=benchmark, method=configuration.method, training=replace(training, lr=lr))

    @property
    def written_out(self) -> dict[str, Any]:
        """As JSON values, the defaults of benchmark and variants filled in: what two files differ in that mean
        different things."""
        values = self.model_dump(mode="json")
        values["benchmark"] = self.benchmark.written_out
        values["variants"] = {name: variant.written_out for name, variant in self.variants.items()}
        return values

    def build_benchmark(self) -> Benchmark:
        """The benchmark, which holds what the study asks of it.

        Raises:
            UserError: an option that the benchmark refuses, or no published numbers where they are the reference.
        """
        benchmark = build_benchmark(self.benchmark.name, **self.benchmark.options)
        check_watched(self.training.selection_rule.metric, benchmark)
        if self.final is not None:
            self.build_final_benchmark()
        if self.reference == "published" and not benchmark.published_stl():
            raise UserError(
                f"The benchmark '{self.benchmark.name}' has no published STL numbers. Set `reference: measured`."
            )
        return benchmark

    def build_final_benchmark(self) -> Benchmark:
        """The benchmark as final runs read it."""
        section = self.final_benchmark
        try:
            benchmark = build_benchmark(section.name, **section.options)
            check_watched(self.final_training.selection_rule.metric, benchmark)
        except UserError as error:
            raise UserError(f"`final`: {error}") from None
        return benchmark

    @property
    def watched(self) -> Watched:
        """How its scores are read; without its benchmark, which another machine may lack, as they are stored."""
        return self.benchmark.watched(self.training.selection_rule.metric)

    def with_data(self, benchmark: Benchmark) -> StudyFile:
        """The study with the identity of the data at hand, see `BenchmarkSection.with_data`."""
        return self.model_copy(update={"benchmark": self.benchmark.with_data(benchmark)})

    def method(self, name: str) -> MethodSection:
        """A registered method with its defaults, or a variant with what it fixes."""
        if name in self.variants:
            return self.variants[name].model_copy(update={"label": name})
        return MethodSection(name=name)

    def configuration(self, method: str, hyperparameters: dict[str, Any] | None = None) -> Configuration:
        """The configuration of a method: its defaults and the study's training options, but for what
        `hyperparameters` says (`lr` is a training option, all else the method's)."""
        fixed = self.method(method)
        chosen = nested(hyperparameters or {})
        lr = chosen.pop("lr", self.training.lr)
        return Configuration(
            benchmark=self.benchmark,
            method=MethodSection(name=fixed.name, label=fixed.label, **{**fixed.options, **chosen}),
            training=replace(self.training, lr=lr),
        )

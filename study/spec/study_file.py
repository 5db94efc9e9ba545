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
from study.spec.configuration import BenchmarkSection, Configuration, MethodSection, Training
from study.spec.run_sections import SINGLE_TASK, Final, MeasuredReference, Resources, Seeds
from study.spec.search_sections import Budget, Scheduler, Search
from study.spec.sections import Kept, Name, is_name, nested

Budgeted = Literal["search", "final"]
"""The stages that have a budget of their own."""


def fixed_label(method: str) -> str:
    """What the fixed weights of a method are called."""
    return f"{method}-fixed"


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
        if len(set(self.fixed_weights)) < len(self.fixed_weights):
            raise UserError(f"`fixed_weights` must name each method once, found {', '.join(self.fixed_weights)}.")
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

"""What a study and a frozen configuration say: their sections, validated before anything starts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from inspect import Parameter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from go4align.benchmarks.base import Benchmark
from go4align.benchmarks.registry import benchmark_class, benchmark_options, build_benchmark, check_options
from go4align.errors import UserError, unknown_name
from go4align.training import ANYWHERE, TrainingOptions, Watched, check_watched, watched_by
from go4align.weighting.registry import build_weighting, hyperparameters, provenance
from study.spec.sections import Kept, Name, Section, digest

_LARGEST_SEED = 2**63 - 1
_LATER = ("compile", "channels_last", "processes")
_DEFAULTS = {field.name: field.default for field in fields(TrainingOptions)}


def _training(found: Any, info: ValidationInfo) -> TrainingOptions:
    """Training options check themselves, as strictly as a section; what they leave out is the benchmark's protocol."""
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
    benchmark = info.data.get("benchmark")  # None where that section is at fault, which is told beside this
    protocol = vars(benchmark_class(benchmark.name).protocol) if benchmark else {}
    return TrainingOptions(**{**protocol, **found})


Training = Annotated[TrainingOptions, BeforeValidator(_training)]
"""Stands after `benchmark` in a section."""


class Named(BaseModel):
    """A registered thing and its options, written flat: `{name: go4align, n_groups: 5}`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The options that were given."""
        return dict(self.model_extra or {})

    @property
    def settings(self) -> dict[str, Any]:
        """All options: those given, and the others at their defaults."""
        chosen = {**self._known_options(), **self.options}
        return {key: value for key, value in chosen.items() if value is not Parameter.empty}

    @property
    def written_out(self) -> dict[str, Any]:
        """Name and settings: alike for sections that mean the same, whatever they leave to the defaults."""
        return {"name": self.name, **self.settings}

    @abstractmethod
    def _known_options(self) -> Mapping[str, Any]:
        """The registered thing's options and their defaults; `Parameter.empty` for those without one."""


class BenchmarkSection(Named):
    """A benchmark and its options.

    Attributes:
        data_digest: of the data, see `Benchmark.data_digest`: runs on other data are other runs. Commands that train
            fill it in; None before that, and for data that the options decide.
        provenance: of a benchmark or network of another package: which version, see `Benchmark.provenance`. Filled in
            at the same time.
    """

    data_digest: str | None = Field(default=None, exclude_if=lambda digest: digest is None)

    provenance: str | None = Field(default=None, exclude_if=lambda provenance: provenance is None)

    @property
    def written_out(self) -> dict[str, Any]:
        known = {"data_digest": self.data_digest, "provenance": self.provenance}
        return {**super().written_out, **{key: value for key, value in known.items() if value is not None}}

    def watched(self, metric: str, *, reference: bool = True) -> Watched:
        """How scores of `metric` are read; as they are stored, where this machine lacks the benchmark."""
        try:
            benchmark = None if metric in ANYWHERE else build_benchmark(self.name, **self.options)
        except UserError:
            return Watched(metric)
        return watched_by(metric, benchmark, reference=reference)

    def with_data(self, benchmark: Benchmark) -> BenchmarkSection:
        """The section with the identity of the data at hand.

        Args:
            benchmark: of this section; prepared, or it is now.

        Raises:
            UserError: the data are not on this machine, or others than the section names.
        """
        found = benchmark.data_digest
        if self.data_digest not in (None, found):
            raise UserError(
                f"The data of '{self.name}' must have the digest {self.data_digest}, found {found} here. Bring "
                f"the right ones with `study data {self.name} --root DIR --again`, or begin anew with these."
            )
        provenance = benchmark.provenance or None
        if self.provenance not in (None, provenance):
            raise UserError(
                f"'{self.name}' must come from {self.provenance}, found {provenance} here. Install the same version."
            )
        return self.model_copy(update={"data_digest": found, "provenance": provenance})

    @model_validator(mode="after")
    def _check(self) -> BenchmarkSection:
        check_options(self.name, self.options)
        return self

    def _known_options(self) -> Mapping[str, Any]:
        return benchmark_options(self.name)


class MethodSection(Named):
    """A weighting method and its hyperparameters; unnamed ones keep their defaults.

    Attributes:
        label: what a study calls this variant of the method; None where it goes by the method's own name.
        provenance: of a method, indicator or clustering of another package: which version. Filled in where the section
            is written without; None for this project's own.
    """

    label: Name | None = None
    provenance: str | None = Field(default=None, exclude_if=lambda provenance: provenance is None)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, found: Any) -> Any:
        if not isinstance(found, dict) or not isinstance(found.get("name"), str) or found.get("provenance"):
            return found
        known = provenance(found["name"], found)
        return {**found, "provenance": known} if known else found

    @property
    def key(self) -> str:
        """What the study calls it."""
        return self.label or self.name

    @model_validator(mode="after")
    def _check(self) -> MethodSection:
        known = self._known_options()
        for option in self.options:
            if option not in known:
                raise unknown_name(f"hyperparameter of '{self.name}'", option, known)
        return self

    def _known_options(self) -> Mapping[str, Any]:
        return hyperparameters(self.name)

    @property
    def written_out(self) -> dict[str, Any]:
        return {**super().written_out, **({} if self.provenance is None else {"provenance": self.provenance})}

    def check_provenance(self) -> None:
        """Compare the packages that the section names with those of this machine.

        Raises:
            UserError: another version, or another package.
        """
        found = provenance(self.name, self.options)
        if found != (self.provenance or ""):
            raise UserError(
                f"'{self.key}' must come from {self.provenance or 'go4align'}, found {found or 'none'} here. "
                "Install the same version."
            )

    def check(self, task_names: Sequence[str]) -> None:
        """Build the weighting once, so that a wrong hyperparameter shows before anything starts."""
        self.check_provenance()
        build_weighting(self.name, n_tasks=len(task_names), task_names=task_names, **self.options)


class Configuration(Kept):
    """All that decides a run but its seed: what `study best` writes and `study train` and `study final` read."""

    benchmark: BenchmarkSection
    method: MethodSection
    training: Training

    @property
    def key(self) -> str:
        """Its identity: a hash of all that decides a run but its seed, defaults filled in.

        Writing out a default changes nothing, nor does the label under which a study lists the method; nor did adding
        the options of `_LATER`, which older stores do not know.
        """
        training = asdict(self.training)
        for name in [name for name in _LATER if training[name] == _DEFAULTS[name]]:
            del training[name]
        return digest(
            {
                "benchmark": self.benchmark.written_out,
                "method": self.method.written_out,
                "training": training,
            }
        )

    def check(self) -> None:
        """Build the benchmark and the weighting once, so that a wrong option shows before anything starts."""
        benchmark = build_benchmark(self.benchmark.name, **self.benchmark.options)
        check_watched(self.training.selection_rule.metric, benchmark)
        self.method.check(benchmark.task_names)

    def watched(self, *, reference: bool = True) -> Watched:
        """How its scores are read; without its benchmark, which another machine may lack, as they are stored."""
        return self.benchmark.watched(self.training.selection_rule.metric, reference=reference)


class Reference(Section):
    """Single-task metrics by `task/metric` that Delta m is relative to, and where they come from.

    Attributes:
        source: "measured" under the same budget, or "published" (then both splits hold the published test values).
        val, test: metrics per split, means over the reference's seeds.
        method: what was measured, "stl" for single tasks.
        runs: test metrics of each seed, where there are several.
        lrs: the learning rate of each task, or of the method.
        searched_lrs: among how many that was chosen.
        note: what must be known of published numbers.
    """

    source: Literal["measured", "published"]
    val: dict[str, float]
    test: dict[str, float]
    method: str = "stl"
    runs: list[dict[str, float]] = Field(default=[])
    lrs: dict[str, float] = Field(default={})
    searched_lrs: int = 1
    note: str = ""

    @property
    def described(self) -> str:
        """What it is, in a few words."""
        if self.source == "published":
            return f"published: {self.note}" if self.note else "published"
        seeds = f"mean of {len(self.runs)} seeds" if self.runs else "1 seed"
        lr = f"lr the best of {self.searched_lrs}" if self.searched_lrs > 1 else "the study's lr"
        return f"measured: {lr}, {seeds}"

    @property
    def splits(self) -> dict[str, dict[str, float]]:
        return {"val": self.val, "test": self.test}


class BestFile(Section):
    """The file of `study best --out`: configurations, the best one first, with where they come from.

    Attributes:
        tuned_with: of configurations that another study has tuned, that study and its budget, in words.
        lr_factor: of their learning rates, against those that it found.
    """

    study: Name
    reference: Reference
    configurations: Annotated[list[BestConfiguration], Field(min_length=1)]
    tuned_with: str = Field(default="", exclude_if=lambda told: not told)
    lr_factor: float = Field(default=1.0, exclude_if=lambda factor: factor == 1.0)

    @property
    def tuned_by(self) -> str:
        """The study that has tuned them."""
        return self.tuned_with.partition(":")[0] or self.study

    @model_validator(mode="after")
    def _each_once(self) -> BestFile:
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


class BestConfiguration(Configuration):
    """A configuration with the trial, its seed and the score that chose it: the selection rule's value on validation,
    lower is better (the lowest Delta m of an epoch, unless `training.selection` says otherwise). Of fixed weights those
    of the trial that the weights are from."""

    trial: str
    score: float
    seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED)] = 0

"""The sections of a study file that say what its runs take, with which seeds, and how final ones differ."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from go4align.errors import UserError
from study.spec.configuration import _LARGEST_SEED
from study.spec.sections import Section

SINGLE_TASK = "stl"
_FINEST = 0.0001
"""The smallest share of a CPU or GPU that Ray hands out."""


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

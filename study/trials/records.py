"""A trial, and what came out of it. Plain values, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from study.spec.configuration import Configuration
from study.trials.scores import Metrics

Stage = Literal["reference", "search", "final", "grouping"]
Origin = Literal["default", "proposed", "tuned", "reference", "grouping"]
Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Trial:
    """What is to be run.

    Attributes:
        id: unique within the study, the same in Tune, Optuna and MLflow.
        stage: single-task reference, search, final run, or test of grouping.
        configuration: all that decides the run but its seed.
        seed: of initialisation, shuffling and everything random.
        origin: of the hyperparameters: the defaults, proposed by the search, or tuned; or which other stage asked.
        reference: validation and test metrics of single-task learning by split and `task/metric`, for Delta m;
            empty for the reference runs themselves.
        test: whether the test split is read, when the selection rule says (reference and final runs only).
        keep_network: whether the network that was selected is kept.
    """

    id: str
    stage: Stage
    configuration: Configuration
    seed: int
    origin: Origin = "proposed"
    reference: Mapping[str, Metrics] = field(default_factory=dict)
    test: bool = False
    keep_network: bool = False

    @property
    def method(self) -> str:
        return self.configuration.method.key


@dataclass(frozen=True)
class TrialResult:
    """What came out.

    Attributes:
        status: "finished"; "stopped" by the scheduler; or "failed" with a `reason`.
        score: the selection rule's value on validation, lower is better: by default the lowest Delta m of an epoch in
            percent, or the lowest loss of the task for a reference run.
        metrics: `split/task/metric`, `split/delta_m` and `split/median_change` of what the rule selected (the best
            epoch's model, or means over the last epochs), and `epoch_s`, the median seconds of an epoch.
        epochs, seconds: trained epochs, and the wall-clock seconds of those that count (not what a kill cost).
        reason: why it failed, one line; `details` holds the traceback.
        warnings: what solvers and checkpoints warned of, each once.
        peak_host_mib, peak_device_mib: the most memory that it took, see `study.trials.memory`; of a trial that went on
            after a kill, in any of its parts. None where it was not measured. Results that differ in nothing else are
            equal.
        network_mib: the size of the network that was kept, see `study.trials.networks`; None where none was.
    """

    trial: str
    status: Status
    score: float | None = None
    metrics: Metrics = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    details: str = ""
    warnings: tuple[str, ...] = ()
    peak_host_mib: float | None = field(default=None, compare=False)
    peak_device_mib: float | None = field(default=None, compare=False)
    network_mib: float | None = field(default=None, compare=False)

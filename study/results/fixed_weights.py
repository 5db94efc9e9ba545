"""Does anything adaptive beat constants? A method's mean weights, trained with as fixed ones."""

from __future__ import annotations

from go4align.errors import UserError
from study.results.frames import Outcome
from study.spec.configuration import BestConfiguration, MethodSection
from study.spec.study_file import fixed_label
from study.store.epochs import read_epochs

LEAST = 1e-9
"""Of a share: `static` takes positive factors, and so little is none."""


def with_fixed_weights(tuned: BestConfiguration, outcome: Outcome, uri: str) -> BestConfiguration:
    """A method's best configuration of the search, with the mean of its weights over that trial in the method's place.

    Learning rate and training are its own, so the two differ in nothing but whether the weights adapt. They are those
    of a search trial, never of a final seed.

    Args:
        tuned: the method's configuration.
        outcome: of its trial.
        uri: the store, which keeps the trial's epochs.

    Returns:
        `static` whose factors are the tasks' shares of an epoch's weights, their mean over epochs; with the trial and
        score of `tuned`. (Not the means of the weights: their sum may grow by powers of ten as losses fall, and then
        the last epochs would be all that counts.)

    Raises:
        UserError: the trial's epochs cannot be read.
    """
    try:
        epochs, _ = read_epochs(outcome.artifacts, uri)
    except Exception as error:  # MLflow, its stores of artifacts and pyarrow each have their own
        raise UserError(
            f"The weights of '{tuned.method.key}' that `fixed_weights` asks for must be in the tracking store, found "
            f"none of its best trial {outcome.trial} ({' '.join(str(error).split())[:200]}). Bring them with "
            "`study sync`, or remove `fixed_weights`."
        ) from None
    weights = epochs[epochs["quantity"] == "train/weight"].pivot(index="epoch", columns="task", values="value")
    shares = weights.div(weights.sum(axis=1), axis=0).mean()
    factors = {str(task): max(float(share), LEAST) for task, share in shares.items()}
    method = MethodSection(name="static", label=fixed_label(tuned.method.key), power=0.0, factors=factors)
    return BestConfiguration(
        benchmark=tuned.benchmark,
        method=method,
        training=tuned.training,
        trial=tuned.trial,
        seed=tuned.seed,
        score=tuned.score,
    )

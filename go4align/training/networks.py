"""A network made quicker, its parameters left as they are."""

from __future__ import annotations

import torch

from go4align.models.base import MultiTaskModel
from go4align.training.options import TrainingOptions


def prepared_network(model: MultiTaskModel, options: TrainingOptions) -> MultiTaskModel:
    """The network as it is trained and evaluated, with the `state_dict` that it had.

    Encoder and heads are compiled each by itself, as the training step calls them, so that a method may look at the
    representation between them.

    Args:
        model: on its device.
        options: what of `compile` and `channels_last` is asked for.
    """
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own stub lacks it
    if options.compile:
        for part in ("encode", "decode"):
            setattr(model, part, torch.compile(getattr(model, part)))
    return model

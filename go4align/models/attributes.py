"""The network of the CelebA benchmark: seven convolutions, and one linear head for all attributes.

The network of FAMO (Liu et al., NeurIPS 2023), which GO4Align trains, too: 3 x 3 convolutions without offset, each with
BatchNorm and ReLU, of 64 | 128, 128 | 256, 256 | 512, 512 channels with max-pooling between the groups; the mean over
all places; two linear layers of 512 with BatchNorm and ReLU. 5,197,160 parameters for 40 attributes, 20,520 of them in
the heads. The published code has 40 heads of one output and a sigmoid in each; one head of 40 outputs is the same in
one product, and gives logits, whose loss keeps its gradient where a sigmoid rounds to 0 or 1.
"""

from typing import Any

from torch import Tensor, nn

from go4align.models.base import MultiTaskModel

GROUPS = ((64,), (128, 128), (256, 256), (512, 512))


class AttributeNetwork(MultiTaskModel):
    """Images [B, 3, H, W] -> a logit for each attribute [B, M].

    Args:
        n_tasks: M attributes.
        width: factor of all channels; 1 as published.
    """

    def __init__(self, n_tasks: int, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 3
        for number, group in enumerate(GROUPS):
            layers += [nn.MaxPool2d(2)] if number else []
            for channels in group:
                n_out = max(1, round(channels * width))
                layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
                n_in = n_out
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        for _ in range(2):
            layers += [nn.Linear(n_in, n_in, bias=False), nn.BatchNorm1d(n_in), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.heads = nn.Linear(n_in, n_tasks)

    def encode(self, batch: Any) -> Tensor:
        """Features [B, 512 width] of `batch.images` [B, 3, H, W]."""
        features: Tensor = self.encoder(batch.images)
        return features

    def decode(self, representation: Any) -> Tensor:
        """Logits [B, M]."""
        logits: Tensor = self.heads(representation)
        return logits

    def shared_parameters(self) -> list[nn.Parameter]:
        """The encoder's."""
        return list(self.encoder.parameters())

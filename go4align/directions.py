"""Lengths and directions of vectors whose components are an image's channels."""

from torch import Tensor

_SHORTEST = 1e-12
"""As of `torch.nn.functional.normalize`, so that zero vectors stay zero, and have a gradient."""


def lengths(vectors: Tensor) -> Tensor:
    """[B, 1, H, W] of [B, C, H, W].

    `torch.linalg.vector_norm` over so short a dimension takes 30 times as long on a CPU.
    """
    return vectors.square().sum(1, keepdim=True).sqrt()


def unit(vectors: Tensor) -> Tensor:
    """Of length 1, [B, C, H, W]; zero vectors stay zero."""
    return vectors / vectors.square().sum(1, keepdim=True).clamp(min=_SHORTEST**2).sqrt()

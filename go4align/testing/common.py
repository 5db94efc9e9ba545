"""What all checks share: how a broken contract is told, and how states are compared."""

import copy
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from go4align.errors import UserError

Require = Callable[[bool, str, object], None]


class BrokenContractError(AssertionError):
    """A part does not keep the contract: what was required, and what was found."""


def requirement(kind: str) -> Require:
    """A function of whether the contract of a kind of parts is kept, what it requires, and what was found."""

    def require(kept: bool, required: str, found: object) -> None:
        if not kept:
            article = "An" if kind[0] in "aeiou" else "A"
            raise BrokenContractError(f"{article} {kind}'s contract requires {required}; found {str(found)[:200]}.")

    return require


def refusal(call: Callable[[], object]) -> str:
    """The message of the `UserError` that a call ends in; "" where it ends without."""
    try:
        call()
    except UserError as error:
        return str(error)
    return ""


def here(tensor: Tensor) -> Tensor:
    """The tensor on torch's default device, where the checks run."""
    return tensor.to(torch.get_default_device())


def state_of(part: nn.Module) -> dict[str, Any]:
    """A copy of all that a part keeps."""
    return copy.deepcopy(part.state_dict())


def saved(state: Any) -> bytes:
    """As `torch.save` writes it."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def loaded(state: bytes) -> Any:
    """As `torch.load` reads it, no code in it."""
    return torch.load(io.BytesIO(state), weights_only=True)


def same(found: Any, expected: Any) -> bool:
    """Whether two nests of tensors and plain values are equal bit for bit, NaN equal to NaN."""
    if isinstance(expected, Tensor):
        alike = isinstance(found, Tensor) and found.dtype == expected.dtype and found.shape == expected.shape
        return alike and torch.equal(found.nan_to_num(), expected.nan_to_num()) and _same_nans(found, expected)
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(same(found[key], value) for key, value in expected.items())
    if isinstance(expected, Sequence) and not isinstance(expected, str | bytes):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == expected)


def _same_nans(found: Tensor, expected: Tensor) -> bool:
    return torch.equal(found.isnan(), expected.isnan())


def near(found: Tensor, expected: Tensor, rtol: float, atol: float = 0.0) -> bool:
    """Whether two tensors agree to a relative or absolute error."""
    return found.shape == expected.shape and torch.allclose(found.double(), expected.double(), rtol=rtol, atol=atol)

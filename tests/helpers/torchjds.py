"""TorchJD's methods, built where what they need is installed."""

from typing import Any

import pytest

from go4align import UserError, build_weighting


def built(name: str, n_tasks: int = 3, **options: Any) -> Any:
    """The method; a test of one whose packages are not here is skipped, and says which."""
    try:
        return build_weighting(name, n_tasks, **options)
    except UserError as error:
        if "needs packages" in str(error):
            pytest.skip(str(error))
        raise

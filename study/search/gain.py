"""What further trials of a search are expected to bring."""

import math
from collections.abc import Sequence


def expected_gain(scores: Sequence[float], trials: int) -> float | None:
    """By how much further trials are expected to lower the best score, were they like those that there are.

    The mean, over all orders in which the scores could have come, of what the last `trials` of them brought: trials are
    taken as drawn from one distribution. A sampler that learns does better, and the next trials find a better best to
    beat than the last ones did. It errs to the side of going on, much so with fewer than twice as many scores as
    `trials` (docs/search.md has both beside each other).

    With scores s_1 <= ... <= s_n and m = n - trials, the best of m of them is s_j with probability
    C(n - j, m - 1) / C(n, m), and the gain is the mean of that less s_1.

    Args:
        scores: of complete trials, lower is better.
        trials: how many further ones.

    Returns:
        The gain, not negative; None where there are not more scores than that.
    """
    known = sorted(score for score in scores if math.isfinite(score))
    n = len(known)
    m = n - trials
    if m < 1 or trials < 1:
        return None
    ways = math.comb(n, m)
    return math.fsum(score * (math.comb(n - j, m - 1) / ways) for j, score in enumerate(known, 1)) - known[0]

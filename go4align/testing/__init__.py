"""The contracts of anyone's own parts as checks that run in anyone's own tests.

All at once, or each with its name in pytest's report:

    from go4align.testing import WEIGHTING_CHECKS, check_weighting

    def test_it_keeps_the_contract():
        check_weighting(MyWeighting)

    @pytest.mark.parametrize("check", WEIGHTING_CHECKS)
    def test_contract(check):
        WEIGHTING_CHECKS[check](MyWeighting)

| part | checks | called with |
|---|---|---|
| a benchmark | `check_benchmark`, `BENCHMARK_CHECKS` | the class, whose `small()` is trained on the CPU, in seconds |
| a weighting | `check_weighting`, `WEIGHTING_CHECKS` | the class, or `functools.partial(MyWeighting, option=3)` |
| an indicator | `check_indicator`, which checks the weighting first; `INDICATOR_CHECKS` are those beside | the same |
| a grouping | `check_grouping`, `GROUPING_CHECKS` | the same |

Our own parts are held to them, too (docs/own-parts.md, docs/own-benchmark.md).
"""

from go4align.testing.benchmarks import BENCHMARK_CHECKS, check_benchmark
from go4align.testing.common import BrokenContractError
from go4align.testing.groupings import GROUPING_CHECKS, check_grouping
from go4align.testing.indicators import INDICATOR_CHECKS, check_indicator
from go4align.testing.weightings import WEIGHTING_CHECKS, check_weighting

__all__ = [
    "BENCHMARK_CHECKS",
    "GROUPING_CHECKS",
    "INDICATOR_CHECKS",
    "WEIGHTING_CHECKS",
    "BrokenContractError",
    "check_benchmark",
    "check_grouping",
    "check_indicator",
    "check_weighting",
]

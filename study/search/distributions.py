"""A search space in Optuna's terms."""

from collections.abc import Mapping

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from study.spec.configuration import MethodSection
from study.spec.search_space import Choice, Range, SearchSpace

Distributions = Mapping[str, BaseDistribution]


def distributions(space: SearchSpace, method: MethodSection) -> dict[str, BaseDistribution]:
    """What is searched for a method, by hyperparameter."""
    return {key: distribution(parameter) for key, parameter in space.parameters(method).items()}


def distribution(parameter: Range | Choice) -> BaseDistribution:
    """What is searched for one hyperparameter."""
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.choices)
    if parameter.type == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)

"""What the solvers of gradient-oriented methods share: the scaled Gramian, and one small exact quadratic program.

Gradients of tasks differ in length by orders of magnitude, and a Gramian squares that. Every solver therefore works on
unit rows: with s_i = |g_i| and x_i = s_i w_i, sum(w_i g_i) = sum(x_i g_i / s_i), whose Gramian has a diagonal of ones.
"""

import math
import warnings
from typing import NamedTuple, SupportsFloat

import numpy

from go4align.arrays import Indices, Mask, Matrix, Vector
from go4align.errors import SolverWarning

EPSILON = float(numpy.finfo(numpy.float64).eps)
DEPENDENT = 1e-14
"""Squared distance of a unit row from the span of others below which it depends on them, up to rounding."""


class UnitRows(NamedTuple):
    """The tasks whose gradient is not zero, at unit length.

    Attributes:
        tasks: [m] int, their indices among all M tasks.
        norms: [m], the gradients' lengths.
        cosines: [m, m], the Gramian of the gradients divided by their lengths.
    """

    tasks: Indices
    norms: Vector
    cosines: Matrix


def unit_rows(gramian: Matrix) -> UnitRows:
    """Split a Gramian [M, M] into lengths and cosines; rows of length zero are left out."""
    norms = numpy.sqrt(numpy.maximum(gramian.diagonal(), 0.0))
    tasks = norms.nonzero()[0]
    norms = norms[tasks]
    cosines = gramian[numpy.ix_(tasks, tasks)] / norms / norms[:, None]
    numpy.fill_diagonal(cosines, 1.0)
    return UnitRows(tasks, norms, cosines)


def root(square: SupportsFloat) -> float:
    """The square root of what is not negative but for rounding."""
    return math.sqrt(max(float(square), 0.0))


def spread(values: Vector, tasks: Indices, n_tasks: int) -> Vector:
    """[M]: the values of the tasks, zero for the others."""
    whole = numpy.zeros(n_tasks)
    whole[tasks] = values
    return whole


def nonnegative_minimum(quadratic: Matrix, linear: Vector) -> Vector:
    r"""Minimise u' Q u / 2 + b' u over u >= 0 by the active-set method of Lawson and Hanson (1974, chapter 23).

    Steps end on the exact minimiser of a face, so the result is right to rounding once the right face is found.

    Args:
        quadratic: Q [m, m], symmetric and positive semidefinite, with a diagonal of order one.
        linear: b [m]; the minimum must exist (it does if Q is definite).
    """
    size = len(linear)
    point = numpy.zeros(size)
    free = numpy.zeros(size, bool)
    refused = numpy.zeros(size, bool)
    magnitude = numpy.abs(quadratic)
    for _ in range(20 * size + 20):
        slope = quadratic @ point + linear
        noise = 1e-13 * numpy.abs(linear) + 4 * EPSILON * (magnitude @ point)
        entering = ~free & ~refused & (slope < -noise)
        if not entering.any():
            break
        newest = int(numpy.where(entering, slope, 0.0).argmin())
        part = face_minimum(quadratic, quadratic[newest], free)
        if quadratic[newest, newest] + quadratic[newest] @ part < DEPENDENT:
            refused[newest] = True
            continue
        free[newest] = True
        target = face_minimum(quadratic, linear, free)
        if target[newest] <= 0.0:
            free[newest] = False
            refused[newest] = True
            continue
        refused[:] = False
        point = _walk(quadratic, linear, point, target, free)
    return point


def face_minimum(quadratic: Matrix, linear: Vector, free: Mask) -> Vector:
    """[m]: the minimiser if entries outside `free` are zero and the others of any sign."""
    chosen = free.nonzero()[0]
    found = numpy.zeros(len(linear))
    face = quadratic[numpy.ix_(chosen, chosen)]
    try:
        solved = numpy.linalg.solve(face, -linear[chosen])
        solved += numpy.linalg.solve(face, -linear[chosen] - face @ solved)
    except numpy.linalg.LinAlgError:
        solved = numpy.linalg.lstsq(face, -linear[chosen], rcond=None)[0]
    found[chosen] = solved
    return found


def _walk(quadratic: Matrix, linear: Vector, point: Vector, target: Vector, free: Mask) -> Vector:
    """Go from `point` to the minimiser of its face, leaving `free` variables at the bounds on the way."""
    while (target[free] <= 0.0).any():
        blocking = free & (target <= 0.0)
        shares = point[blocking] / (point[blocking] - target[blocking])
        point = point + shares.min() * (target - point)
        free[blocking.nonzero()[0][shares <= shares.min()]] = False
        point[~free] = 0.0
        target = face_minimum(quadratic, linear, free)
    return target


def minimum_norm_point(gramian: Matrix) -> Vector:
    """w [M] >= 0 of sum 1 with the least w' G w.

    With unit rows x_m = s_m w_m the sum is a weighted one: sum(x_m / s_m) = 1. Wolfe's algorithm adds that row to the
    gradients (his equation 8), which leaves a problem with x >= 0 only, whose solution is the wanted one but for scale.
    Tasks whose gradient is zero share the weight, if there are any.
    """
    rows = unit_rows(gramian)
    if len(rows.tasks) < len(gramian):
        zero = numpy.ones(len(gramian))
        zero[rows.tasks] = 0.0
        zero /= zero.sum()
        return zero
    shortest: Vector = rows.norms.min() / rows.norms
    lengths = nonnegative_minimum(rows.cosines + numpy.outer(shortest, shortest), -shortest)
    return shortest * _refined(rows.cosines, shortest, lengths / (lengths @ shortest))


def _refined(cosines: Matrix, shortest: Vector, lengths: Vector) -> Vector:
    """One Newton step on the face, without the row that `minimum_norm_point` adds: that row loses digits to it."""
    chosen = lengths.nonzero()[0]
    bound = shortest[chosen] / shortest[chosen].max()
    system = numpy.block([[cosines[numpy.ix_(chosen, chosen)], bound[:, None]], [bound, numpy.zeros(1)]])
    slope = numpy.append(-(cosines @ lengths)[chosen], 0.0)
    change = numpy.linalg.lstsq(system, slope, rcond=None)[0][:-1]
    better = lengths.copy()
    better[chosen] = numpy.maximum(better[chosen] + change, 0.0)
    better /= better @ shortest
    return better if better @ cosines @ better < lengths @ cosines @ lengths else lengths


def warn_unsolved(method: str, n_tasks: int, residual: float, condition: str) -> None:
    """Say that a solver missed its condition; the best point it found is used."""
    warnings.warn(
        f"{method} with {n_tasks} tasks: {condition}; the residual is {residual:.1e}. The weights of this step are the "
        "best that were found.",
        SolverWarning,
        stacklevel=2,
    )

"""K-means as a semidefinite program (Peng and Wei, SIAM J. Optimization 18, 2007; Tepper et al., JMLR 19, 2018)."""

import warnings
from typing import Any

import numpy

from go4align.arrays import Indices, Vector
from go4align.errors import SolverWarning, UserError
from go4align.grouping.base import Space
from go4align.grouping.exact_kmeans import solve
from go4align.grouping.on_host import HostGrouping

ITERATIONS = 20_000
"""Of SCS at most."""
TOLERANCE = 1e-5
"""Of SCS, absolute and relative, on distances scaled to at most 1."""


class SemidefiniteKMeans(HostGrouping):
    r"""min <D, Z> over Z >= 0 and positive semidefinite with Z 1 = 1, trace Z = K; D the squared distances.

    K-means itself has the further condition Z^2 = Z; then Z_ij = 1 / (size of the group) for tasks in one group.
    Without it Z x is each task's indicator moved towards its group's mean, and the exact K-means of Z x gives exactly K
    groups: rounding as by Mixon, Villar and Ward (2017). In one dimension "exact" solves the unrelaxed problem in
    microseconds; this one is here to compare with. Solved by SCS through cvxpy (extra `sdp`); a solution that SCS
    itself does not hold for optimal gives a `SolverWarning`.
    """

    def __init__(self, n_tasks: int, n_groups: int | str = "auto", *, space: Space = "linear", seed: int = 0) -> None:
        super().__init__(n_tasks, n_groups, space=space, seed=seed)
        try:
            import cvxpy  # noqa: F401
            import scs  # noqa: F401
        except ImportError as error:
            raise UserError('clustering="sdp" needs the extra `sdp`: pip install "go4align-study[sdp]"') from error
        self._program: tuple[Any, Any, Any, Any] | None = None

    def _label(self, values: Vector, n_groups: int) -> Indices:
        unit = (values - values.min()) / numpy.ptp(values)
        averaging = self._solve((unit[:, None] - unit) ** 2, n_groups)
        labels: Indices = solve(averaging @ unit, n_groups, logarithmic=False)[0]
        return labels

    def _solve(self, distances: Vector, n_groups: int) -> Vector:
        import cvxpy

        if self._program is None:  # compiled once, solved with other numbers at every step
            self._program = _program(len(distances))
        problem, matrix, given, count = self._program
        given.value = distances
        count.value = float(n_groups)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cvxpy's own: replaced by the one below
            problem.solve(
                solver=cvxpy.SCS, eps_abs=TOLERANCE, eps_rel=TOLERANCE, max_iters=ITERATIONS, warm_start=False
            )
        if problem.status != cvxpy.OPTIMAL or matrix.value is None:
            message = (
                f"sdp with {self.n_tasks} tasks: SCS ended with status '{problem.status}', required '{cvxpy.OPTIMAL}'"
            )
            warnings.warn(message + ".", SolverWarning, stacklevel=2)
        return numpy.eye(len(distances)) if matrix.value is None else numpy.asarray(matrix.value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_program": None}  # compiled anew where it is copied to


def _program(size: int) -> tuple[Any, Any, Any, Any]:
    import cvxpy

    matrix = cvxpy.Variable((size, size), PSD=True)
    given = cvxpy.Parameter((size, size))
    count = cvxpy.Parameter()
    conditions = [matrix >= 0, cvxpy.sum(matrix, axis=1) == 1, cvxpy.trace(matrix) == count]
    return cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(cvxpy.multiply(given, matrix))), conditions), matrix, given, count

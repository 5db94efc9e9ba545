r"""Spectral clustering of the tasks' gradients (normalised cuts: Shi and Malik 2000; von Luxburg 2007).

Two tasks are as near as their gradients' directions: the affinity is A_ij = max(0, cos(g_i, g_j)), so that conflicting
tasks have none, and A_ii = 1, a task's affinity to itself. Groups are read off the leading eigenvectors of
N = D^{-1/2} A D^{-1/2}, D the row sums of A, by the pivoted QR factorisation (Damle, Minden and Ying, Information and
Inference 8, 2019), which draws no numbers.

scikit-learn's spectral clustering sets A_ii = 0, so that only ratios of affinities count, and two almost orthogonal
tasks are as good a pair as two aligned ones. Cosines have a scale of their own, which A_ii = 1 keeps.
"""

import numpy

from go4align.arrays import Indices, Matrix, Vector
from go4align.checks import GroupCount
from go4align.grouping.by_gradients import GradientGrouping


class GradientAffinity(GradientGrouping):
    r"""Puts tasks whose gradients point the same way into one group; see the module.

    "auto" takes the number of groups from the largest gap between the ascending eigenvalues of I - N (von Luxburg,
    Statistics and Computing 17, 2007, section 8.3). The gap after the last one is that to 1, their value inside a group
    of equal directions: K orthogonal groups of such tasks give K, orthogonal or conflicting tasks give M, and two tasks
    are one group from a cosine of 1/3 on. The smallest K wins a tie.

    Arguments: see `GradientGrouping`; nothing is drawn, so `seed` is of no effect.
    """

    def _label(self, cosines: Matrix, n_groups: GroupCount) -> Indices:
        affinity = cosines.clip(0.0)
        numpy.fill_diagonal(affinity, 1.0)
        scale = 1.0 / numpy.sqrt(affinity.sum(1))
        values, vectors = numpy.linalg.eigh(scale[:, None] * affinity * scale)
        count = eigengap(1.0 - values[::-1]) if n_groups == "auto" else n_groups
        return pivoted_labels(vectors[:, -count:])


def eigengap(ascending: Vector) -> int:
    """The number of eigenvalues before the largest gap, that between the last one and 1 among them."""
    gaps = numpy.diff(ascending, append=1.0)
    return int((gaps > gaps.max() - 1e-9).argmax()) + 1


def pivoted_labels(vectors: Matrix) -> Indices:
    """[M]: of the K tasks whose rows of the eigenvectors [M, K] span them best, the one that a task is nearest to.

    Those rows, made orthogonal by their polar factor, are the axes that the groups lie along.
    """
    left = vectors.copy()
    chosen = []
    for _ in range(vectors.shape[1]):
        chosen.append(int((left**2).sum(1).argmax()))
        axis = left[chosen[-1]] / numpy.linalg.norm(left[chosen[-1]])
        left -= numpy.outer(left @ axis, axis)
    u, _, v = numpy.linalg.svd(vectors[chosen].T)
    labels: Indices = numpy.abs(vectors @ (u @ v)).argmax(1)
    return labels

"""Spectral clustering by scikit-learn (Shi and Malik, 2000), with labels by the deterministic cluster_qr."""

import numpy

from go4align.arrays import Indices, Vector
from go4align.errors import UserError
from go4align.grouping.base import Space
from go4align.grouping.on_host import HostGrouping


class Spectral(HostGrouping):
    """Cuts the graph of tasks whose edges are exp(-d^2 / (2 sigma^2)), d the distance of two indicators.

    sigma is the standard deviation of the step's indicators, so that only their ratios matter; scikit-learn's own
    default (sigma^2 = 1/2) would join or part all tasks at once, depending on the indicators' size. Labels come from
    the pivoted QR of the eigenvectors (Damle, Minden and Ying, 2019), which draws no numbers; `seed` starts the
    eigensolver. scikit-learn comes with the extra `clusterings`.
    """

    def __init__(self, n_tasks: int, n_groups: int | str = "auto", *, space: Space = "linear", seed: int = 0) -> None:
        super().__init__(n_tasks, n_groups, space=space, seed=seed)
        try:
            import sklearn  # noqa: F401
        except ImportError as error:
            need = 'clustering="spectral" needs the extra `clusterings`'
            raise UserError(f'{need}: pip install "go4align-study[clusterings]"') from error

    def _label(self, values: Vector, n_groups: int) -> Indices:
        from sklearn.cluster import SpectralClustering

        distances = numpy.subtract.outer(values, values) / values.std()
        model = SpectralClustering(
            n_groups, affinity="precomputed", assign_labels="cluster_qr", random_state=self.seed % 2**32
        )
        return numpy.asarray(model.fit_predict(numpy.exp(-0.5 * distances**2)), numpy.intp)

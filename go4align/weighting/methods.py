"""The methods that stand on their own. A new one is one file and one line here.

`registry` adds GO4Align, which can take any of these as its indicator.
"""

from go4align.weighting.base import Weighting
from go4align.weighting.cagrad import CAGrad
from go4align.weighting.dwa import DWA
from go4align.weighting.equal import EqualWeighting
from go4align.weighting.famo import FAMO
from go4align.weighting.grad_drop import GradDrop
from go4align.weighting.imtl_g import IMTLG
from go4align.weighting.mgda import MGDA
from go4align.weighting.nash_mtl import NashMTL
from go4align.weighting.pcgrad import PCGrad
from go4align.weighting.random import RandomWeighting
from go4align.weighting.scale_invariant import ScaleInvariant
from go4align.weighting.single_task import SingleTask
from go4align.weighting.uncertainty import UncertaintyWeighting

PLAIN_METHODS: dict[str, type[Weighting]] = {
    "ls": EqualWeighting,
    "si": ScaleInvariant,
    "rlw": RandomWeighting,
    "dwa": DWA,
    "uw": UncertaintyWeighting,
    "famo": FAMO,
    "mgda": MGDA,
    "pcgrad": PCGrad,
    "cagrad": CAGrad,
    "imtl_g": IMTLG,
    "grad_drop": GradDrop,
    "nash_mtl": NashMTL,
    "stl": SingleTask,
}

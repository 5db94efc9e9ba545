"""Ray: the cluster, and the trials on it. Nothing else imports Ray but `study.cluster`."""

from study.tuning.connection import check_resources, ray_session
from study.tuning.driver import Listener
from study.tuning.trials import run_trials

__all__ = ["Listener", "check_resources", "ray_session", "run_trials"]

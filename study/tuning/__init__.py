"""Ray: the cluster, and the trials on it. Nothing else imports Ray but `study.cluster`."""

from study.tuning.cluster import ask_for_room, check_resources, ray_session
from study.tuning.pool import run_trials

__all__ = ["ask_for_room", "check_resources", "ray_session", "run_trials"]

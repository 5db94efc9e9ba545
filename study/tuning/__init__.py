"""Ray: the cluster, and the trials on it. Nothing else imports Ray but `study.cluster`."""

from study.tuning.connection import ask_for_room, check_resources, ray_session
from study.tuning.driver import Listener
from study.tuning.trials import run_trials

__all__ = ["Listener", "ask_for_room", "check_resources", "ray_session", "run_trials"]

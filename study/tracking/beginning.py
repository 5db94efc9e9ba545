"""What a run of a study was begun with: who goes on with it goes on with that, too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from go4align.errors import UserError
from study.store.client import connect
from study.tracking.events import JournalledRun

_SPENT = ("wall_s", "trial_s")
_KEPT = ("study_file", "study_hash", "space_hash")
"""Tags that say what a run is made from."""


@dataclass(frozen=True)
class Beginning:
    """A run of a study before the session that goes on with it.

    Attributes:
        tags: of its parent run.
        source: its study file's text; empty where only the store has it.
        before: the seconds that were spent on it on other machines (`wall_s`, `trial_s`).
        search_status: how its search ended.
    """

    tags: Mapping[str, str]
    source: str
    before: Mapping[str, float]
    search_status: str

    def kept(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What a session's study file and search space store, replaced by what the run is made from."""
        tags = {key: value for key in _KEPT if (value := self.tags.get(key))}
        return {**data, "tags": {**data["tags"], **tags}, "source": self.source or data["source"]}


def journalled(run: JournalledRun) -> Beginning:
    """As this machine's journal has it, which knows a run that was begun or resumed here."""
    data = run.reopened.data if run.reopened else {}
    return Beginning(data.get("tags", {}), data.get("source", ""), run.before, run.search_status)


def stored(study: str, study_run: str, uri: str) -> Beginning:
    """As the tracking store has it, of a run that only other machines know.

    Raises:
        UserError: the store does not answer, or has no such run.
    """
    client = connect(uri)
    experiment = client.get_experiment_by_name(study)
    query = f"tags.study_run = '{study_run}'"
    found = client.search_runs([experiment.experiment_id], query) if experiment else []
    if not found:
        raise UserError(
            f"Neither this machine nor the tracking store has the run {study_run} of the study '{study}'. Is it in "
            "another store? --tracking-uri names it."
        )
    tags = found[0].data.tags
    before = {key: found[0].data.metrics.get(key, 0.0) for key in _SPENT}
    return Beginning(tags, "", before, tags.get("search_status") or tags.get("status", "running"))

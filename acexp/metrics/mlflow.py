"""The writer for MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from acexp.metrics.writer import WRITERS, Experiment, Writer
from acexp.system.packages import Package

ID_TAG, GROUP_TAG = "acexp.id", "acexp.group"
"""The tags of a run by which it is found again, and which the runs of an experiment share."""

MOST_PARAMETERS = 100
"""The most parameters that MLflow takes in one call."""


@WRITERS.register("mlflow")
class MlflowWriter(Writer):
    """MLflow: the sweep as an experiment, the settings as parameters (acexp[mlflow])."""

    # The small distribution suffices, and the large one contains it.
    packages = (
        Package("mlflow", "logging to MLflow (optional)", "pip install 'acexp[mlflow]'", distribution="mlflow-skinny"),
    )
    is_remote = True

    def __init__(self, experiment: Experiment) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient()
        self._status, self._end_time = "FAILED", None
        place = _experiment_id(self._client, experiment.sweep)
        found = [] if experiment.is_new else self._client.search_runs([place], f"tags.`{ID_TAG}` = '{experiment.id}'")
        if found:
            self._run_id = found[0].info.run_id
            if experiment.is_over:
                self._end_time = found[0].info.end_time  # what is added later does not make the run longer
            else:
                self._client.update_run(self._run_id, "RUNNING")
        else:
            self._run_id = self._create(place, experiment)

    def _create(self, place: str, experiment: Experiment) -> str:
        from mlflow.entities import Param

        tags = {ID_TAG: experiment.id, GROUP_TAG: experiment.group}
        run_id = str(self._client.create_run(place, tags=tags, run_name=experiment.name).info.run_id)
        parameters = [Param(key, str(value)) for key, value in experiment.settings.items()]
        for i in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(run_id, params=parameters[i : i + MOST_PARAMETERS])
        return run_id

    def write(self, step: int, scalars: Mapping[str, float], timings: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(tag, value, now, step) for tag, value in {**scalars, **timings}.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def end(self, step: int, results: Mapping[str, float]) -> None:
        self.write(step, results, {})

    def set_status(self, status: str) -> None:
        self._status = {"done": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}.get(status, "KILLED")

    def close(self) -> None:
        self._client.set_terminated(self._run_id, self._status, self._end_time)


def _experiment_id(client: Any, name: str) -> str:
    """Return the id of MLflow's experiment of this name, which another population may be creating at this moment."""
    found = client.get_experiment_by_name(name)
    if found is None:
        from mlflow.exceptions import MlflowException

        try:
            return str(client.create_experiment(name))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)

"""Print every MLflow run of this repository as one line of JSON: what identifies it and what it holds, no ids, no times."""

import json

from mlflow import MlflowClient

client = MlflowClient("sqlite:///mlflow.db")
runs = {}
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        tags = run.data.tags
        key = "/".join(
            (
                experiment.name,
                tags.get("stage", "?"),
                tags.get("regime", ""),
                tags.get("seed", ""),
                tags.get("fingerprint", "?"),
            )
        )
        assert key not in runs, f"two runs for {key}"
        histories = {
            name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
        runs[key] = {
            "name": run.info.run_name,
            "status": run.info.status,
            "superseded": "superseded" in tags,
            "params": run.data.params,
            "metrics": {name: sorted(history) for name, history in histories.items()},
            "artifacts": sorted(entry.path for entry in client.list_artifacts(run.info.run_id)),
        }
print(json.dumps(runs, sort_keys=True))

"""params.yaml as frozen pydantic models: each file a room's own, study.py the whole."""

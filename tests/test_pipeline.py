"""What `collapselab repro` makes sure of before DVC runs anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from collapselab.config.study import read_params
from collapselab.errors import UserError
from collapselab.pipeline import check_followed

ROOT = Path(__file__).parents[1]
PIPELINE = read_params(ROOT / "dvc.yaml")


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_holds_what_stages_follow(file: Path) -> None:
    check_followed(read_params(file), PIPELINE)


@pytest.mark.parametrize("key", ["knn", "linear_probe"])
def test_a_section_left_to_its_defaults_is_named_before_the_training(key: str) -> None:
    params = read_params(ROOT / "tests" / "tiny.yaml")
    del params["evaluation"][key]
    with pytest.raises(UserError, match=rf"evaluation\.{key} is missing, which stage {key} follows"):
        check_followed(params, PIPELINE)
    check_followed(params | {"evaluation": params["evaluation"] | {key: {}}}, PIPELINE)

"""A mistake in params.yaml is one message that names key, value and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from collapselab.config.schema import params_schema
from collapselab.config.study import Study, load_study
from collapselab.errors import UserError
from collapselab.studies import select

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.yaml"))


@pytest.fixture
def params() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(ROOT / "tests" / "tiny.yaml")
    return loaded


def load(params: dict[str, Any], folder: Path) -> Study:
    path = folder / "params.yaml"
    path.write_text(json.dumps(params))  # JSON is YAML
    return load_study(path)


def put(params: dict[str, Any], key: str, value: object) -> None:
    *path, last = key.split(".")
    for part in path:
        params = params[part]
    params[last] = value


def test_a_preset_fills_what_is_left_out_and_shows_in_the_resolved_config(
    params: dict[str, Any], tmp_path: Path
) -> None:
    def resolved(**keys: object) -> Any:
        put(params, "regimes.distillation", {**params["regimes"]["distillation"], **keys})
        return load(params, tmp_path).regimes["distillation"].model_dump(mode="json")

    assert resolved()["ema"] == {"start": 0.996, "end": 1.0, "curve": "cosine", "half_life": None}
    scaled = resolved(preset="scaled")
    assert (scaled["preset"], scaled["ema"]) == (
        "scaled",
        {"start": None, "end": None, "curve": "cosine", "half_life": 0.2},
    )
    own = {"start": 0.5, "end": 0.9, "curve": "linear"}
    assert resolved(preset="scaled", ema=own)["ema"] == own | {"half_life": None}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_is_valid_and_carries_its_files_name(path: Path) -> None:
    assert load_study(path).study == path.stem


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("regimes.simsiam.projectr", [8], r"projectr = \[8\]: unknown key; did you mean `projector`\? Allowed: .*batch_size"),
        ("regimes.simsiam.method", "simsam", r"method = 'simsam': unknown; did you mean `simsiam`\? Allowed: .*simclr, simsiam"),
        ("regimes.simsiam.epochs", 0, r"regimes\.simsiam\.epochs = 0: should be greater than or equal to 1"),
        ("regimes.simsiam.epochs", "ten", r"regimes\.simsiam\.epochs = 'ten': should be a valid integer"),
        ("regimes.simsiam.epochs", 2.5, r"regimes\.simsiam\.epochs = 2\.5: should be a valid integer"),
        ("regimes.simsiam.stop_gradient", "no", r"stop_gradient = 'no': should be a valid boolean"),
        ("regimes.simsiam.optimiser", {"name": "sgd", "learning_rate": -1}, r"optimiser\.learning_rate = -1.*greater than 0"),
        ("regimes.simsiam.optimiser", {"name": "sgd", "learning_rte": 1}, r"learning_rte = 1: unknown key; did you mean"),
        ("regimes.simsiam.backbone", "resnt", r"not in `backbones`; did you mean `resnet`\? Allowed: resnet, vit"),
        ("regimes.simsiam.augmentation", "pair", r"gives 1 view for `student` and 1 .* but simsiam needs 2 views for `view`"),
        ("regimes.distillation.backbone", "resnet", r"backbone = 'resnet': a resnet, but token_distillation needs a vit"),
        ("regimes.simsiam.batch_size", 1000, r"batch_size = 1000: larger than data\.train = 160"),
        ("regimes.Sim Siam", {"method": "simsiam"}, r"regimes\.Sim Siam"),
        ("regimes.simsiam.preset", "scaled", r"preset = 'scaled': no default of simsiam depends on a run's length; leave it out"),
        ("regimes.distillation.ema", {"start": 0.9}, r"ema = .*give `start` and `end`, or `half_life` alone"),
        ("regimes.distillation.ema", {"start": 0.9, "end": 1, "half_life": 0.1}, r"give `start` and `end`, or `half_life` alone"),
        ("regimes.distillation.ema", {"half_life": 0}, r"ema\.half_life = 0: should be greater than 0"),
        ("data.source", "cifar", r"data\.source = 'cifar': unknown; did you mean `cifar10`\? Allowed: cifar10, digits, folder"),
        ("data.size", [22, 14], r"data\.size = \[22, 14\]: the low end 22 lies above the high end 14"),
        ("data.noise", 3, r"data\.noise = 3: should be less than or equal to 1"),
        ("augmentations.crop.view.flp", 0.5, r"augmentations\.crop\.view\.flp = 0\.5: unknown key; did you mean `flip`"),
        ("backbones.vit.heads", 3, r"backbones\.vit: width 16 is not divisible by heads 3"),
        ("backbones.vit.patch", 5, r"backbones\.vit\.patch = 5: does not divide the images' 32 pixels"),
        ("backbones.resnet.blocks", [1], r"backbones\.resnet: widths \[4, 8\] and blocks \[1\] name different numbers of stages"),
        ("training.snapshots.bank", 50, r"bank \+ queries = 70: more than data\.validation = 60"),
        ("training.device", "gpu", r"training\.device = 'gpu': should be 'auto', 'cpu', 'cuda' or 'mps'"),
        ("seeds", [1, 1], r"seeds = \[1, 1\]: names a seed twice"),
        ("regimes.simsiam.optimiser", {"name": "sgd", "learning_rate": float("inf")}, r"learning_rate"),
        ("training.snapshots.log_steps", [-3], r"log_steps"),
        ("seeds", [], r"seeds = \[\].*at least 1"),
        ("seds", [1], r"seds = \[1\]: unknown key; did you mean `seeds`\?"),
        ("regimes", {}, r"regimes is empty"),
        ("regimes", [1], r"regimes = \[1\]: expected a mapping"),
        ("study", "My Study", r"study = 'My Study'"),
    ],
)  # fmt: skip
def test_a_mistake_names_key_value_and_what_is_allowed(
    params: dict[str, Any], tmp_path: Path, key: str, value: object, message: str
) -> None:
    put(params, key, value)
    with pytest.raises(UserError, match=message) as raised:
        load(params, tmp_path)
    assert str(tmp_path / "params.yaml") in str(raised.value)


@pytest.mark.parametrize("key", ["study", "data", "training", "regimes"])
def test_a_missing_section_is_named(params: dict[str, Any], tmp_path: Path, key: str) -> None:
    del params[key]
    with pytest.raises(UserError, match=f"{key} is missing"):
        load(params, tmp_path)


def test_a_missing_key_says_what_it_is(params: dict[str, Any], tmp_path: Path) -> None:
    del params["regimes"]["simsiam"]["backbone"]
    with pytest.raises(UserError, match=r"regimes\.simsiam\.backbone is missing: a name from `backbones`"):
        load(params, tmp_path)


def test_several_mistakes_are_all_told(params: dict[str, Any], tmp_path: Path) -> None:
    params["regimes"]["simsiam"] |= {"epochs": 0, "batch_size": "many"}
    with pytest.raises(UserError) as raised:
        load(params, tmp_path)
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1,", "not valid YAML"), ("- 1", "not a mapping"), ("\xff", "not a mapping")]
)
def test_a_file_that_is_no_study_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_study(path)
    path.unlink()
    with pytest.raises(UserError, match="is missing: run `make repro STUDY=quick`"):
        load_study(path)


def test_the_committed_schema_is_todays_and_accepts_the_studies() -> None:
    committed = json.loads((ROOT / "docs" / "params.schema.json").read_text())
    assert committed == json.loads(json.dumps(params_schema())), "run `make schema`"


def test_every_key_says_what_it_is() -> None:
    schema = params_schema()
    parts = schema["$defs"]

    def told(key: dict[str, Any]) -> bool:
        """By its own words, or by those of the section that it opens."""
        choices = [key, *key.get("anyOf", ())]
        opened = [parts[one["$ref"].rpartition("/")[2]] for one in choices if "$ref" in one]
        return "const" in key or any("description" in one for one in (key, *opened))

    silent = [
        f"{name}.{key}"
        for name, part in [("", schema), *parts.items()]
        for key, value in part["properties"].items()
        if not told(value)
    ]
    assert silent == []


# ---- choosing a study


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder of two valid studies, one and two."""
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(
            (ROOT / "tests" / "tiny.yaml").read_text().replace("study: tiny", f"study: {name}")
        )
    return folder


def test_a_study_is_copied_in_unless_edits_would_be_lost(studies: Path) -> None:
    params, two = studies.with_name("params.yaml"), (studies / "two.yaml").read_text()
    select("one", params, studies)
    select("two", params, studies)
    assert params.read_text() == two
    params.write_text(two + "# mine\n")
    with pytest.raises(UserError, match="holds edits that no file of"):
        select("one", params, studies)
    assert params.read_text() == two + "# mine\n"
    with pytest.raises(UserError, match=r"no study 'tow'.*did you mean `two`"):
        select("tow", params, studies)


def test_a_study_may_be_edited_and_copied_in_again(studies: Path) -> None:
    params, one = studies.with_name("params.yaml"), studies / "one.yaml"
    select("one", params, studies)
    one.write_text(one.read_text() + "# better\n")
    select("one", params, studies)
    assert params.read_text() == one.read_text()


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("study: one", "study: two", "study = 'two': must be the file's own name, 'one'"),
        ("seeds:", "seedz:", r"one\.yaml: seedz.*did you mean `seeds`"),
    ],
)
def test_a_study_that_is_not_right_is_refused_before_it_is_copied(
    studies: Path, was: str, becomes: str, told: str
) -> None:
    params, one = studies.with_name("params.yaml"), studies / "one.yaml"
    one.write_text(one.read_text().replace(was, becomes, 1))
    with pytest.raises(UserError, match=told):
        select("one", params, studies)
    assert not params.exists()

"""params.yaml -> a frozen Study: validated once, as a whole, before anything runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, SerializeAsAny, StringConstraints
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from collapselab.config.base import Strict, choose, nearest, unique, validate
from collapselab.config.data import SOURCES, Augmentation, Cifar10, Digits, Folder, Seed
from collapselab.config.evaluation import Evaluation
from collapselab.config.training import BACKBONES, Backbone, Regime, Timm, Training, ViT
from collapselab.errors import UserError

if TYPE_CHECKING:
    from collapselab.methods.base import Method

PARAMS = Path("params.yaml")
REGIMES = "name -> a method with its settings, trained once for each seed"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Settings(Strict):
    """The sections that every stage may read without importing a method, and with it torch."""

    study: Name = Field(description="name of the study: lower-case letters, digits and hyphens")
    seeds: Annotated[list[Seed], AfterValidator(unique)] = Field(
        min_length=1, description="every regime is trained once for each"
    )
    augmentations: dict[Name, Augmentation] = Field(description="name -> what each branch of a method sees")
    training: Training
    evaluation: Evaluation


class Study(Settings):
    """One params.yaml. Regimes name an augmentation and a backbone of the study."""

    data: Annotated[Digits | Cifar10 | Folder, Field(discriminator="source", description="where images come from")]
    backbones: dict[Name, Annotated[Backbone, Field(discriminator="architecture")]] = Field(
        description="name -> the network that representations come from"
    )
    regimes: dict[Name, SerializeAsAny[Regime]] = Field(min_length=1, description=REGIMES)

    def seeds_of(self, regime: str) -> list[int]:
        return list(self.regimes[regime].seeds or self.seeds)


def load_evaluation(params: dict[str, Any], path: Path = PARAMS) -> Evaluation:
    """The evaluation section of raw params, for stages that need no method and so no torch."""
    return validate(Evaluation, params.get("evaluation"), f"{path}: evaluation")


def image_size(data: Digits | Cifar10 | Folder) -> int:
    """Side of the data set's images, pixels."""
    return data.size if isinstance(data, Folder) else 32


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """params.yaml as plain Python values.

    Raises UserError where the file is missing or is not YAML.
    """
    try:
        raw = YAML(typ="safe").load(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run `make repro STUDY=quick`, or copy a file of studies/ to it") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds {type(raw).__name__}, not a mapping: compare it with studies/quick.yaml")
    return raw


def load_study(path: Path = PARAMS) -> Study:
    """Read and validate a whole study; imports the methods (and with them torch), since each declares its own keys.

    Raises UserError that names each wrong key, its value and what is allowed.
    """
    from collapselab.methods import METHODS

    raw = read_params(path)
    where = str(path)
    _known_sections(raw, where)
    parts: dict[str, Any] = dict(raw)
    parts["data"] = choose(SOURCES, raw.get("data"), "source", f"{where}: data")
    parts["backbones"] = {
        name: choose(BACKBONES, entry, "architecture", f"{where}: backbones.{name}")
        for name, entry in _mapping(raw, "backbones", where).items()
    }
    configs = {name: method.Config for name, method in METHODS.items()}
    parts["regimes"] = {
        name: choose(configs, entry, "method", f"{where}: regimes.{name}")
        for name, entry in _mapping(raw, "regimes", where).items()
    }
    study = _assemble(parts, where)
    for name, regime in study.regimes.items():
        _check_regime(study, name, METHODS[regime.method], where)
    _check_probe(study, where)
    return study


def _assemble(parts: dict[str, Any], where: str) -> Study:
    """The study from parts of which some are models already; the rest is validated here."""
    chosen = {key: parts.pop(key) for key in ("data", "backbones", "regimes")}
    settings = validate(Settings, parts, f"{where}:")
    for section in ("backbones", "regimes"):
        for name in chosen[section]:
            validate(_Named, {"name": name}, f"{where}: {section}")
    if not chosen["regimes"]:
        raise UserError(f"{where}: regimes is empty: name at least one regime, as studies/quick.yaml does")
    return Study.model_construct(**settings.__dict__, **chosen)


class _Named(Strict):
    name: Name


def _known_sections(raw: dict[str, Any], where: str) -> None:
    for key, value in raw.items():
        if key not in Study.model_fields:
            raise UserError(f"{where}: {key} = {value!r}: unknown key; {nearest(str(key), Study.model_fields)}")
    for key in Study.model_fields:
        if key not in raw:
            raise UserError(f"{where}: {key} is missing: see studies/quick.yaml")


def _mapping(raw: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    section = raw[key]
    if not isinstance(section, dict):
        raise UserError(f"{where}: {key} = {section!r}: expected a mapping of names to entries")
    return section


def _check_regime(study: Study, name: str, method: type[Method], where: str) -> None:
    regime = study.regimes[name]
    here = f"{where}: regimes.{name}"
    for key, table in (("backbone", study.backbones), ("augmentation", study.augmentations)):
        value = getattr(regime, key)
        if value not in table:
            raise UserError(f"{here}.{key} = {value!r}: not in `{key}s`; {nearest(value, table)}")
    seen = {branch: entry.views for branch, entry in study.augmentations[regime.augmentation].items()}
    if seen != dict(method.branches):
        raise UserError(
            f"{here}.augmentation = {regime.augmentation!r}: gives {_branches(seen)}, but {regime.method} needs "
            f"{_branches(dict(method.branches))}"
        )
    backbone = study.backbones[regime.backbone]
    size = image_size(study.data)
    if isinstance(backbone, ViT) and size % backbone.patch:
        raise UserError(
            f"{where}: backbones.{regime.backbone}.patch = {backbone.patch}: does not divide the images' {size} pixels"
        )
    tokens = study.training.snapshots.tokens
    if isinstance(backbone, ViT) and tokens and tokens.position >= (count := (size // backbone.patch) ** 2):
        raise UserError(
            f"{where}: training.snapshots.tokens.position = {tokens.position}: backbones.{regime.backbone} has {count} patches, "
            f"0 to {count - 1}"
        )
    if isinstance(backbone, Timm) and importlib.util.find_spec("timm") is None:
        raise UserError(f"{where}: backbones.{regime.backbone} needs timm: pip install timm, then run again")
    method.check(regime, backbone, here)
    train = getattr(study.data, "train", None)
    if train is not None and regime.batch_size > train:
        raise UserError(f"{here}.batch_size = {regime.batch_size}: larger than data.train = {train}")


def _branches(views: dict[str, int]) -> str:
    return (
        " and ".join(f"{count} view{'s' if count > 1 else ''} for `{branch}`" for branch, count in views.items())
        or "none"
    )


def _check_probe(study: Study, where: str) -> None:
    snapshots, data = study.training.snapshots, study.data
    probe = snapshots.bank + snapshots.queries
    if isinstance(data, Digits | Cifar10) and probe > data.validation:
        raise UserError(
            f"{where}: training.snapshots.bank + queries = {probe}: more than data.validation = {data.validation} images"
        )
    if snapshots.view_images > probe:
        raise UserError(
            f"{where}: training.snapshots.view_images = {snapshots.view_images}: more than the probe set's {probe} images"
        )

"""The one table of thresholds: where each kind's severity starts, where it is full, and why there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from collapselab.config.base import nearest
from collapselab.errors import UserError

VERDICT_FROM = 0.5  # severity


@dataclass(frozen=True)
class Threshold:
    """Severity is 0 at `none`, 1 at `full`, and between them linear in the value, or in its logarithm where `log`."""

    none: float
    full: float
    reason: str
    log: bool = False

    def severity(self, value: float) -> float:
        none, full = self.none, self.full
        if self.log:
            value, none, full = math.log(max(value, 1e-30)), math.log(none), math.log(full)
        return min(1.0, max(0.0, (value - none) / (full - none)))


Thresholds = Mapping[str, Threshold]

THRESHOLDS: dict[str, Threshold] = {
    "complete/ulp": Threshold(
        32.0, 4.0, "spread in units in the last place: at 4 all is rounding; between the two nothing can be said"
    ),
    "complete/tight-share": Threshold(
        0.8, 0.95, "images in one tight point, a tenfold gap before the rest; sparse features have up to .7 at zero"
    ),
    "complete/view-ratio": Threshold(
        1.5, 0.7, "median between-image over within-view variance in a tight point: above, its images are well apart"
    ),
    "complete/view-ratio-to-start": Threshold(
        3.0,
        1.5,
        "median between-image over within-view variance against initialisation: networks that learn raise it sixfold and more",
    ),
    "complete/distance-to-start": Threshold(
        0.2, 0.02, "a typical image's distance from the middle: networks that learn nothing keep .15 and more", log=True
    ),
    "complete/direction-to-start": Threshold(
        0.3,
        0.03,
        "spread of directions: kept where outputs have only become smaller, which is no complete collapse",
        log=True,
    ),
    "norm/shrunk": Threshold(
        1e-2,
        1e-6,
        "mean squared norm against initialisation: healthy training moves it less than a hundredfold down",
        log=True,
    ),
    "norm/grown": Threshold(
        1e4,
        1e8,
        "the same upwards: without stop-gradient a variance grew 900 times in a network that was not lost",
        log=True,
    ),
    "dimensional/dead-share": Threshold(
        0.07,
        0.37,
        "of the attainable directions, less one: 30 of 128 are a finding (Jing et al.), a fifth of dead units is common",
    ),
    "dimensional/drop": Threshold(
        4.0,
        30.0,
        "fall of the spectrum beyond the steepest healthy power law's; healthy families stay under 8",
        log=True,
    ),
    "dimensional/tail": Threshold(
        0.16,
        0.016,
        "share of variance behind the drop: ten loose classes over a floor of .5 standard deviations keep .1",
        log=True,
    ),
    "dimensional/directional-drop": Threshold(
        3.0,
        12.0,
        "the same of directions from the median, where outliers have no length: heavy tails stay under 2",
        log=True,
    ),
    "dimensional/directional-tail": Threshold(
        0.4, 0.1, "share of the directions' variance behind their drop: images near the median point anywhere", log=True
    ),
    "dimensional/rank-to-power-law": Threshold(
        1.0,
        0.3,
        "effective rank against that of lambda_i = i^-3: the steepest healthy network measured is i^-2.7",
        log=True,
    ),
    "cluster/within": Threshold(
        0.1, 0.01, "variance within over total: classes of a good network keep .2 and more", log=True
    ),
    "cluster/jump": Threshold(
        8.0,
        40.0,
        "cost of the cheapest merge of clusters over the dearest inside one: a line cut into halves gives 8",
        log=True,
    ),
    "one-hot/mean-entropy": Threshold(0.8, 0.0, "E h(p), nats: each image is decided"),
    "one-hot/rest": Threshold(
        0.12, 0.012, "mass that the first prototype leaves to all others; a rare class of a classifier has .1", log=True
    ),
    "uniform/gap": Threshold(0.02, 0.0, "(ln K - E h(p)) / ln K: nothing is said about any image"),
    "uniform/information": Threshold(0.01, 0.0, "mutual information of image and prototype / ln K, corrected for N"),
    "uniform/gap-to-start": Threshold(
        0.5, 0.05, "the gap against initialisation, where small logits look uniform too: training must have closed it"
    ),
    "prototype/used": Threshold(
        0.25, 0.025, "exp h(mean p) over the number that could be used: ten classes on 64 prototypes use .16", log=True
    ),
    "prototype/distinct": Threshold(
        0.5, 0.05, "prototypes that are left once those of one direction are merged, of all", log=True
    ),
    "token-position/rest": Threshold(
        0.1, 0.01, "share of token variance that position alone does not explain", log=True
    ),
    "token-position/rest-to-start": Threshold(
        0.7, 0.2, "the same against initialisation, where drawn position embeddings already dominate", log=True
    ),
    "token-smooth/within": Threshold(0.1, 0.01, "share of token variance inside an image", log=True),
    "token-smooth/within-to-start": Threshold(0.7, 0.2, "the same against initialisation", log=True),
    "local/dimension": Threshold(
        4.0, 1.5, "local intrinsic dimension: healthy representations measured stand at 5 and more", log=True
    ),
    "local/rank-to-dimension": Threshold(4.0, 10.0, "effective rank over it: a flat subspace has both alike", log=True),
    "local/dimension-to-start": Threshold(0.5, 0.2, "local intrinsic dimension against initialisation", log=True),
    "local/rank-to-start": Threshold(0.4, 0.7, "effective rank against initialisation: it must have stayed"),
    "nuisance/view-ratio": Threshold(
        0.2, 0.02, "between-image over within-view variance, corrected: untrained networks read .2 and more", log=True
    ),
    "nuisance/view-ratio-to-start": Threshold(
        0.8, 0.2, "the same against initialisation: training must have lowered it", log=True
    ),
}


def load_thresholds(path: Path) -> dict[str, Threshold]:
    """The table with the entries of a YAML or JSON file in place of its own: {"cluster/within": {"none": .2, "full": .02}}.

    Raises UserError that names the entry, its value and what is allowed.
    """
    try:
        entries = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: it should hold thresholds, as `collapselab explain thresholds` lists them"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML or JSON: {' '.join(str(error).split())}") from error
    if not isinstance(entries, dict):
        raise UserError(f"{path} must map names of thresholds to {{none:, full:}}, not hold a {type(entries).__name__}")
    table = dict(THRESHOLDS)
    for name, entry in entries.items():
        if name not in THRESHOLDS:
            raise UserError(f"{path}: {name!r} is no threshold; " + nearest(str(name), list(THRESHOLDS)))
        table[name] = _overridden(path, name, THRESHOLDS[name], entry)
    return table


def _overridden(path: Path, name: str, own: Threshold, entry: object) -> Threshold:
    if not isinstance(entry, dict) or not entry or set(entry) - {"none", "full"}:
        raise UserError(f"{path}: {name} = {json.dumps(entry, default=str)}: give `none` and `full`, two numbers")
    values = {"none": own.none, "full": own.full} | entry
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{path}: {name}.{key} = {value!r}: must be a number")
        if own.log and value <= 0:
            raise UserError(f"{path}: {name}.{key} = {value!r}: must be above 0, the scale is logarithmic")
    if values["none"] == values["full"] or (values["none"] < values["full"]) != (own.none < own.full):
        raise UserError(
            f"{path}: {name}: none = {values['none']}, full = {values['full']}: "
            f"`full` must lie {'above' if own.full > own.none else 'below'} `none`"
        )
    return Threshold(float(values["none"]), float(values["full"]), f"from {path.name}", own.log)

"""Collapse: measured, named and explained, for the pipeline's snapshots and for anybody's embeddings.

>>> import numpy as np
>>> from collapselab.collapse import Evidence, diagnose
>>> features = np.random.default_rng(0).standard_normal((500, 8)) @ np.ones((8, 64))
>>> diagnose(features, draws=0).verdict
['dimensional']

`Evidence` takes what else is known: augmented views, labels, softmax probabilities, tokens; `diagnose(..., reference=)` the
same network at initialisation, another run or an earlier checkpoint.
"""

from collapselab.collapse.diagnosis import Diagnosis, diagnose
from collapselab.collapse.evidence import Evidence
from collapselab.collapse.judge import Finding
from collapselab.collapse.snapshot import Snapshot, read_snapshot
from collapselab.collapse.thresholds import load_thresholds
from collapselab.collapse.token_sums import TokenSums

__all__ = [
    "Diagnosis",
    "Evidence",
    "Finding",
    "Snapshot",
    "TokenSums",
    "diagnose",
    "load_thresholds",
    "read_snapshot",
]

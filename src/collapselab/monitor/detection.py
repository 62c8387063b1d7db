"""The detector of `collapse.timing` on the readings of a training loop, whose batches are not all of one size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from collapselab.collapse.registry import Value
from collapselab.collapse.timing.detector import HOLD, VOTES, Alarm, Detector

FEWEST = 8  # images of a reading that is judged
SIZES = 1.1  # readings whose numbers of images differ by less are held against the same marks


class Detection:
    """One detector for each number of images: ranks and distances to neighbours depend on it, so a smaller batch is no fall.

    Attributes:
        alarms: all that were given, a kind by the first detector that named it.
        pressure: kind -> how near it stands to an alarm, by the detector that looked last and had readings enough to judge.
    """

    def __init__(self, limits: Mapping[str, float], warm_up: int) -> None:
        self.alarms: list[Alarm] = []
        self.pressure: dict[str, float] = {}
        self._limits, self._warm_up = dict(limits), warm_up
        self._detectors: dict[int, Detector] = {}
        self._readings: Counter[int] = Counter()

    def update(self, step: int, values: Mapping[str, Value], images: int) -> list[Alarm]:
        """Take the reading of one step, of so many images; the alarms that are new."""
        if images < FEWEST:
            return []
        size = round(math.log(images, SIZES))
        detector = self._detectors.setdefault(size, Detector(self._limits, self._warm_up))
        before = len(detector.alarms)
        detector.update(step, values)
        self._readings[size] += 1
        if self._readings[size] >= VOTES:
            self.pressure = dict(detector.pressure)
        others = (other for other in self._detectors.values() if other is not detector)
        known = {alarm.kind for other in others for alarm in other.alarms}
        new = [alarm for alarm in detector.alarms[before:] if alarm.kind not in known]
        self.alarms += new
        return new

    def stands(self, alarm: Alarm) -> bool:
        """Whether the latest reading still presses that way."""
        return self.pressure.get(alarm.kind, 0.0) >= HOLD * self._limits.get(alarm.kind, 1.0)

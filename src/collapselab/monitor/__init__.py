"""The collapse monitor for anybody's training loop. Importing it loads torch and torchmetrics: nothing else here imports it."""

from collapselab.monitor.monitor import CollapseMonitor
from collapselab.monitor.warned import CollapseWarning, Warned

__all__ = ["CollapseMonitor", "CollapseWarning", "Warned"]

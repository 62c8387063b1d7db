"""collapselab: train self-supervised regimes, break them on purpose, measure and name their collapse."""

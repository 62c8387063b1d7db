"""One file a metric; `registry.load_metrics` finds them."""

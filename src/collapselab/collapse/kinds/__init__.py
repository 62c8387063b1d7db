"""One file a kind of collapse; `kind.load_kinds` finds them."""

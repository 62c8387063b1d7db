"""The command `collapselab diagnose`: arrays, snapshots or a network's own outputs in; a verdict with its evidence out.

`inputs` reads what the options name, `examine` finds out, `terminal`, `page` and `plot` render it.
"""

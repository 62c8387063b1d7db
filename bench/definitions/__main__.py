"""Set the rank, spectral and geometry metrics that others have too, and the losses, against their values: docs/definitions.md.

    make definitions

Each comparison says beforehand on which features the values must agree and on which they must not. Where they must not, the
other library's definition is restated in a few lines of NumPy, from its documentation or its paper, and must give the
library's value: that is what "explained" means here. The exit code is 1 where anything turns out otherwise. A library that is
not installed is skipped, and said to be; where its definition is restated, that value stands in.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.definitions import losses
from bench.definitions.comparisons import COMPARISONS, run
from bench.definitions.libraries import missing
from bench.definitions.page import Page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "definitions.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where something is not as declared."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=PAGE, help="where the page goes")
    output = parser.parse_args(arguments).output
    absent = [one for one in dict.fromkeys(told.library for told in COMPARISONS) if missing(one)]
    for library in absent:
        print(f"skipped: {library.distribution} {missing(library)}", file=sys.stderr)
    outcomes = [(comparison, run(comparison)) for comparison in COMPARISONS]
    results = [result for _, result in outcomes if result is not None]
    of_losses = [result for result in map(losses.run, losses.COMPARISONS) if result is not None]
    skipped = [comparison for comparison, result in outcomes if result is None]
    output.write_text(str(Page(results, skipped, of_losses)), encoding="utf-8")
    wrong = [(result.comparison, line) for result in results for line in result.unexpected]
    for told, line in wrong:
        print(
            f"not as declared: {told.metric} against {told.library.distribution} {told.call}: {line}", file=sys.stderr
        )
    wrong_losses = [(result.comparison, line) for result in of_losses for line in result.unexpected]
    for one, line in wrong_losses:
        print(f"not as declared: {one.method} against lightly {one.call}: {line}", file=sys.stderr)
    print(
        f"{output.name}: {len(results)} comparisons, {sum(not result.different for result in results)} equal throughout, "
        f"{len(wrong) + len(wrong_losses)} not as declared, {len(outcomes) - len(results)} not run; {len(of_losses)} losses"
    )
    return 1 if wrong or wrong_losses else 0


if __name__ == "__main__":
    sys.exit(main())

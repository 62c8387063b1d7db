"""What every stage's main shares: one clear message for a mistake, and start-up and work timed apart."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

try:
    import psutil

    from collapselab.errors import UserError
except ModuleNotFoundError:
    sys.exit("collapselab is not installed in this environment: run `make install`, then `. .venv/bin/activate`")

TIMINGS = Path(".timings")  # outside every dependency and output: times are not part of a result


def stage(main: Callable[..., None]) -> Callable[..., None]:
    """Run `main` as a stage: a UserError or a full disk becomes one message and exit code 2, Ctrl-C exit code 130."""

    @functools.wraps(main)
    def run(*arguments: str) -> None:
        started = time.time()
        try:
            main(*arguments)
        except UserError as error:
            sys.exit(_fail(f"error: {error}", 2))
        except OSError as error:
            sys.exit(
                _fail(
                    f"error: {error.filename or 'a file'}: {error.strerror}. Mend that and run again",
                    2,
                )
            )
        except KeyboardInterrupt as interrupt:
            where = f" ({interrupt})" if str(interrupt) else ""
            sys.exit(_fail(f"interrupted{where}: run `dvc repro` to go on", getattr(interrupt, "exit_code", 130)))
        _record(Path(sys.argv[0]).stem, arguments, started - psutil.Process().create_time(), time.time() - started)

    return run


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _record(name: str, arguments: tuple[str, ...], startup: float, work: float) -> None:
    label = "@".join((name, *arguments))
    print(f"{label}: start-up {startup:.1f} s, work {work:.1f} s", flush=True)
    TIMINGS.mkdir(exist_ok=True)
    temporary = TIMINGS / f".{label}.{os.getpid()}"
    temporary.write_text(json.dumps({"startup_s": round(startup, 2), "work_s": round(work, 2)}))
    temporary.replace(TIMINGS / f"{label}.json")

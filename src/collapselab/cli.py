"""The command `collapselab`.

Exit codes: 0 it ran, 1 check-reports found something, 2 it could not run (one message says why), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from collapselab.errors import UserError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _root() -> None:
    """Work from the repository's root, wherever in it the command was called."""


def enter_root() -> Path:
    from collapselab.tracking import find_root

    root = find_root()
    os.chdir(root)
    return root


@app.command()
def repro(
    study: Annotated[str, typer.Option(help="copy studies/NAME.yaml to params.yaml first")] = "",
    jobs: Annotated[int, typer.Option(min=0, help="regimes trained at a time; 0: as many as the cores hold")] = 0,
) -> None:
    """Run the study of params.yaml: `dvc repro` with regimes in parallel, and a summary at the end."""
    root = enter_root()
    from collapselab.config.study import PARAMS, load_study
    from collapselab.pipeline import default_jobs, reproduce
    from collapselab.studies import select

    if study:
        select(study, PARAMS)
    loaded = load_study()
    reproduce(loaded, jobs or default_jobs(loaded))
    _summary(root, loaded.study)


def _summary(root: Path, study: str) -> None:
    from collapselab.report.terminal import print_summary
    from collapselab.tracking import track

    print_summary(Path("reports") / study, track(root).comparison)


@app.command()
def track(
    follow: Annotated[bool, typer.Option("--follow", help="keep logging a run in progress; Ctrl-C ends it")] = False,
    interval: Annotated[float, typer.Option(min=0.5, help="seconds between looks, with --follow")] = 5.0,
) -> None:
    """Project what the stages wrote into MLflow, as the pipeline's last stage does."""
    from collapselab import tracking

    root = enter_root()
    if follow:
        tracking.follow(root, interval)
    else:
        print(*tracking.track(root).lines(), sep="\n")


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Track, then serve the MLflow UI on this repository's runs, on localhost only; Ctrl-C ends it."""
    from collapselab import tracking

    root = enter_root()
    print(*tracking.track(root).lines(port), sep="\n", flush=True)
    store = tracking.Store(root, "")
    if store.served:
        raise UserError(f"MLFLOW_TRACKING_URI names a server: open {store.uri} in a browser")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    command = ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", store.uri]
    os.execv(sys.executable, [sys.executable, *command])


@app.command()
def check_reports() -> None:
    """List committed reports that today's code and params would no longer give; exit code 1 where there are any."""
    from collapselab.report.check import stale_reports

    stale = stale_reports(enter_root())
    print("\n".join(stale) if stale else "every committed report is what today's code and params give")
    if stale:
        raise typer.Exit(1)


@app.command()
def schema(out: Path) -> None:
    """Write the JSON schema of params.yaml, by which editors complete and check it."""
    from collapselab.config.schema import params_schema
    from collapselab.files import write_json

    write_json(out, params_schema())


def main() -> None:
    """Entry point: a mistake of the user's is one message on stderr and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except UserError as error:
        _fail(f"error: {error}", 2)
    except OSError as error:
        _fail(f"error: {error.filename or 'a file'}: {error.strerror}", 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted: run the same command to go on", 130)
    except Exception as error:
        # An unknown command or option, a value out of range: typer's copy of click is private, this method its mark.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        _fail(f"error: {message()} (see collapselab --help)", 2)


def _fail(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)

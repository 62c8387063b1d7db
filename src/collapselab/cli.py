"""The command `collapselab`.

Exit codes: 0 it ran, 1 check-reports or diagnose --fail-on-collapse found something, 2 it could not run (one message says
why), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from collapselab.console import readers_may_leave
from collapselab.errors import UserError

INTERRUPTED = 130
TOYS = "toys"  # a study without data or training, and so without a params.yaml

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _root() -> None:
    """repro, toys, track, ui, check-reports and bench work from the repository's root, wherever in it they were called."""


def enter_root() -> Path:
    from collapselab.tracking import find_root

    root = find_root()
    os.chdir(root)
    return root


@app.command()
def repro(
    study: Annotated[str, typer.Option(help="copy studies/NAME.yaml to params.yaml first; toys: see toys")] = "",
    jobs: Annotated[int, typer.Option(min=0, help="regimes trained at a time; 0: as many as the cores hold")] = 0,
) -> None:
    """Run the study of params.yaml: `dvc repro` with regimes in parallel, and a summary at the end."""
    if study == TOYS:
        toys()
        return
    root = enter_root()
    from collapselab.config.study import PARAMS, load_study
    from collapselab.pipeline import default_jobs, reproduce
    from collapselab.studies import select

    loaded = select(study, PARAMS) if study else load_study()
    reproduce(loaded, jobs or default_jobs(loaded))
    _summary(root, loaded.study)


def _summary(root: Path, study: str) -> None:
    from collapselab.report.terminal import print_summary
    from collapselab.tracking import track

    print_summary(Path("reports") / study, track(root).comparison)


@app.command()
def toys() -> None:
    """The linear theory: simulate the DirectCLR paper's models and write reports/toys, in under a minute, beside any study."""
    from threadpoolctl import threadpool_limits

    from collapselab.toys.page import build

    root = enter_root()
    with threadpool_limits(1):  # the bytes of a result may not depend on the number of cores
        out = build(root)
    print(f"the page is {out / 'report.html'}; {out / 'report.md'} reads well on a code host")


@app.command()
def track(
    follow: Annotated[bool, typer.Option("--follow", help="keep logging a run in progress; Ctrl-C ends it")] = False,
    interval: Annotated[float, typer.Option(min=0.5, max=3600, help="seconds between looks, with --follow")] = 5.0,
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
    store = tracking.Store(root, "")
    if not store.served:
        tracking.check_port(port)
    print(*tracking.track(root).lines(port), sep="\n", flush=True)
    if store.served:
        raise UserError(f"MLFLOW_TRACKING_URI names a server: open {store.uri} in a browser")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    command = ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", store.uri]
    os.execv(sys.executable, [sys.executable, *command])


@app.command()
def check_reports() -> None:
    """List committed reports that today's code and params would no longer give; exit code 1 where there are any."""
    from collapselab.report.check import stale_reports

    root = enter_root()
    if not any(root.glob("reports/*/report.md")) and not any(root.glob("reports/*/metrics.json")):
        raise UserError(f"no report in {root}/reports: they are part of the repository, run this in a clone of it")
    stale = stale_reports(root)
    print("\n".join(stale) if stale else "every committed report is what today's code and params give")
    if stale:
        raise typer.Exit(1)


@app.command()
def replay(file: Annotated[Path, typer.Argument(help="the file that the message about a loss named")]) -> None:
    """Run the step that gave a loss of NaN or infinity again, and say where it breaks."""
    from collapselab.training.replay import replay as run_again

    print(*run_again(file).lines(), sep="\n")


@app.command()
def schema(out: Path) -> None:
    """Write the JSON schema of params.yaml, by which editors complete and check it."""
    from collapselab.config.schema import params_schema
    from collapselab.files import write_json

    write_json(out, params_schema())


_FILES = typer.Argument(
    metavar="FILE...",
    help=".npy, .npz or .safetensors: features (images x dimensions), snapshots, or a folder of snapshots",
)


def _option(name: str, shape: str) -> Any:
    return typer.Option(name, metavar="FILE", help=shape)


@app.command()
def diagnose(
    files: Annotated[list[Path] | None, _FILES] = None,
    labels: Annotated[Path | None, _option("--labels", "classes, one for each image")] = None,
    views: Annotated[Path | None, _option("--views", "augmented views (images x views x dimensions)")] = None,
    probabilities: Annotated[Path | None, _option("--probabilities", "softmax (images x prototypes)")] = None,
    tokens: Annotated[
        Path | None,
        _option("--tokens", "token outputs, patches only (images x positions x dimensions)"),
    ] = None,
    prototypes: Annotated[Path | None, _option("--prototypes", "their weights (prototypes x dimensions)")] = None,
    layer: Annotated[str, typer.Option(metavar="NAME", help="the array, or the layer of a snapshot, to look at")] = "",
    reference: Annotated[Path | None, _option("--reference", "features, snapshot or run to compare with")] = None,
    thresholds: Annotated[Path | None, _option("--thresholds", "YAML or JSON that overrides thresholds")] = None,
    history: Annotated[Path | None, _option("--history", "CSV of the loss, one row a step")] = None,
    cosine: Annotated[
        bool, typer.Option("--cosine", help="the loss compares cosines alone (SimCLR, MoCo, BYOL, SimSiam)")
    ] = False,
    draws: Annotated[
        int | None, typer.Option(min=0, help="bootstrap samples behind intervals; 0: none, faster")
    ] = None,
    weights: Annotated[Path | None, _option("--weights", "safetensors weights of a network that embeds --data")] = None,
    backbone: Annotated[
        str, typer.Option(metavar="NAME", help="a name from params.yaml, '{architecture: ...}' or timm:NAME")
    ] = "",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="images to embed, a subfolder for each class")
    ] = None,
    size: Annotated[int, typer.Option(min=0, help="side of those images, pixels; 0: the network's own")] = 0,
    images: Annotated[int, typer.Option(min=0, help="how many of them at most; 0: all")] = 4000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
    html: Annotated[Path | None, _option("--html", "also write a page, name.html")] = None,
    plot: Annotated[Path | None, _option("--plot", "also draw the spectra, name.svg")] = None,
    fail_on_collapse: Annotated[bool, typer.Option("--fail-on-collapse", help="exit code 1 on a verdict")] = False,
) -> None:
    """Which kinds of collapse hold in features, a snapshot or a run; how badly, by what evidence, and what to try."""
    from collapselab.collapse.diagnosis import DRAWS
    from collapselab.diagnose.command import Options, run

    sides = {
        "labels": labels,
        "views": views,
        "probabilities": probabilities,
        "tokens": tokens,
        "prototypes": prototypes,
    }
    options = Options(
        files=files or [],
        sides={name: path for name, path in sides.items() if path},
        layer=layer,
        reference=reference,
        thresholds=thresholds,
        history=history,
        cosine=cosine,
        draws=DRAWS if draws is None else draws,
        weights=weights,
        backbone=backbone,
        data=data,
        size=size,
        images=images,
        as_json=as_json,
        html=html,
        plot=plot,
    )
    if run(options).verdict and fail_on_collapse:
        raise typer.Exit(1)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="KIND|METRIC|thresholds", help="nothing lists all names")] = "",
) -> None:
    """The page of a kind of collapse or of a measure: what it is, what causes it, what to try, formula, sources."""
    from collapselab.diagnose import explain as pages

    pages.show(pages.explain(name))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="pretrain, augment, knn, spectra or gpu")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
    pairs: Annotated[int, typer.Option(min=1, help="turns that each side takes")] = 5,
) -> None:
    """How many times as fast as a peer, both run here and now: seconds to minutes, on a machine that does nothing else."""
    root = enter_root()
    if not (root / "bench" / "speed").is_dir():
        raise UserError(f"no bench/speed in {root}: benchmarks are part of the repository, run this in a clone of it")
    # bench/ is not installed, as its peers are not; here it is found as `python -m bench.speed` finds it, and by its workers.
    peers = str(root / ".venv" / "speed")
    sys.path[:0] = [str(root)]
    sys.path.append(peers)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), peers]))
    speed, page = import_module("bench.speed"), import_module("bench.speed.page")
    if name not in speed.NAMES:
        from collapselab.config.base import nearest

        raise UserError(f"no benchmark {name!r}: {nearest(name, speed.NAMES)}")
    result = speed.run(name, pairs)
    print(page.as_json(result) if as_json else page.as_text(result))


def main() -> None:
    """Entry point: a mistake of the user's is one message on stderr and exit code 2."""
    try:
        with readers_may_leave():
            code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # typer has made an exit code of it
        sys.exit(code)
    except UserError as error:
        _fail(f"error: {error}", 2)
    except OSError as error:
        _fail(f"error: {error.filename or 'a file'}: {error.strerror or error}", 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted: run the same command to go on", INTERRUPTED)
    except Exception as error:
        # An unknown command or option, a value out of range: typer's copy of click is private, this method its mark.
        message = getattr(error, "format_message", None)
        if message is None:
            traceback.print_exc()
            _fail("this is a mistake of collapselab's: please report it with the lines above", 2)
        else:
            _fail(f"error: {message()} (see collapselab --help)", 2)


def _fail(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)

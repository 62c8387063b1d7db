"""What the options change."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.diagnose.conftest import Array, Run, flat, gaussian

Npy = Callable[[str, Array], Path]


def test_exit_codes(run: Run, npy: Npy) -> None:
    healthy, collapsed = npy("healthy", gaussian()), npy("collapsed", flat())
    assert run("diagnose", healthy).code == 0 and run("diagnose", collapsed).code == 0
    assert run("diagnose", healthy, "--fail-on-collapse").code == 0
    result = run("diagnose", collapsed, "--fail-on-collapse", "--json")
    assert result.code == 1 and result.json["verdict"] == ["dimensional"] and result.err == ""
    assert run("diagnose", collapsed, "--fail-on-colapse").code == 2


def test_labels_say_whether_clusters_are_classes(run: Run, npy: Npy) -> None:
    labels = np.arange(400) % 8
    clusters = npy("clusters", 5 * gaussian(8, 32)[labels] + 0.02 * gaussian(400, 32, seed=1))
    found = run("diagnose", clusters, "--labels", npy("labels", labels), "--json").json
    assert "they are the classes" in found["kinds"]["cluster"]["evidence"]
    names = npy("names", np.array(list("abcdefgh"))[labels][:, None])
    assert run("diagnose", clusters, "--labels", names, "--json").json["metrics"] == found["metrics"]


def test_under_a_loss_of_cosines_lengths_are_free(run: Run, tmp_path: Path) -> None:
    """One direction, as BYOL without stop-gradient ends, each vector of its own length."""
    lengths = np.exp(gaussian(400, 1, seed=2))[:, :, None]
    now = lengths * (np.ones(16) + 0.005 * gaussian(400 * 4, 16).reshape(400, 4, 16))
    start = gaussian(400, 16, seed=3)[:, None] + gaussian(400 * 4, 16, seed=4).reshape(400, 4, 16)
    for name, views in (("now", now), ("start", start)):
        np.savez(tmp_path / f"{name}.npz", features=views[:, 0], views=views)
    command = ("diagnose", tmp_path / "now.npz", "--reference", tmp_path / "start.npz", "--json")
    assert "complete" not in run(*command).json["verdict"]
    assert "complete" in run(*command, "--cosine").json["verdict"]


def test_tokens_of_other_images_and_an_interval_for_them(run: Run, npy: Npy) -> None:
    tokens = npy("tokens", gaussian(50 * 6, 16).reshape(50, 6, 16))
    found = run("diagnose", npy("f", gaussian()), "--tokens", tokens, "--draws", 4, "--json").json
    assert found["kinds"]["token-smooth"]["interval"] is not None and "token-position" in found["kinds"]


def test_thresholds_from_a_file(run: Run, npy: Npy, tmp_path: Path) -> None:
    features = npy("f", flat(600, 15, 16))
    assert run("diagnose", features, "--json").json["verdict"] == []
    (tmp_path / "t.json").write_text('{"dimensional/dead-share": {"none": 0.01, "full": 0.05}}')
    assert run("diagnose", features, "--thresholds", tmp_path / "t.json", "--json").json["verdict"] == ["dimensional"]


def test_a_loss_at_ln_k_is_a_warning(run: Run, npy: Npy, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("step,loss,note\n" + "".join(f"{step},{math.log(4096)},x\n" for step in range(20)))
    found = run("diagnose", npy("f", gaussian()), "--history", path, "--json").json
    assert any("ln 4096 = 8.3178" in warning for warning in found["warnings"])


def test_the_history_of_a_run_is_read_without_being_named(run: Run, runs: tuple[Path, Path]) -> None:
    (runs[0] / "history.csv").write_text("step,loss\n" + "".join(f"{step},-1.0\n" for step in range(20)))
    found = run("diagnose", runs[0], "--json").json
    assert any("sits at -1" in warning for warning in found["warnings"])


def test_draws_make_intervals(run: Run, npy: Npy) -> None:
    features = npy("f", flat())
    assert run("diagnose", features, "--json").json["kinds"]["dimensional"]["interval"] is None
    low, high = run("diagnose", features, "--draws", 6, "--json").json["kinds"]["dimensional"]["interval"]
    assert 0.5 <= low <= high <= 1
    assert run("diagnose", features, "--draws", "-1").code == 2


def test_a_reference_of_other_dimensions_is_compared_and_not_graded_against(run: Run, npy: Npy) -> None:
    found = run("diagnose", npy("a", gaussian()), "--reference", npy("b", gaussian(300, 8)), "--json").json
    assert any("another network" in warning for warning in found["warnings"])
    assert "norm" in found["undetermined"] and found["comparison"]["layers"]["a"]["moved"]


def test_the_same_bytes_twice(run: Run, npy: Npy, tmp_path: Path) -> None:
    features = npy("f", flat())
    written = []
    for name in ("one", "two"):
        svg, html = tmp_path / f"{name}.svg", tmp_path / f"{name}.html"
        result = run("diagnose", features, "--plot", svg, "--html", html, "--json", "--draws", 3)
        written.append((result.out, svg.read_bytes(), html.read_bytes()))
    assert written[0] == written[1]

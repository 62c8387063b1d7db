"""What people read: terminal, page, picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.diagnose.conftest import Array, Run, flat, gaussian

from collapselab.diagnose.content import HEALTHY, number

Npy = Callable[[str, Array], Path]


def test_plain_text_at_80_columns(run: Run, npy: Npy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = run("diagnose", npy("f", flat()), "--draws", 4).out
    lines = out.splitlines()
    assert lines[0] == "dimensional collapse"
    assert max(map(len, lines)) <= 80 and "\x1b" not in out
    assert "10 of 16 directions carry nothing" in " ".join(out.split()) and "try: " in out
    # The worst comes first, and each rank has its ceiling and its baselines beside it.
    assert out.index("dimensional  1.00") < out.index("\ncluster") < out.index("What the ranks")
    assert "ceiling" in out and "shuffled" in out and "i^-1.5" in out
    assert "one-hot, uniform" in out and "--probabilities FILE" in out
    assert lines[-1] == "More: collapselab explain dimensional"


def test_healthy_in_words(run: Run, npy: Npy) -> None:
    assert run("diagnose", npy("f", gaussian())).out.startswith(HEALTHY + "\n")


def test_several_kinds_in_words(run: Run, npy: Npy) -> None:
    p = flat(600, 4, 4) * 0
    p[:, 0] = 1
    assert run("diagnose", npy("f", flat()), "--probabilities", npy("p", p)).out.startswith(
        "dimensional and one-hot collapse\n"
    )


def test_colours_where_they_are_asked_for_and_not_against_no_color(
    run: Run, npy: Npy, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = npy("f", gaussian())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in run("diagnose", features).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in run("diagnose", features).out  # bold stays, colours don't


class Page(HTMLParser):
    """Checks that tags close in order; gathers text and what would be loaded from elsewhere."""

    VOID = ("meta", "br", "link", "img", "path", "use", "line", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.outside += [value for name, value in attributes if name in ("src", "href") and value and value[0] != "#"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_self_contained(run: Run, runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.html"
    assert run("diagnose", runs[0], "--reference", runs[1], "--html", out).code == 0
    page = Page()
    page.feed(out.read_text())
    assert page.open == [] and page.outside == []
    assert "prefers-color-scheme: dark" in out.read_text()
    for said in (
        "10 of 16 directions carry nothing",
        "Against the reference",
        "embedding",
        "--probabilities FILE",
        "exp H(s",
    ):
        assert said in page.text
    assert str(tmp_path) not in page.text.replace(str(runs[0]), "").replace(str(runs[1]), "")


def test_names_of_files_are_no_markup(run: Run, npy: Npy, tmp_path: Path) -> None:
    assert run("diagnose", npy("<b>x", gaussian()), "--html", tmp_path / "o.html").code == 0
    assert "<b>" not in (tmp_path / "o.html").read_text()


def test_the_picture_is_an_svg_with_all_curves(run: Run, runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "o.svg"
    assert run("diagnose", runs[0], "--reference", runs[1], "--plot", out).code == 0
    root = ElementTree.fromstring(out.read_text())
    assert root.tag.endswith("svg")
    for colour in (
        "#0072b2",
        "#d55e00",
        "#009e73",
        "#cc79a7",
        "#e69f00",
    ):  # here, shuffled, isotropic, start, reference
        assert colour in out.read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "undefined"),
        (float("nan"), "undefined"),
        (12.0, "12"),
        (1234.5, "1,234"),
        (0.000123, "0.000123"),
        (1e9, "1e+09"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text

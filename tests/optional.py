"""Tests of packages that collapselab does without."""

from __future__ import annotations

import importlib.util

import pytest


def needs(package: str) -> pytest.MarkDecorator:
    """Skips where it is not installed; one that is there and does not import fails the test."""
    return pytest.mark.skipif(
        not importlib.util.find_spec(package), reason=f"{package} is not installed; `make test` installs it"
    )

"""The JSON schema of params.yaml, from the same models that validate it."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, create_model

from collapselab.config.study import REGIMES, Study
from collapselab.methods import METHODS


def params_schema() -> dict[str, Any]:
    """One schema for the whole file; each method's own keys are offered once `method` is written."""
    union: Any = reduce(or_, (method.Config for method in METHODS.values()))
    regimes: Any = dict[str, Annotated[union, Field(discriminator="method")]]
    return create_model("Params", __base__=Study, regimes=(regimes, Field(description=REGIMES))).model_json_schema()

"""Strict models, and errors that name the key, the value and what is allowed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collapselab.errors import UserError


class Strict(BaseModel):
    """Frozen; an unknown key, a string for a number or a number out of range is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]


def ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    """A validator for [low, high] ranges."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"the low end {bounds[0]:g} lies above the high end {bounds[1]:g}")
    return bounds


def unique(values: list[int]) -> list[int]:
    """A validator for seeds: one named twice would be counted as two."""
    if len(set(values)) < len(values):
        raise ValueError("names a seed twice")
    return values


def nearest(name: str, allowed: Iterable[str]) -> str:
    """ " did you mean `x`? Allowed: a, b, c", the way every unknown name is answered."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean `{close[0]}`? " if close else "") + "Allowed: " + ", ".join(names)


def validate(model: type[Model], raw: object, where: str) -> Model:
    """`raw` (as YAML gives it) as a `model`; `where` names it in errors, for example "params.yaml: regimes.simsiam".

    Raises UserError with one line for each mistake.
    """
    if not isinstance(raw, Mapping):
        raise UserError(f"{where} = {raw!r}: expected a mapping of keys to values")
    try:
        # Through JSON, where strict mode still takes a list for a tuple and an int for a float, but no string for a number.
        return model.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        raise UserError("\n".join(_line(model, raw, item, where) for item in error.errors())) from None
    except TypeError as error:
        raise UserError(f"{where}: {error}: use numbers, strings, booleans, lists and mappings only") from None


def choose(models: Mapping[str, type[Model]], raw: object, key: str, where: str) -> Model:
    """Validate `raw` as the model that its own `key` (method, source, architecture) names."""
    if not isinstance(raw, Mapping):
        raise UserError(f"{where} = {raw!r}: expected a mapping with the key `{key}`")
    if key not in raw:
        raise UserError(f"{where}.{key} is missing. Allowed: {', '.join(sorted(models))}")
    name = raw[key]
    if not isinstance(name, str) or name not in models:
        raise UserError(f"{where}.{key} = {name!r}: unknown; {nearest(str(name), models)}")
    return validate(models[name], raw, where)


def _line(model: type[BaseModel], raw: Any, item: Any, where: str) -> str:
    path = [str(part) for part in item["loc"]]
    dotted = where + (" " if where.endswith(":") else ".") + ".".join(path)
    if item["type"] == "extra_forbidden":
        return f"{dotted} = {item['input']!r}: unknown key; {nearest(path[-1], _keys(model, path[:-1]))}"
    if item["type"] == "missing":
        return f"{dotted} is missing: {_description(model, path)}"
    message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if not path:  # a rule between several keys names them itself
        return f"{where.removesuffix(':')}: {message}"
    return f"{dotted} = {item['input']!r}: {message}"


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    node = _node(model, path)
    return list(node.get("properties", {}))


def _description(model: type[BaseModel], path: list[str]) -> str:
    node = _node(model, path)
    return str(node.get("description") or node.get("type") or "a value is required")


def _node(model: type[BaseModel], path: list[str]) -> dict[str, Any]:
    """The JSON schema at `path`: pydantic's own account of what is allowed there."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in path:
        node = _resolve(schema, node)
        properties = node.get("properties", {})
        named = [*node.get("patternProperties", {}).values(), node.get("additionalProperties"), node.get("items")]
        node = properties.get(part) or next((entry for entry in named if isinstance(entry, dict)), {})
    return _resolve(schema, node)


def _resolve(schema: dict[str, Any], node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {}
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    if "$ref" in node:
        return dict(schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    return dict(node)

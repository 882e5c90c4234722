"""Whether two parts of definitions say the same, however they are written: spaces, quotes and brackets aside."""

from __future__ import annotations

import ast
from typing import Any

from attrs import asdict

from statemachines.language.definition import Definition, Transition
from statemachines.language.expressions import Expression


def plain(part: Any) -> Any:
    """A part as plain values that are equal if the parts say the same.

    >>> from statemachines.language.expressions import parse_expression
    >>> plain(parse_expression("a  and (b)")) == plain(parse_expression("a and b"))
    True
    """
    match part:
        case Expression():
            return ("expression", ast.unparse(part.tree))
        case dict():
            return ("mapping", tuple((name, plain(value)) for name, value in part.items()))
        case list() | tuple():
            return tuple(plain(item) for item in part)
        case bool() | int() | float():
            return (type(part).__name__, part)
        case _ if hasattr(part, "__attrs_attrs__"):
            fields = asdict(part, recurse=False)
            if "written" in fields and not isinstance(fields["delay"], str):
                del fields["written"]  # 1m and 60s are one delay
            return (type(part).__name__, tuple((name, plain(value)) for name, value in fields.items()))
    return part


def same_transition(one: Transition, other: Transition) -> bool:
    """Whether two transitions say the same."""
    return bool(plain(one) == plain(other))


def behaviour(definition: Definition) -> Any:
    """All of a definition that decides what a living connection does: equal for definitions that never differ there."""
    return plain(
        (definition.states, definition.timeouts, definition.dependencies, definition.remember, definition.name)
    )

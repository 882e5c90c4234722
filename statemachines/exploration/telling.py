"""Which values expressions can tell apart: those that differ in an atom.

An atom is a largest part of an expression that reads one thing alone: the event, or one remembered value. Values for
which all atoms come out alike are one, for no expression has any other way to see them (predicate abstraction; Graf and
Saidi, 1997).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from attrs import evolve

from bus.event import Event
from statemachines.exploration.reading import Relevance, path_of
from statemachines.exploration.values import frozen_value
from statemachines.language.expressions import Expression
from statemachines.table.compiling import Value
from statemachines.table.step import Steps

NO_EVENT = Event("", None, {}, id="", timestamp=0.0)
"""At rest there is no event."""

IsOf = Callable[[tuple[str, ...]], bool]
"""Whether a name, with its fields, belongs to what an atom may read."""


def atoms_of(tree: ast.expr, is_of: IsOf, *, truth: bool) -> Iterator[ast.expr]:
    """The atoms of an expression; only whether they hold, if that is all it takes."""
    if _is_alone(tree, is_of):
        if any(isinstance(node, ast.Name) for node in ast.walk(tree)):
            yield ast.UnaryOp(ast.Not(), tree) if truth else tree
        return
    connects = isinstance(tree, ast.BoolOp) or (isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not))
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr):
            yield from atoms_of(child, is_of, truth=truth and connects)


def _is_alone(tree: ast.expr, is_of: IsOf) -> bool:
    path = path_of(tree)
    if path is not None:
        return is_of(path)
    if isinstance(tree, ast.Name):
        return is_of((tree.id,))
    if isinstance(tree, ast.Call):
        return False
    return all(_is_alone(child, is_of) for child in ast.iter_child_nodes(tree) if isinstance(child, ast.expr))


def reads_event_alone(tree: ast.expr) -> bool:
    """Whether an expression reads nothing but the event."""
    return _is_alone(tree, is_of_event)


def is_of_event(name: tuple[str, ...]) -> bool:
    """Whether a name is the event's, or a field of its payload."""
    return name[0] in ("data", "event")


def compiled(atom: ast.expr, steps: Steps) -> Value:
    """The value of an atom, in a list, so that None is told from what cannot be evaluated."""
    listed = ast.List([atom], ast.Load())
    return steps.table.compiler.value(Expression(ast.unparse(listed), listed, (), (), (), ()))


def signature_of(number: int, steps: Steps, relevance: Relevance) -> Callable[[Any], Any]:
    """What tells values of a remembered fact apart, for all that is ever asked of it."""
    path = ("meta", steps.layout.remembered[number])
    atoms = {
        ast.unparse(atom): compiled(atom, steps)
        for expression, is_value in relevance.asked()
        for atom in atoms_of(expression.tree, path.__eq__, truth=not is_value)
    }
    blank = steps.blank
    before, after = blank.remembered[:number], blank.remembered[number + 1 :]

    known: dict[Any, Any] = {}

    def signature(value: Any) -> Any:
        key = frozen_value(value)
        if key not in known:
            record = evolve(blank, remembered=(*before, value, *after))
            known[key] = tuple(frozen_value(atom(record, NO_EVENT)) for atom in atoms.values())
        return known[key]

    return signature

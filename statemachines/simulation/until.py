"""What an incident is told by: an expression of the guard language that comes true for some connection.

It is asked after each step, with the event of that step: ``event`` and ``data.*`` are its own. Beside what guards read
there is ``'connection.ready' in published``: whether that was published for the connection by then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from attrs import define, evolve, field

from statemachines.connections.trace import Entry
from statemachines.errors import ExpressionError, suggestion
from statemachines.language.definition import Definition, Remembered
from statemachines.language.expressions import Expression, parse_expression
from statemachines.table.compiling import Guard
from statemachines.table.step import Step, Steps

PUBLISHED = "published"
_FIXED = ("all_ready", "any_failed", PUBLISHED)


class CameTrue(Exception):
    """The expression did, for this connection: ends the replay in which it does."""

    def __init__(self, connection: str) -> None:
        super().__init__(connection)
        self.connection = connection


@define(eq=False)
class Until:
    """An expression, ready to be asked of the steps of a definition.

    :ivar steps: makes those steps; it counts the visits that the expression asks about
    """

    text: str
    definition: Definition
    _steps: Steps | None = None
    steps: Steps = field(init=False)
    _expression: Expression = field(init=False)
    _asked: tuple[str, ...] = field(init=False)
    _guards: dict[tuple[bool, ...], Guard | bool] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """:raises ExpressionError: it is none, or reads what the definition does not have; at which offset."""
        self._expression = _checked(parse_expression(self.text), self.definition)
        declared = PUBLISHED in self.definition.dependencies
        self._asked = () if declared else tuple(_asked_publications(self._expression))
        # Nothing is ever remembered under this name; it makes the layout count the visits that are asked about.
        watched = {"until": Remembered((), _with_publications(self._expression, self._asked, ()))}
        remember = {**self.definition.remember, **watched}
        self.steps = self._steps or Steps(evolve(self.definition, remember=remember))

    @property
    def asks_what_is_published(self) -> bool:
        """Whether it depends on more than the last step."""
        return bool(self._asked)

    @property
    def parts(self) -> list[Until]:
        """What must be true at once, if it is several expressions joined by ``and``; asked of the same steps."""
        match self._expression.tree:
            case ast.BoolOp(op=ast.And(), values=values):
                return [Until(ast.unparse(part), self.definition, self.steps) for part in values]
        return []

    def holds(self, step: Step, published: Iterable[str] = ()) -> bool:
        """Whether it is true after a step."""
        said = set(published) if self._asked else set()
        outcomes = tuple(event_type in said for event_type in self._asked)
        guard = self._guards.get(outcomes)
        if guard is None:
            expression = _with_publications(self._expression, self._asked, outcomes)
            guard = self._guards[outcomes] = self.steps.table.compiler.guard(expression)
        return guard if isinstance(guard, bool) else guard(step.after, step.event)


@define(eq=False)
class Watcher:
    """Asks along a simulation: its ``see`` is the simulation's ``watch``, its ``hear`` what the simulation emits to.

    :raises CameTrue: from within the simulation, as soon as it does
    """

    until: Until
    _last: dict[str, Step] = field(factory=dict)
    _published: dict[str | None, list[str]] = field(factory=dict)

    def see(self, step: Step) -> None:
        """A step was made."""
        connection = step.after.connection_id
        if self.until.asks_what_is_published:
            self._last[connection] = step
        if self.until.holds(step, self._published.get(connection, ())):
            raise CameTrue(connection)

    def hear(self, entry: Entry) -> None:
        """Something happened."""
        if entry.kind != "publish" or not self.until.asks_what_is_published:
            return
        published = self._published.setdefault(entry.connection, [])
        published.append(entry.details["type"])
        step = None if entry.connection is None else self._last.get(entry.connection)
        if step is not None and self.until.holds(step, published):
            raise CameTrue(step.after.connection_id)


# -- names --


def _checked(expression: Expression, definition: Definition) -> Expression:
    states = [state.id for state in definition.walk()]
    for name, offset in expression.dependencies:
        known = [*definition.dependencies, *_FIXED]
        if name not in known:
            hint = f" (did you mean In('{name}')?)" if name in states else suggestion(name, known)
            raise ExpressionError(f"{definition.name} has no dependency '{name}'{hint}", offset)
    for name, offset in expression.meta:
        if name not in definition.remember:
            hint = suggestion(name, definition.remember)
            raise ExpressionError(f"{definition.name} remembers nothing as 'meta.{name}'{hint}", offset)
    for name, offset in (*expression.visits, *expression.states):
        if name not in states:
            raise ExpressionError(f"{definition.name} has no state '{name}'{suggestion(name, states)}", offset)
    return expression


# -- publications --


def _is_asked(node: ast.AST) -> bool:
    """Whether this is ``'connection.ready' in published``, or ``not in``."""
    return (
        isinstance(node, ast.Compare)
        and len(node.ops) == 1
        and isinstance(node.ops[0], ast.In | ast.NotIn)
        and isinstance(node.comparators[0], ast.Name)
        and node.comparators[0].id == PUBLISHED
    )


def _asked_publications(expression: Expression) -> Iterator[str]:
    names = 0
    found: dict[str, None] = {}
    for node in ast.walk(expression.tree):
        names += isinstance(node, ast.Name) and node.id == PUBLISHED
        if _is_asked(node) and isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            names -= 1
            found[str(node.left.value)] = None
    if names:
        offset = next(offset for name, offset in expression.dependencies if name == PUBLISHED)
        raise ExpressionError("ask for one event, as in 'connection.ready' in published", offset)
    yield from found


class _Replacing(ast.NodeTransformer):
    def __init__(self, said: dict[str, bool]) -> None:
        self.said = said

    def visit_Compare(self, node: ast.Compare) -> Any:
        if not _is_asked(node) or not isinstance(node.left, ast.Constant):
            return self.generic_visit(node)
        is_there = self.said.get(str(node.left.value), False)
        return ast.Constant(is_there == isinstance(node.ops[0], ast.In))


def _with_publications(expression: Expression, asked: tuple[str, ...], outcomes: tuple[bool, ...]) -> Expression:
    """The expression with what it asks of publications answered; nothing was, where there is no outcome."""
    if not asked:
        return expression
    tree = _Replacing(dict(zip(asked, outcomes, strict=False))).visit(deepcopy(expression.tree))
    left = tuple((name, offset) for name, offset in expression.dependencies if name != PUBLISHED)
    return evolve(expression, tree=tree, dependencies=left)

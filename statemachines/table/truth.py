"""How guards can come out, found by trying: the answer to :data:`statemachines.language.truth.Truth`.

What a guard reads is taken apart into variables, each gets a few values, and the compiled guard is asked about every
combination. The answer is sure because the values stand for all others:

* Readiness, ``In('state')`` and the like have two values or three, so that all are tried. States that cannot be active
  together are not.
* A field of the payload, a remembered value, a count of visits or the event's type is sure only where each of its
  comparisons is with a constant. Then any value does as another of its type which lies between the same constants
  does: each constant is tried, something between each two and beyond the outermost, nothing, a list, true and false.

Anything else (arithmetic on a field, two fields compared, ``'a' in data.tags``) is not told, nor is what would take
more than ``MAX_WORLDS`` tries for one question or ``MAX_TRIES`` for one definition: better no alarm than a false one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from math import floor
from typing import Any

from attrs import define, field, frozen

from bus.event import Event
from bus.names import matches
from statemachines.language.definition import Definition
from statemachines.language.expressions import Expression
from statemachines.language.names import is_done, is_pattern
from statemachines.language.truth import Asked, Outcomes, Truth
from statemachines.table.compiling import Compiler, Guard
from statemachines.table.layout import Layout
from statemachines.table.record import Identity, Record
from statemachines.table.table import Situation

MAX_WORLDS = 4_000
MAX_TRIES = 40_000
MAX_STATES = 5

_EQUALITY = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
_MEMBERSHIP = (ast.In, ast.NotIn)

Variable = tuple[str, ...]
"""What varies: ``("data", "a", "b")``, ``("meta", "x")``, ``("visits", "x")``, ``("event",)``."""


class _Unsure(Exception):
    """What is asked cannot be told for sure."""


def truth_of(definition: Definition) -> Truth:
    """How the guards of a definition without errors can come out.

    >>> from statemachines.language import parse_definition, parse_expression
    >>> truth = truth_of(parse_definition("{name: x, states: {a: {initial: true, final: true}}}"))
    >>> truth((parse_expression("data.n > 3 and data.n < 2"),), Asked())
    frozenset({(False,)})
    """
    return _Truth(definition).ask


@frozen
class _World:
    """One way in which things can be when guards are asked, without what is active."""

    record: Record
    event: Event


class _Truth:
    """Answers for one definition, and remembers the answers."""

    def __init__(self, definition: Definition) -> None:
        self._layout = Layout(definition)
        self._compiler = Compiler(self._layout)
        self._nowhere = Situation((), (), self._layout)
        self._tries = MAX_TRIES
        self._answers: dict[tuple[tuple[Expression, ...], Asked], Outcomes | None] = {}

    def ask(self, guards: tuple[Expression, ...], asked: Asked) -> Outcomes | None:
        if (guards, asked) not in self._answers:
            try:
                self._answers[guards, asked] = self._find(guards, asked)
            except _Unsure:
                self._answers[guards, asked] = None
        return self._answers[guards, asked]

    def _find(self, guards: tuple[Expression, ...], asked: Asked) -> Outcomes | None:
        reads = _Reads.of(guards)
        inside = list(self._active(reads.states, asked.state))
        axes = list(self._axes(reads, asked))
        size = len(inside)
        for axis in axes:
            size *= len(axis)
        if size > MAX_WORLDS or size > self._tries:
            return None
        self._tries -= size
        found: set[tuple[bool, ...]] = set()
        worlds = [self._world(dict(values)) for values in product(*axes)]
        for active in inside:
            compiled = [self._compiler.guard(guard, active) for guard in guards]
            for world in worlds:
                found.add(tuple(_outcome(guard, world) for guard in compiled))
            if len(found) == 2 ** len(guards):
                break
        return frozenset(found)

    def _active(self, states: Sequence[str], owner: str | None) -> Iterator[dict[str, bool]]:
        """Which of some states can be active together while ``owner`` is."""
        if len(states) > MAX_STATES:
            raise _Unsure
        numbers = [self._layout.index[state] for state in states]
        always = [] if owner is None else [self._layout.index[owner]]
        for values in product((True, False), repeat=len(states)):
            active = [number for number, value in zip(numbers, values, strict=True) if value] + always
            off = {number for number, value in zip(numbers, values, strict=True) if not value}
            around = {outer for number in active for outer in self._path(number)}
            if off.isdisjoint(around) and all(self._together(a, b) for a in active for b in active):
                yield dict(zip(states, values, strict=True))

    def _path(self, state: int) -> list[int]:
        """A state and those around it, from the outside in."""
        path = [state]
        while (parent := self._layout.parent[path[0]]) is not None:
            path.insert(0, parent)
        return path

    def _together(self, one: int, other: int) -> bool:
        ways = self._path(one), self._path(other)
        shared = [a for a, b in zip(*ways, strict=False) if a == b]
        if len(shared) == min(map(len, ways)):
            return True  # one is around the other, or they are the same
        return bool(shared) and self._layout.states[shared[-1]].parallel

    def _axes(self, reads: _Reads, asked: Asked) -> Iterator[list[tuple[Variable, Any]]]:
        """Each variable with the values to try."""
        for bit, values in self._dependencies(reads):
            yield [(("dependency", str(bit)), value) for value in values]
        for variable, constants in reads.variables.items():
            kind = variable[0]
            if kind == "visits":
                values = _counts(constants)
            elif kind == "event":
                values = _event_types(constants, asked.events)
            else:
                values = _anything(constants)
            yield [(variable, value) for value in values]

    def _dependencies(self, reads: _Reads) -> Iterator[tuple[int, list[Any]]]:
        """(ready, failed, required) of each dependency that is read, and of one that stands for all others."""
        layout = self._layout
        if not reads.summaries:
            yield from ((layout.bits[name], [(False, False, False), (True, False, False)]) for name in reads.names)
            return
        others = [name for name in layout.dependencies if name not in reads.names]
        fails = {name: bool(dependency.failed_on) for name, dependency in layout.definition.dependencies.items()}
        for name in (*reads.names, *others[:1]):
            can_fail = fails[name] if name in reads.names else any(fails[other] for other in others)
            statuses = [(False, False), (True, False)] + ([(False, True)] if can_fail else [])
            yield layout.bits[name], [(*status, required) for status in statuses for required in (False, True)]

    def _world(self, values: dict[Variable, Any]) -> _World:
        ready, failed, required = 0, 0, 0
        remembered: list[Any] = [None] * len(self._layout.remembered)
        visits = [0] * len(self._layout.visited)
        payload: dict[str, Any] = {}
        event_type = "some.event"
        for variable, value in values.items():
            match variable:
                case ("dependency", bit):
                    is_ready, has_failed, is_required = value
                    ready |= int(bit) * is_ready
                    failed |= int(bit) * has_failed
                    required |= int(bit) * is_required
                case ("meta", name):
                    remembered[self._layout.remembered.index(name)] = value
                case ("visits", name):
                    visits[self._layout.visit_number[self._layout.index[name]]] = value
                case ("event",):
                    event_type = value
                case ("data", *outer, last):
                    holder = payload
                    for name in outer:
                        holder = holder.setdefault(name, {})
                    holder[last] = value
        identity = Identity("", None, None, None, {}, 0.0)
        facts = ready, failed, required, tuple(remembered), tuple(visits)
        record = Record(identity, self._nowhere, *facts, (), 0.0, 0.0)
        return _World(record, Event(event_type, data=payload, id="", timestamp=0.0))


def _outcome(guard: Guard | bool, world: _World) -> bool:
    return guard if isinstance(guard, bool) else guard(world.record, world.event)


@define
class _Reads:
    """What guards read: dependencies, whether ``all_ready`` or ``any_failed``, states, and variables with constants."""

    names: list[str] = field(factory=list)
    summaries: bool = False
    states: list[str] = field(factory=list)
    variables: dict[Variable, list[Any]] = field(factory=dict)

    @classmethod
    def of(cls, guards: Sequence[Expression]) -> _Reads:
        """:raises _Unsure: if a guard does more with a variable than compare it with constants."""
        reads = cls()
        for guard in guards:
            reads._visit(guard.tree, truth_only=True)
            reads.states += [state for state, _ in guard.states if state not in reads.states]
        paths = [variable for variable in reads.variables if variable[0] == "data"]
        if any(one != other and one == other[: len(one)] for one in paths for other in paths):
            raise _Unsure  # data.a and data.a.b: what the one is decides what the other can be
        return reads

    def _visit(self, node: ast.expr, *, truth_only: bool) -> None:
        """Note what a part reads; ``truth_only`` means that it matters only whether it is true."""
        match node:
            case ast.BoolOp():
                for part in node.values:
                    self._visit(part, truth_only=truth_only)
            case ast.UnaryOp(op=ast.Not()):
                self._visit(node.operand, truth_only=True)
            case ast.UnaryOp():
                self._visit(node.operand, truth_only=False)
            case ast.BinOp():
                self._visit(node.left, truth_only=False)
                self._visit(node.right, truth_only=False)
            case ast.List() | ast.Tuple():
                for part in node.elts:
                    self._visit(part, truth_only=False)
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
                    self._compare(left, op, right)
            case ast.Name() | ast.Attribute():
                self._read(node, truth_only)
            case _:
                pass  # a constant, or In('state')

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> None:
        for side, other in ((left, right), (right, left)):
            variable = _variable(side)
            if variable is None:
                if not isinstance(side, ast.Constant):
                    self._visit(side, truth_only=False)
                continue
            if isinstance(op, _MEMBERSHIP) and side is right:
                raise _Unsure
            if variable == ("event",) and not isinstance(op, _EQUALITY + _MEMBERSHIP):
                raise _Unsure
            constants = _elements(other) if isinstance(op, _MEMBERSHIP) else [_constant(other)]
            self.variables.setdefault(variable, []).extend(constants)

    def _read(self, node: ast.Name | ast.Attribute, truth_only: bool) -> None:
        variable = _variable(node)
        if variable is not None:
            if not truth_only:
                raise _Unsure
            self.variables.setdefault(variable, [])
        elif isinstance(node, ast.Name) and node.id in ("all_ready", "any_failed"):
            self.summaries = True
        elif isinstance(node, ast.Name) and node.id not in self.names:
            self.names.append(node.id)


def _variable(node: ast.expr) -> Variable | None:
    if isinstance(node, ast.Name):
        return ("event",) if node.id == "event" else None
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.insert(0, node.attr)
        node = node.value
    return (node.id, *path) if path and isinstance(node, ast.Name) else None


def _elements(node: ast.expr) -> list[Any]:
    if not isinstance(node, ast.List | ast.Tuple):
        raise _Unsure
    return [_constant(part) for part in node.elts]


def _constant(node: ast.expr) -> Any:
    """The value of a literal, its sign included."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _constant(node.operand)
        if isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else +value
    if not isinstance(node, ast.Constant):
        raise _Unsure
    return node.value


def _numbers(constants: Sequence[Any]) -> list[Fraction]:
    try:
        return sorted({Fraction(constant) for constant in constants if isinstance(constant, int | float)})
    except (OverflowError, ValueError):  # 1e999 is infinite
        raise _Unsure from None


def _anything(constants: Sequence[Any]) -> list[Any]:
    """Values that do as any value whatever does, where it is compared with these constants only."""
    if not constants:
        return [None, 1]
    numbers = sorted({*_numbers(constants), Fraction(0)})
    texts = [constant for constant in constants if isinstance(constant, str)]
    between = [(low + high) / 2 for low, high in pairwise(numbers)]
    return [
        *(None, True, False, float("nan"), [], [0]),
        *numbers,
        *between,
        numbers[0] - 1,
        numbers[-1] + 1,
        *dict.fromkeys(("", *texts, *(text + "\0" for text in texts))),
    ]


def _counts(constants: Sequence[Any]) -> list[int]:
    near = {floor(number) + step for number in _numbers(constants) for step in (-1, 0, 1)}
    return sorted(count for count in near | {0, 1} if count >= 0)


def _event_types(constants: Sequence[Any], heard: Sequence[str]) -> list[str]:
    """Types that the event can have, of those that are heard; it can have any if none is, or if it is an end."""
    patterns = ["*"] if not heard or any(is_done(pattern) for pattern in heard) else heard
    named = [constant for constant in constants if isinstance(constant, str)]
    found = [name for name in named if any(matches(pattern, name) for pattern in patterns)]
    for pattern in patterns:
        if not is_pattern(pattern):
            found.append(pattern)
            continue
        name = pattern.removesuffix("*") + ("another" if pattern != "*" else "another.event")
        while name in named:
            name += "_one"
        found.append(name)
    return list(dict.fromkeys(found))

"""Which values a payload can have, as far as some guard can tell: the ones it is compared with, and others.

A field that is compared with 3 and with 7 is tried below, at, between and above them; one compared with a text also
with another text; one that counts as true or false with both; and every field is also left out. Fields that are kept,
and compared with other fields later, share their values, and there are two other texts, so that both outcomes of
``data.channel == meta.channel`` come up.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from attrs import define, field

from statemachines.exploration.reading import path_of
from statemachines.language.expressions import Expression

OTHERS = ("other", "another")
NUMBERS = (0, 1, 2, 5)
MAX_REMAINDER = 10

Term = tuple[str, ...]
"""A field of the payload, or a fact kept from one, as its path."""


@define
class _Group:
    """Terms that are compared with one another, and what they are compared with."""

    values: list[Any] = field(factory=list)
    ordered: bool = False
    mixed: bool = False
    truth: bool = False


class Candidates:
    """The values to try for each field, gathered from all expressions of a definition."""

    def __init__(self) -> None:
        self._definition = ""
        self._leader: dict[Term, Term] = {}
        self._groups: dict[Term, _Group] = {}

    def begin(self, definition: str) -> None:
        """What follows is of another definition, whose facts are others."""
        self._definition = definition

    def condition(self, expression: Expression) -> None:
        """A guard is asked."""
        self._truth(expression.tree)

    def kept(self, name: str, value: Expression) -> None:
        """A value is kept as ``meta.<name>``."""
        self._value(value.tree)
        for term in _terms(value.tree):
            self._join(("meta", name), term)
        if isinstance(value.tree, ast.Constant):
            self._group(("meta", name)).values.append(value.tree.value)

    def known(self, name: str, value: Any) -> None:
        """A fact ``meta.<name>`` that somebody has."""
        self._group(("meta", name)).values.append(value)

    def told(self, expression: Expression) -> None:
        """A value is published, for everybody to see: any two texts differ, what is computed also takes numbers."""
        self._value(expression.tree)
        computed = any(isinstance(node, ast.BinOp | ast.USub) for node in ast.walk(expression.tree))
        for term in _terms(expression.tree):
            group = self._group(term)
            group.mixed = True
            group.values += NUMBERS if computed else ()

    def of(self, path: tuple[str, ...]) -> list[Any]:
        """The values to try for ``data.<path>``, None (left out) first."""
        return distinct([None, *_spread(self._group(("data", *path)))])

    # -- gathering --

    def _truth(self, tree: ast.expr) -> None:
        match tree:
            case ast.BoolOp():
                for part in tree.values:
                    self._truth(part)
            case ast.UnaryOp() if isinstance(tree.op, ast.Not):
                self._truth(tree.operand)
            case _ if path_of(tree) is not None:
                self._group(path_of(tree) or ()).truth = True
            case _:
                self._value(tree)

    def _value(self, tree: ast.expr) -> None:
        match tree:
            case ast.Compare():
                sides = [tree.left, *tree.comparators]
                for op, left, right in zip(tree.ops, sides, sides[1:], strict=False):
                    self._compare(op, left, right)
            case ast.BoolOp():
                self._truth(tree)
            case _:
                for child in ast.iter_child_nodes(tree):
                    if isinstance(child, ast.expr) and path_of(tree) is None:
                        self._value(child)

    def _compare(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> None:
        terms = [*_terms(left), *_terms(right)]
        for side in (left, right):
            if path_of(side) is None:
                self._value(side)
        if not terms:
            return
        for other in terms[1:]:
            self._join(terms[0], other)
        group = self._group(terms[0])
        group.mixed |= len(terms) > 1
        group.ordered |= isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        constants = [*_constants(left), *_constants(right)]
        group.values += constants
        if isinstance(op, ast.In | ast.NotIn) and path_of(right) is not None:
            group.values += [[constant] for constant in constants] + [[]]
        if any(isinstance(node, ast.BinOp) for side in (left, right) for node in ast.walk(side)):
            group.values += list(_computed(constants))

    def _group(self, term: Term) -> _Group:
        return self._groups.setdefault(self._lead(term), _Group())

    def _lead(self, term: Term) -> Term:
        if term[0] == "meta":
            term = (self._definition, *term)
        while (above := self._leader.get(term, term)) != term:
            term = above
        return term

    def _join(self, one: Term, other: Term) -> None:
        first, second = self._lead(one), self._lead(other)
        if first == second:
            return
        into, gone = self._group(first), self._groups.pop(second, _Group())
        self._leader[second] = first
        into.values += gone.values
        into.ordered |= gone.ordered
        into.mixed |= gone.mixed
        into.truth |= gone.truth


def _terms(tree: ast.expr) -> Iterator[Term]:
    path = path_of(tree)
    if path is not None and path[0] != "visits":
        yield path
        return
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr):
            yield from _terms(child)


def _constants(tree: ast.expr) -> Iterator[Any]:
    for node in ast.walk(tree):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            if isinstance(node.operand.value, int | float):
                yield -node.operand.value
        elif isinstance(node, ast.Constant):
            yield node.value


def _computed(constants: list[Any]) -> Iterator[Any]:
    """Values near which ``data.n % 4 == 1`` and ``data.n + 2 < 5`` change their answers."""
    numbers = [constant for constant in constants if _is_number(constant)]
    for one in numbers:
        if isinstance(one, int) and 0 < one <= MAX_REMAINDER:
            yield from range(one)
        for other in numbers:
            yield from (one + other, one - other)


def _spread(group: _Group) -> Iterator[Any]:
    """The values of a group, with what lies between and around them."""
    yield from group.values
    numbers = sorted({value for value in group.values if _is_number(value)})
    if numbers:
        yield from (numbers[0] - 1, numbers[-1] + 1)
        for low, high in pairwise(numbers):
            whole = isinstance(low, int) and isinstance(high, int) and high - low > 1
            yield (low + high) // 2 if whole else (low + high) / 2
    elif group.ordered and not any(isinstance(value, str) for value in group.values):
        yield from (0, 1)
    texts = sorted({value for value in group.values if isinstance(value, str)})
    if group.ordered and texts:
        yield from ("", *(f"{text}a" for text in texts))
    if group.truth:
        yield from (True, False)
    others = [text for text in OTHERS if text not in texts]
    yield from others if group.mixed or not others else others[:1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, 1 and True apart."""
    return list({frozen_value(value): value for value in values}.values())


def frozen_value(value: Any) -> Any:
    """A hashable stand-in for a value; equal only if no expression can tell the values apart."""
    if isinstance(value, dict):
        return ("dict", tuple((name, frozen_value(inner)) for name, inner in sorted(value.items())))
    if isinstance(value, list | tuple):
        return ("list", tuple(frozen_value(inner) for inner in value))
    return (type(value), value)

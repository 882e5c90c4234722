"""Which facts still matter where: what no step and no property reads before it is written anew is left out of a case.

That is the live-variable analysis of compilers, used to merge states (Bozga, Fernandez and Ghirvu, State space
reduction based on live variables analysis, 1999): two cases that agree in all but dead facts are bisimilar. What a step
reads is seen, not guessed: the guards that the table asks on the way to its leaf, each as far as Python evaluates it. A
case whose dead facts are different takes the same way, for nobody asks about them on it.

What is live is found while searching. A search begins with what the properties ask, and notes where a step reads a fact
that was taken for dead, or leads to where it is live. Then it was wrong to merge, and all begins again with what was
learnt; so the last search is one in which nothing was noted.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, cast

from attrs import define, field

from statemachines.exploration.cases import Cases
from statemachines.exploration.reading import Reads, Relevance
from statemachines.language.expressions import Expression
from statemachines.table.record import Record

Live = Mapping[tuple[int, ...], int]
"""The bits of the facts that are live, by active states."""

MAX_CONFIGURATIONS = 20_000
"""Where there are more, what is known of each would weigh more than the cases: all facts are live then, everywhere."""


class Liveness(dict[int, int]):
    """The bits of the dead facts, by the bits of a configuration."""

    def __init__(self, cases: Cases, relevance: Relevance, known: Live | None) -> None:
        super().__init__()
        self.facts = cases.mask(relevance.facts) & ~cases.required_mask
        self.grown = False
        """Whether a fact was read that was taken for dead."""
        self.where_mask = cases.configuration_mask if known is not None and self.facts else 0
        """The bits of a configuration; none, if all facts are live everywhere."""
        self._cases = cases
        self._relevance = relevance
        self._known = known
        self._flows: set[tuple[int, int, int]] = set()
        self._closed = _closures(cases, relevance)

    def __missing__(self, configuration: int) -> int:
        if self._known is None:
            live = self.facts
        else:
            states = self._cases.states(configuration)
            live = self._closure(self._asked(states) | self._known.get(states, 0))
        self.grown |= len(self) >= MAX_CONFIGURATIONS
        found = self[configuration] = self.facts & ~live
        return found

    def read(self, configuration: int, reads: int) -> None:
        """A step from here read these bits."""
        live = self._closure(reads & self[configuration])
        if live & self[configuration]:
            self[configuration] &= ~live
            self.grown = True

    def flow(self, before: int, after: int, written: int) -> None:
        """A step leads from one configuration to another, and writes some bits without having read them."""
        if (before, after, written) not in self._flows:
            self._flows.add((before, after, written))
            self.read(before, self.facts & ~self[after] & ~written)

    def known(self) -> Live | None:
        """What was learnt: for the next search. None: all facts are live everywhere."""
        if self._known is None or len(self) > MAX_CONFIGURATIONS:
            return None
        changed = True
        while changed:
            before = dict(self)
            for flow in list(self._flows):
                self.read(flow[0], self.facts & ~self[flow[1]] & ~flow[2])
            changed = before != self
        return {self._cases.states(bits): self.facts & ~dead for bits, dead in self.items()}

    def _closure(self, bits: int) -> int:
        """With the facts that these are made of."""
        while True:
            larger = bits
            for fact, made_of in self._closed:
                if bits & fact:
                    larger |= made_of
            if larger == bits:
                return bits
            bits = larger

    def _asked(self, states: tuple[int, ...]) -> int:
        """What the properties ask where these states are active."""
        ids = {self._cases.steps.layout.ids[state] for state in states}
        return self._cases.mask(self._relevance.reader.reads(asked_inside(one, ids) for one in self._relevance.judged))


def _closures(cases: Cases, relevance: Relevance) -> list[tuple[int, int]]:
    """For each fact, the facts that an event makes it of."""
    return [
        (cases.mask(fact & relevance.facts), cases.mask(relevance.reader.reads(made_of) & relevance.facts))
        for fact, made_of in relevance.made_of()
        if made_of
    ]


def asked_inside(expression: Expression, active: set[str]) -> Expression:
    """What is left of an expression where these states are active: ``In`` is known there."""
    left = _known(expression.tree, active)
    tree = ast.Constant(left) if isinstance(left, bool) else left
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {
        (n.value.id, n.attr) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    }
    return Expression(
        expression.text,
        tree,
        tuple(one for one in expression.dependencies if one[0] in names),
        tuple(one for one in expression.meta if ("meta", one[0]) in attributes),
        tuple(one for one in expression.visits if ("visits", one[0]) in attributes),
        (),
    )


def _known(tree: ast.expr, active: set[str]) -> ast.expr | bool:
    match tree:
        case ast.Call(args=[ast.Constant(value=state)]):
            return state in active
        case ast.UnaryOp(op=ast.Not()):
            inner = _known(tree.operand, active)
            return not inner if isinstance(inner, bool) else ast.UnaryOp(tree.op, inner)
        case ast.BoolOp():
            decides = isinstance(tree.op, ast.Or)
            left: list[ast.expr] = []
            for part in tree.values:
                known = _known(part, active)
                if known is decides:
                    # What stands before it is asked too, and if it cannot be evaluated, all is false.
                    left = [one for one in left if _may_fail(one)]
                    return ast.BoolOp(tree.op, [*left, ast.Constant(known)]) if left else decides
                if not isinstance(known, bool):
                    left.append(known)
            return ast.BoolOp(tree.op, left) if left else not decides
    return tree


def _may_fail(tree: ast.expr) -> bool:
    """Whether it may be that an expression cannot be evaluated."""
    safe = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
    return any(
        isinstance(node, ast.BinOp | ast.USub | ast.UAdd)
        or (isinstance(node, ast.Compare) and not all(isinstance(op, safe) for op in node.ops))
        for node in ast.walk(tree)
    )


# -- seeing what is read --


@define(eq=False)
class _Bits:
    """Readiness, of which those bits are noted that somebody looks at."""

    bits: int
    seen: int = 0

    def __and__(self, mask: int) -> int:
        self.seen |= mask
        return self.bits & mask


@define(eq=False)
class _Items:
    """Remembered values or visits, of which those are noted that somebody looks at."""

    items: tuple[Any, ...]
    seen: set[int] = field(factory=set)

    def __getitem__(self, number: int) -> Any:
        self.seen.add(number)
        return self.items[number]


class Watched:
    """A record that notes what guards read of it."""

    def __init__(self, record: Record) -> None:
        self.identity = record.identity
        self.situation = record.situation
        self.required = record.required
        self.ready = _Bits(record.ready)
        self.failed = _Bits(record.failed)
        self.remembered = _Items(record.remembered)
        self.visits = _Items(record.visits)

    @property
    def record(self) -> Record:
        """Itself, where a record is wanted."""
        return cast(Record, self)

    def reads(self) -> Reads:
        """What was read."""
        return Reads(self.ready.seen | self.failed.seen, frozenset(self.remembered.seen), frozenset(self.visits.seen))

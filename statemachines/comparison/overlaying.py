"""What is known of a living connection laid over every case that it may be in.

Of a connection whose facts are all known there is one such case. What is not known is taken from each case that the
exploration found in the same configuration.

A text that no expression compares with is as good as any other (data independence: Wolper, 1986): it is replaced by a
word such as ``other``, the same text by the same word. So connections with other phone numbers are judged as one, and
no number gets into what is told.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve

from statemachines.comparison.deployment import Deployment
from statemachines.comparison.living import Living
from statemachines.exploration.clocks import canonical, remaining
from statemachines.exploration.values import OTHERS
from statemachines.table.layout import Layout
from statemachines.table.record import Record
from statemachines.table.step import Steps

MAX_VALUES = 100
"""So many values of living connections are taken into the payloads that are tried."""


def values_of(living: Iterable[Living], layout: Layout) -> list[tuple[str, Any]]:
    """The remembered facts that connections have, each value once."""
    told = ((layout.remembered[number], value) for one in living for number, value in one.remembered.items())
    found = {(name, repr(value)): value for name, value in told}
    return [(name, value) for (name, _), value in list(found.items())[:MAX_VALUES] if value is not None]


def renamed(one: Living, old: Steps, new: Steps) -> Living:
    """The connection with every text that nobody compares with replaced."""
    compared, ordered = _texts(old, new)
    if ordered:
        return one
    words = (word for word in (*OTHERS, *(f"other {number}" for number in range(3, 1_000))) if word not in compared)
    names: dict[str, str] = {}

    def name(value: Any) -> Any:
        if not isinstance(value, str) or value in compared:
            return value
        if value not in names:
            names[value] = next(words)
        return names[value]

    return evolve(one, remembered={number: name(value) for number, value in sorted(one.remembered.items())})


def _texts(old: Steps, new: Steps) -> tuple[set[str], bool]:
    """The texts in all expressions, and whether any may be compared by order."""
    compared: set[str] = set()
    ordered = False
    for steps in (old, new):
        for expression in steps.layout.expressions():
            for node in ast.walk(expression.tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    compared.add(node.value)
                if isinstance(node, ast.Compare) and any(
                    isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in node.ops
                ):
                    ordered |= not any(_is_number(side) for side in (node.left, *node.comparators))
    return compared, ordered


def _is_number(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and isinstance(tree.value, int | float)


class Overlay:
    """Lays living connections over the cases of a deployment that was explored."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.layout = deployment.carrier.old
        self._by_states: dict[tuple[int, ...], list[int]] = {}
        for number, carried in enumerate(deployment.carried):
            if carried is not None:
                states = deployment.cases.states(deployment.graph.cases[number])
                self._by_states.setdefault(states, []).append(number)
        self._known: dict[Any, tuple[int | tuple[str, ...], ...]] = {}

    def carried(self, one: Living) -> tuple[int | tuple[str, ...], ...]:
        """The pairs that a connection may be carried to, or why it cannot be."""
        key = repr(evolve(one, connection_id="", keys=()))
        found = self._known.get(key)
        if found is None:
            cases = dict.fromkeys(self._laid(one))
            found = self._known[key] = tuple(self.deployment.pairs.carried(case) for case in cases)
        return found

    def is_certain(self, one: Living) -> bool:
        """Whether it can be in no other cases than these."""
        known = bool(self._numbers(one)) or self.deployment.graph.complete
        return self.deployment.graph.complete or (known and self._says_all(one))

    def configuration(self, one: Living) -> tuple[str, ...]:
        """Where it is, in names; empty if only its phase is known, and no case has it."""
        states = one.states
        if states is None:
            states = next((states for states in self._by_states if self._phase(states) == one.phase), ())
        return tuple(self.layout.ids[state] for state in states)

    # -- details --

    def _phase(self, states: tuple[int, ...]) -> str:
        return self.layout.phase(states)

    def _numbers(self, one: Living) -> list[int]:
        if one.states is not None:
            return self._by_states.get(one.states, [])
        return [n for states, numbers in self._by_states.items() if self._phase(states) == one.phase for n in numbers]

    def _laid(self, one: Living) -> Iterator[int]:
        cases, graph = self.deployment.cases, self.deployment.graph
        numbers = self._numbers(one)
        for number in numbers:
            case = graph.cases[number]
            yield self._pack(self._over(cases.record(case), one), one, cases.timers.of(case))
        if not numbers and one.states is not None:
            # No order of events leads there: it was put there by hand, or the exploration was cut.
            blank = cases.record(0)
            situation = cases.steps.table.situation(one.states, (None,) * len(self.layout.histories))
            yield self._pack(self._over(evolve(blank, situation=situation), one), one, ())

    def _over(self, record: Record, one: Living) -> Record:
        ready, failed = record.ready, record.failed
        for bit, status in one.statuses.items():
            ready = ready | bit if status == "ready" else ready & ~bit
            failed = failed | bit if status == "failed" else failed & ~bit
        situation = record.situation
        if one.history is not None:
            situation = self.deployment.cases.steps.table.situation(situation.states, one.history)
        return evolve(
            record,
            situation=situation,
            ready=ready,
            failed=failed,
            remembered=tuple(one.remembered.get(number, value) for number, value in enumerate(record.remembered)),
            visits=tuple(one.visits.get(number, count) for number, count in enumerate(record.visits)),
        )

    def _pack(self, record: Record, one: Living, timers: tuple[tuple[int, int], ...]) -> int:
        cases = self.deployment.cases
        if one.timers is not None:
            timers = canonical((remaining(seconds), spec.number) for spec, seconds in one.timers)
        return cases.pack(record) | cases.timers.number(timers)

    def _says_all(self, one: Living) -> bool:
        """Whether nothing is left open that could matter."""
        layout, facts = self.layout, self.deployment.cases.relevance.facts
        bits = sum(one.statuses)
        has_timers = one.timers is not None or not layout.timers
        has_history = one.history is not None or not layout.histories
        return (
            one.states is not None
            and not facts.dependencies & ~bits
            and facts.remembered <= one.remembered.keys()
            and facts.visits <= one.visits.keys()
            and has_timers
            and has_history
            and not any(state.defer for state in layout.states)
        )

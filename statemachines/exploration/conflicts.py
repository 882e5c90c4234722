"""Transitions that are enabled for the same event at once, so that only their order in the file decides.

Two of one state, both with a guard of their own: one without a guard after one with a guard is its ``else``. Or two of
regions that live side by side, of which one leaves what the other stands in: the one that comes first is taken alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from bus.event import Event
from statemachines.exploration.reading import conditions
from statemachines.language.definition import Transition
from statemachines.language.expressions import Expression
from statemachines.table.compiling import Guard
from statemachines.table.layout import Layout
from statemachines.table.record import Record
from statemachines.table.step import Steps
from statemachines.table.table import Situation


@frozen(order=True)
class Conflict:
    """Two transitions, by number, and the type of an event that enables both."""

    first: int
    second: int
    event_type: str


class Conflicts:
    """Those that were found."""

    def __init__(self, steps: Steps) -> None:
        self.found: dict[tuple[int, int], Conflict] = {}
        self._layout = steps.layout
        self._compiler = steps.table.compiler
        self._guards: dict[tuple[str, tuple[bool, ...]], Guard | bool] = {}
        self._of_state = _numbered(steps.layout)
        self._candidates: dict[tuple[tuple[int, ...], int], tuple[tuple[int, tuple[int, ...]], ...]] = {}
        self.transitions = tuple(transition for _, transition, _ in self._of_state)

    def look(self, situation: Situation, event_class: int, record: Record, event: Event) -> None:
        """See which transitions of a situation an event enables."""
        candidates = self._candidates.get((situation.states, event_class))
        if candidates is None:
            candidates = self._candidates[situation.states, event_class] = self._find(situation.states, event_class)
        if not candidates:
            return
        enabled: dict[int, list[int]] = {}
        for state, numbers in candidates:
            holding = [number for number in numbers if self._holds(number, situation.states, record, event)]
            if holding:
                enabled[state] = holding
        for first, second in (*self._of_one_state(enabled), *self._of_regions(enabled, situation.states)):
            self.found.setdefault((first, second), Conflict(first, second, event.type))

    def _find(self, states: tuple[int, ...], event_class: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """The transitions for the event by their states, if there are two at all."""
        found = []
        for state in states:
            numbers = tuple(
                n for n, (owner, _, classes) in enumerate(self._of_state) if owner == state and event_class in classes
            )
            if numbers:
                found.append((state, numbers))
        return tuple(found) if sum(len(numbers) for _, numbers in found) > 1 else ()

    def _holds(self, number: int, states: tuple[int, ...], record: Record, event: Event) -> bool:
        transition = self.transitions[number]
        return (transition.cond is None or self._ask(transition.cond, states, record, event)) and (
            transition.unless is None or not self._ask(transition.unless, states, record, event)
        )

    def _ask(self, expression: Expression, states: tuple[int, ...], record: Record, event: Event) -> bool:
        inside = {name: self._layout.index[name] in states for name, _ in expression.states}
        key = (expression.text, tuple(inside.values()))
        guard = self._guards.get(key)
        if guard is None:
            guard = self._guards[key] = self._compiler.guard(expression, inside)
        return guard if isinstance(guard, bool) else guard(record, event)

    def _of_one_state(self, enabled: dict[int, list[int]]) -> Iterator[tuple[int, int]]:
        for numbers in enabled.values():
            guarded = [number for number in numbers if any(True for _ in self._guards_of(number))]
            for position, first in enumerate(guarded):
                for second in guarded[position + 1 :]:
                    one, other = self.transitions[first], self.transitions[second]
                    if (one.target, one.on) != (other.target, other.on):
                        yield first, second

    def _guards_of(self, number: int) -> Iterator[Expression]:
        return conditions(self.transitions[number].cond, self.transitions[number].unless)

    def _of_regions(self, enabled: dict[int, list[int]], states: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Of the transitions that the leaves select, those that leave each other's place."""
        around = {self._layout.parent[state] for state in states}
        selected: dict[int, None] = {}
        for leaf in states:
            if leaf not in around:
                owner = next((state for state in (leaf, *self._around(leaf)) if state in enabled), None)
                if owner is not None:
                    selected[enabled[owner][0]] = None
        chosen = list(selected)
        for position, first in enumerate(chosen):
            for second in chosen[position + 1 :]:
                if self._interfere(first, second):
                    yield first, second

    def _interfere(self, first: int, second: int) -> bool:
        one, other = self._of_state[first][0], self._of_state[second][0]
        if one == other or one in self._around(other) or other in self._around(one):
            return False  # the inner one has precedence, which everybody expects
        leaves = self._left(first), self._left(second)
        return bool(leaves[0] & leaves[1])

    def _left(self, number: int) -> set[int]:
        """The states that a transition may leave."""
        owner, transition, _ = self._of_state[number]
        target = transition.target
        if target is None:
            return set()
        history = self._layout.history_index.get(target)
        inner = self._layout.histories[history][0] if history is not None else self._layout.index[target]
        around_target = [inner, *self._around(inner)] if history is not None else self._around(inner)
        around_source = [owner, *self._around(owner)] if transition.internal else self._around(owner)
        domain = next((s for s in around_source if s in around_target and not self._layout.states[s].parallel), None)
        if domain is None:
            return set(range(len(self._layout.states)))
        return {self._layout.index[state.id] for state in self._layout.states[domain].walk()} - {domain}

    def _around(self, state: int) -> list[int]:
        found = []
        parent = self._layout.parent[state]
        while parent is not None:
            found.append(parent)
            parent = self._layout.parent[parent]
        return found


def _numbered(layout: Layout) -> list[tuple[int, Transition, frozenset[int]]]:
    """Every transition with its state and its event classes, numbered as ``Chart.transitions`` is."""
    found = []
    for number, state in enumerate(layout.states):
        for transition in state.transitions:
            found.append((number, transition, frozenset(layout.classes_of(transition))))
        for timer in layout.timers_of.get(number, ()):
            found.append((number, timer.after.transition, frozenset([timer.event_class])))
    return found

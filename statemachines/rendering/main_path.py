"""The way that a connection takes when all goes well, found by reading the file as its author wrote it.

There is no such thing in the language, so this is a guess, and only drawings use it: begin at the initial state, and
take the first transition that leads further down in the file: of the state itself before those of states around it, on
an event before one that holds by itself, and that before a timer. What an exception is, an ``unless`` or a guard that
says ``not`` or ``any_failed``, comes last. The way ends in a final state, or at a state that it has passed already.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from attrs import field, frozen

from statemachines.language.definition import Definition, State, Transition
from statemachines.language.expressions import Expression
from statemachines.rendering.highlight import Highlight


def main_path(definition: Definition) -> Highlight:
    """The leaves and parallel states of the main way, in order, and the transitions that are its steps.

    >>> from statemachines import load_definition
    >>> main_path(load_definition("whatsapp_call")).states
    ('created', 'initializing', 'ready', 'terminating', 'terminated')
    """
    walk = _Walk(definition)
    steps = tuple(walk.steps())
    return Highlight(tuple(step.state for step in steps), frozenset(step.way for step in steps if step.way is not None))


@frozen(order=True)
class _Step:
    """How unusual a step is, the state that it leads to, and the transition that it is: its source and its target."""

    rank: int
    state: str = field(order=False)
    way: tuple[str, str] | None = field(default=None, order=False)


@frozen
class _Walk:
    definition: Definition
    states: dict[str, State] = field(init=False)
    order: dict[str, int] = field(init=False)
    parents: dict[str, str | None] = field(init=False)
    first_of_history: dict[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        states = {state.id: state for state in self.definition.walk()}
        object.__setattr__(self, "states", states)
        object.__setattr__(self, "order", {name: number for number, name in enumerate(states)})
        object.__setattr__(self, "parents", self.definition.parents())
        histories = {history.id: history.target for _, history in self.definition.histories()}
        object.__setattr__(self, "first_of_history", histories)

    def steps(self) -> Iterator[_Step]:
        top = self.definition.states
        first = next((state for state in top if state.initial), top[0])
        step: _Step | None = _Step(0, self._entered(first))
        passed: set[str] = set()
        while step is not None:
            yield step
            if step.state in passed:
                return
            passed.add(step.state)
            step = min(self._ways(step.state), default=None)

    def _entered(self, state: State) -> str:
        """Where entering a state leads: down its initial states, as far as one alone is active."""
        while state.states and not state.parallel:
            state = next((child for child in state.states if child.initial), state.states[0])
        return state.id

    def _ways(self, current: str) -> Iterator[_Step]:
        """The transitions of a state, then of those around it."""
        name: str | None = current
        while name is not None:
            state = self.states[name]
            moves = [*state.transitions, *(after.transition for after in state.after)]
            for transition in moves:
                if transition.target is not None:
                    target = self._entered(self.states[self.first_of_history.get(transition.target, transition.target)])
                    if target != current:
                        yield _Step(self._rank(current, name, transition, target), target, (name, transition.target))
            name = self.parents[name]

    def _rank(self, current: str, owner: str, transition: Transition, target: str) -> int:
        back = self.order[target] < self.order[current]
        if transition.unless is not None or (transition.cond is not None and _is_exception(transition.cond)):
            return 9
        by_itself = not transition.event
        if owner == current:
            return (4 if back else 0) + (0 if not by_itself else 1 if transition.cond is not None else 2)
        return 8 if back else 7 if by_itself else 3


def _is_exception(guard: Expression) -> bool:
    return any(
        isinstance(node, ast.Not) or (isinstance(node, ast.Name) and node.id == "any_failed")
        for node in ast.walk(guard.tree)
    )

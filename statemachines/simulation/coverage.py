"""What scenarios covered of a definition: its states, its transitions, and both outcomes of its guards.

- A state is covered once a connection entered it.
- A transition is covered once it was taken; those of timers count too.
- A guard's outcome is covered once python-statemachine asked that guard and got that answer. The step table keeps only
  the answers that decided, so the chart is sent each event once more and watched as it asks.

Conditions (``when``) of dependencies and of what is remembered are no guards of a step, and are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve, frozen

from statemachines.language.definition import Definition, State, Transition
from statemachines.language.expressions import Expression
from statemachines.table.chart import Chart
from statemachines.table.compiling import Compiler, Guard
from statemachines.table.layout import TERMINATION, Layout
from statemachines.table.step import Step


@frozen
class Part:
    """How much of one kind of thing was covered.

    :ivar missing: what was not, in document order
    """

    total: int
    missing: tuple[str, ...]

    @property
    def covered(self) -> int:
        """How many were covered."""
        return self.total - len(self.missing)

    @property
    def percent(self) -> float:
        """In percent; of nothing, everything is covered. Rounded down, so that 100 means all."""
        return 100.0 if not self.missing else int(1000 * self.covered / self.total) / 10

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "covered": self.covered,
            "total": self.total,
            "percent": self.percent,
            "missing": list(self.missing),
        }


class Coverage:
    """Counts what the steps of simulations of one definition cover: give :meth:`see` to them as ``watch``."""

    def __init__(self, definition: Definition) -> None:
        definition = _told_apart(definition)
        self._layout = Layout(definition)
        self._chart = Chart(self._layout)
        self._compiler = Compiler(self._layout)
        self._guards: dict[tuple[int, tuple[bool, ...]], Guard | bool] = {}
        self._entered: set[int] = set()
        self._taken: set[int] = set()
        self._answered: set[tuple[int, bool]] = set()

    def see(self, step: Step) -> None:
        """Count a step."""
        self._entered.update(step.outcome.entered)
        self._taken.update(step.outcome.transitions)
        self._ask_again(step)

    @property
    def states(self) -> Part:
        """The states that were entered."""
        ids = self._layout.ids
        return Part(len(ids), tuple(name for number, name in enumerate(ids) if number not in self._entered))

    @property
    def transitions(self) -> Part:
        """The transitions that were taken."""
        written = list(_written(self._layout))
        return Part(len(written), tuple(words for number, words in enumerate(written) if number not in self._taken))

    @property
    def guard_outcomes(self) -> Part:
        """The guards that were true once, and those that were false once: two for each guard."""
        outcomes = [
            (f"{words}: {word} `{guard}` was never {'true' if answer else 'false'}", (id(guard), answer))
            for words, transition in zip(_written(self._layout), self._chart.transitions, strict=True)
            for word, guard in (("when", transition.cond), ("unless", transition.unless))
            if guard is not None
            for answer in (True, False)
        ]
        return Part(len(outcomes), tuple(words for words, outcome in outcomes if outcome not in self._answered))

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "states": self.states.to_dict(),
            "transitions": self.transitions.to_dict(),
            "guard_outcomes": self.guard_outcomes.to_dict(),
        }

    # -- guards --

    def _ask_again(self, step: Step) -> None:
        """Send the chart the same event in the same configuration, and note what it asks."""

        def decide(expression: Expression, active: Sequence[int]) -> bool:
            guard = self._guard(expression, active)
            answer = guard if isinstance(guard, bool) else guard(step.during, step.event)
            self._answered.add((id(expression), answer))
            return answer

        if step.before is None:
            self._chart.start(decide)
        else:
            situation = step.before.situation
            self._chart.step(situation.states, situation.history, self._event_class(step), decide)

    def _event_class(self, step: Step) -> int:
        if step.fired is not None:
            return step.fired.spec.event_class
        if step.event.type == TERMINATION:
            return self._layout.termination_class
        return self._layout.event_class(step.event.type)

    def _guard(self, expression: Expression, active: Sequence[int]) -> Guard | bool:
        inside = {name: self._layout.index[name] in active for name, _ in expression.states}
        key = (id(expression), tuple(inside.values()))
        if key not in self._guards:
            self._guards[key] = self._compiler.guard(expression, inside)
        return self._guards[key]


def _written(layout: Layout) -> Iterator[str]:
    """Each transition as the definition says it, in the order of ``Chart.transitions``."""
    for state in layout.states:
        for transition in state.transitions:
            yield _words(state, " or ".join(transition.event) or "at once", transition)
        for timer in state.after:
            yield _words(state, f"after {timer.written}", timer.transition)


def _words(state: State, cause: str, transition: Transition) -> str:
    to = f" to {transition.target}" if transition.target is not None else ""
    return f"{state.id}: {cause}{to}"


# -- guards told apart --


def _told_apart(definition: Definition) -> Definition:
    """The definition with an expression of its own for each guard, though several may have been written as one."""
    return evolve(definition, states=tuple(_state(state) for state in definition.states))


def _state(state: State) -> State:
    return evolve(
        state,
        states=tuple(_state(child) for child in state.states),
        transitions=tuple(_transition(transition) for transition in state.transitions),
        after=tuple(evolve(timer, transition=_transition(timer.transition)) for timer in state.after),
    )


def _transition(transition: Transition) -> Transition:
    return evolve(
        transition,
        cond=None if transition.cond is None else evolve(transition.cond),
        unless=None if transition.unless is None else evolve(transition.unless),
    )

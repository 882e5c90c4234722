"""What was covered of a definition: its states, its transitions, and both outcomes of its guards.

- A state is covered once a connection entered it.
- A transition is covered once it was taken; those of timers count too.
- A guard's outcome is covered once python-statemachine asked that guard and got that answer. The step table keeps only
  the answers that decided, so the chart is sent each event once more and watched as it asks. What it asks next depends
  on nothing but the answers so far, so a case that was watched once is known.

Conditions (``when``) of dependencies and of what is remembered are no guards of a step, and are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from attrs import define, evolve, field, frozen

from statemachines.language.definition import Definition, State, Transition
from statemachines.language.expressions import Expression
from statemachines.table.chart import Chart
from statemachines.table.compiling import Compiler, Guard
from statemachines.table.layout import TERMINATION, Layout
from statemachines.table.step import Step

Kind = Literal["state", "transition", "guard"]
Goal = tuple[Kind, int, bool]
"""One thing to cover: a state, a transition, or a guard with one of its answers; numbers in document order."""


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


@define(eq=False)
class _Question:
    """A guard that was asked, and what was asked after each answer; None: nothing more."""

    number: int
    guard: Guard | bool
    then: dict[bool, _Question | None] = field(factory=dict)

    def answer(self, step: Step) -> bool:
        return self.guard if isinstance(self.guard, bool) else self.guard(step.during, step.event)


_Begin = tuple[Any, ...]


class Coverage:
    """Counts what the steps of connections of one definition cover: give :meth:`see` to a simulation as ``watch``.

    :ivar goals: all there is to cover, each in words
    :ivar covered: what was
    """

    def __init__(self, definition: Definition) -> None:
        definition = _told_apart(definition)
        self._layout = Layout(definition)
        self._chart = Chart(self._layout)
        self._compiler = Compiler(self._layout)
        self._guards: dict[tuple[int, tuple[bool, ...]], Guard | bool] = {}
        self._numbers: dict[int, int] = {}
        self._first: dict[_Begin, _Question | None] = {}
        self.goals: dict[Goal, str] = {}
        self.covered: set[Goal] = set()
        self._set_goals()

    def _set_goals(self) -> None:
        written = list(_written(self._layout))
        self.goals.update((("state", number, True), name) for number, name in enumerate(self._layout.ids))
        self.goals.update((("transition", number, True), words) for number, words in enumerate(written))
        for words, transition in zip(written, self._chart.transitions, strict=True):
            for word, guard in (("when", transition.cond), ("unless", transition.unless)):
                if guard is not None:
                    number = self._numbers[id(guard)] = len(self._numbers)
                    for answer in (True, False):
                        never = f"{words}: {word} `{guard}` was never {'true' if answer else 'false'}"
                        self.goals["guard", number, answer] = never

    def see(self, step: Step) -> None:
        """Count a step."""
        self.covered |= self.goals_of(step)

    def goals_of(self, step: Step) -> frozenset[Goal]:
        """What a step covers."""
        return frozenset(self._goals_of(step))

    def _goals_of(self, step: Step) -> Iterator[Goal]:
        for state in step.outcome.entered:
            yield "state", state, True
        for transition in step.outcome.transitions:
            yield "transition", transition, True
        for number, answer in self._answers(step):
            yield "guard", number, answer

    @property
    def states(self) -> Part:
        """The states that were entered."""
        return self.part("state")

    @property
    def transitions(self) -> Part:
        """The transitions that were taken."""
        return self.part("transition")

    @property
    def guard_outcomes(self) -> Part:
        """The guards that were true once, and those that were false once: two for each guard."""
        return self.part("guard")

    def part(self, kind: Kind) -> Part:
        """How much was covered of one kind."""
        wanted = {goal: words for goal, words in self.goals.items() if goal[0] == kind}
        return Part(len(wanted), tuple(words for goal, words in wanted.items() if goal not in self.covered))

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "states": self.states.to_dict(),
            "transitions": self.transitions.to_dict(),
            "guard_outcomes": self.guard_outcomes.to_dict(),
        }

    # -- guards --

    def _answers(self, step: Step) -> list[tuple[int, bool]]:
        """Every guard that the step asked, with its answer."""
        begin = self._begin(step)
        if begin not in self._first:
            return self._ask_again(step, begin)
        answers: list[tuple[int, bool]] = []
        question = self._first[begin]
        while question is not None:
            answer = question.answer(step)
            answers.append((question.number, answer))
            if answer not in question.then:
                return self._ask_again(step, begin)
            question = question.then[answer]
        return answers

    def _ask_again(self, step: Step, begin: _Begin) -> list[tuple[int, bool]]:
        """Send the chart the same event in the same configuration, and note what it asks."""
        asked: list[tuple[_Question, bool]] = []

        def decide(expression: Expression, active: Sequence[int]) -> bool:
            question = _Question(self._numbers[id(expression)], self._guard(expression, active))
            answer = question.answer(step)
            asked.append((question, answer))
            return answer

        if step.before is None:
            self._chart.start(decide)
        else:
            situation = step.before.situation
            self._chart.step(situation.states, situation.history, self.event_class(step), decide)
        self._learn(begin, asked)
        return [(question.number, answer) for question, answer in asked]

    def _learn(self, begin: _Begin, asked: Iterable[tuple[_Question, bool]]) -> None:
        known: dict[Any, _Question | None] = self._first
        place: Any = begin
        for question, answer in asked:
            there = known.setdefault(place, question)
            assert there is not None, "a step that once asked no more asks on"
            known, place = there.then, answer
        known.setdefault(place, None)

    def _begin(self, step: Step) -> _Begin:
        """All that decides which guard is asked first."""
        if step.before is None:
            return ()
        return step.before.situation.states, step.before.situation.history, self.event_class(step)

    def event_class(self, step: Step) -> int:
        """The class of the event that a step was made for."""
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

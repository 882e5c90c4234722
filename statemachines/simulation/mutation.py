"""A definition spoilt in one place at a time: would its scenarios notice?

Each mutant differs from the definition by one part: one that is left out, a guard that is negated or dropped, a target
that is another. A scenario that notices fails with the mutant. A mutant that none notices shows what no scenario looks
at (DeMillo, Lipton and Sayward, "Hints on test data selection", 1978).

Weak spot: some mutants do the same as the definition, and no scenario can notice them; to find those out is undecidable
in general, so they are reported with the others. One kind is left out: a transition that only says that an event is in
order where it comes.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, TypeVar

from attrs import evolve, frozen

from bus.errors import PhasebusError
from statemachines.language.definition import Action, After, Call, Definition, State, Transition
from statemachines.language.expressions import Expression
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.table.step import Steps

Change = Literal["left out", "guard negated", "guard dropped", "other target"]
Progress = Callable[[int], None]
_Part = TypeVar("_Part")


@frozen
class Mutant:
    """A definition with one part changed; ``part`` says which: ``ready: call.ended when all_ready to over``."""

    change: Change
    part: str
    definition: Definition

    def __str__(self) -> str:
        return f"{self.part}: {self.change}"


@frozen
class _Spoilt:
    """A state that holds a changed part."""

    change: Change
    part: str
    state: State


def mutants(definition: Definition) -> Iterator[Mutant]:
    """The definition with each of its parts changed in each way, one at a time, in document order."""
    others = _other_targets(definition)
    for states, spoilt in _inside(definition.states, others):
        yield Mutant(spoilt.change, spoilt.part, evolve(definition, states=states))


def survivors(
    definition: Definition, scenarios: Iterable[Scenario], progress: Progress = lambda tried: None
) -> tuple[int, list[Mutant]]:
    """How many mutants there are, and those that no scenario notices."""
    held, tried = list(scenarios), 0
    unnoticed: list[Mutant] = []
    for tried, mutant in enumerate(mutants(definition), start=1):
        noticed = first_to_notice(mutant.definition, held)
        if noticed is None:
            unnoticed.append(mutant)
        else:
            # It probably looks at what is changed next, too: neighbours are changed one after the other.
            held.remove(noticed)
            held.insert(0, noticed)
        progress(tried)
    return tried, unnoticed


def first_to_notice(definition: Definition, scenarios: Iterable[Scenario]) -> Scenario | None:
    """The first of scenarios, each of which holds with the right definition, that fails with this one."""
    steps = Steps(definition)
    return next((scenario for scenario in scenarios if _fails(steps, scenario)), None)


def _fails(steps: Steps, scenario: Scenario) -> bool:
    try:
        return run_scenario(Simulation(steps.definition, steps=steps), scenario).failed_expectations > 0
    except PhasebusError:
        return True


# -- states --


def _inside(states: tuple[State, ...], others: Mapping[str, str]) -> Iterator[tuple[tuple[State, ...], _Spoilt]]:
    for number, state in enumerate(states):
        for spoilt in _spoilt(state, others):
            yield (*states[:number], spoilt.state, *states[number + 1 :]), spoilt


def _spoilt(state: State, others: Mapping[str, str]) -> Iterator[_Spoilt]:
    for children, spoilt in _inside(state.states, others):
        yield evolve(spoilt, state=evolve(state, states=children))
    for action, enter in _without_each(state.enter):
        yield _Spoilt("left out", f"{state.id}: enter: {_action(action)}", evolve(state, enter=enter))
    for action, exit_ in _without_each(state.exit):
        yield _Spoilt("left out", f"{state.id}: exit: {_action(action)}", evolve(state, exit=exit_))
    for event, defer in _without_each(state.defer):
        yield _Spoilt("left out", f"{state.id}: defer {event}", evolve(state, defer=defer))
    yield from _transitions(state, others)
    yield from _timers(state, others)


def _transitions(state: State, others: Mapping[str, str]) -> Iterator[_Spoilt]:
    for number, transition in enumerate(state.transitions):
        part = f"{state.id}: {_words(transition)}"
        if not _changes_nothing(state, transition):
            yield _Spoilt("left out", part, evolve(state, transitions=_without(state.transitions, number)))
        for change, more, changed in _changed(transition, others):
            yield _Spoilt(change, part + more, evolve(state, transitions=_with(state.transitions, number, changed)))


def _timers(state: State, others: Mapping[str, str]) -> Iterator[_Spoilt]:
    for number, timer in enumerate(state.after):
        part = f"{state.id}: after {timer.written} {_words(timer.transition)}"
        yield _Spoilt("left out", part, evolve(state, after=_without(state.after, number)))
        for change, more, changed in _changed(timer.transition, others):
            spoilt: After = evolve(timer, transition=changed)
            yield _Spoilt(change, part + more, evolve(state, after=_with(state.after, number, spoilt)))


def _words(transition: Transition) -> str:
    guards = [f"{word} {guard}" for word, guard in _guards(transition) if guard is not None]
    to = [] if transition.target is None else [f"to {transition.target}"]
    return " ".join([" or ".join(transition.event), *guards, *to]).strip() or "at once"


def _action(action: Action) -> str:
    return f"call {action.name}" if isinstance(action, Call) else f"publish {action.event}"


def _guards(transition: Transition) -> tuple[tuple[str, Expression | None], ...]:
    return ("when", transition.cond), ("unless", transition.unless)


def _changes_nothing(state: State, transition: Transition) -> bool:
    """Whether a transition only says that an event is in order where it comes: nothing can be seen of it."""
    quiet = not (transition.on or state.enter or state.exit or state.after or state.states)
    return quiet and transition.target == state.id


# -- transitions --


def _changed(transition: Transition, others: Mapping[str, str]) -> Iterator[tuple[Change, str, Transition]]:
    for action, on in _without_each(transition.on):
        yield "left out", f": {_action(action)}", evolve(transition, on=on)
    if len(transition.event) > 1:
        for event, events in _without_each(transition.event):
            yield "left out", f": {event}", evolve(transition, event=events)
    if transition.cond is not None:
        yield "guard negated", "", evolve(transition, cond=_negated(transition.cond))
        yield "guard dropped", "", evolve(transition, cond=None)
    if transition.unless is not None:
        yield "guard negated", "", evolve(transition, unless=_negated(transition.unless))
        yield "guard dropped", "", evolve(transition, unless=None)
    if transition.target is not None and transition.target in others:
        yield "other target", "", evolve(transition, target=others[transition.target])


def _negated(guard: Expression) -> Expression:
    # Not parsed again: a guard may be as long as one may be.
    return evolve(guard, text=f"not ({guard})", tree=ast.UnaryOp(ast.Not(), guard.tree))


def _other_targets(definition: Definition) -> dict[str, str]:
    """For each state another one to lead to: the next beside it."""
    others: dict[str, str] = {}
    for around in (definition.states, *(state.states for state in definition.walk() if not state.parallel)):
        for number, state in enumerate(around if len(around) > 1 else ()):
            others[state.id] = around[(number + 1) % len(around)].id
    return others


# -- tuples --


def _without(parts: tuple[_Part, ...], number: int) -> tuple[_Part, ...]:
    return (*parts[:number], *parts[number + 1 :])


def _with(parts: tuple[_Part, ...], number: int, part: _Part) -> tuple[_Part, ...]:
    return (*parts[:number], part, *parts[number + 1 :])


def _without_each(parts: tuple[_Part, ...]) -> Iterator[tuple[_Part, tuple[_Part, ...]]]:
    for number, part in enumerate(parts):
        yield part, _without(parts, number)

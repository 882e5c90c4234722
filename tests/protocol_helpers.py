"""Shipped definitions under test: driven event by event on virtual time, and spoilt part by part."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from attrs import evolve, field, frozen

from bus import Event
from statemachines import Definition, load_definition
from statemachines.connections.trace import Entry
from statemachines.language.definition import Action, State, Transition
from statemachines.simulation.library import find_scenario, scenarios_of
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_file import load_scenario
from statemachines.simulation.simulator import Simulation, run_scenario

PROTOCOLS = ("traffic_light", "tcp", "sip_invite", "sip_dialog", "webrtc_peer", "agent_session", "device")
"""Shipped definitions whose page and scenarios are held against them part by part."""


@cache
def shipped(name: str) -> Definition:
    """A shipped definition."""
    return load_definition(name)


@frozen(eq=False)
class Driven:
    """One connection of a shipped definition, and all that it was seen to do."""

    simulation: Simulation
    seen: list[Entry] = field(factory=list)

    @classmethod
    def of(cls, name: str, *events: str) -> Driven:
        """A connection after these events."""
        seen: list[Entry] = []
        driven = cls(Simulation(shipped(name), seen.append), seen)
        driven.simulation.register("c")
        driven.hear(*events)
        return driven

    def hear(self, *events: str, **data: Any) -> Driven:
        """Let events come, one after the other."""
        for event in events:
            self.simulation.publish(Event(event, "c", data))
        return self

    def wait(self, seconds: float) -> Driven:
        """Let time pass."""
        self.simulation.advance_to(self.simulation.now + seconds)
        return self

    @property
    def configuration(self) -> tuple[str, ...]:
        return self.simulation.summary.connections["c"].configuration

    @property
    def state(self) -> str:
        """The innermost active state."""
        return self.configuration[-1]

    @property
    def calls(self) -> list[str]:
        """The hooks that were called, in order."""
        return [name for _, name in self.timed_calls]

    @property
    def timed_calls(self) -> list[tuple[float, str]]:
        """The hooks that were called, each with its time in seconds."""
        return [(round(entry.at, 6), str(entry.details["name"])) for entry in self.seen if entry.kind == "call"]

    @property
    def published(self) -> list[str]:
        """What the definition itself published, in order."""
        types = [str(entry.details["type"]) for entry in self.seen if entry.kind == "publish"]
        return [event_type for event_type in types if not event_type.startswith("connection.")]


def reaction(name: str, path: tuple[str, ...], event: str) -> tuple[str, list[str]]:
    """Where ``event`` leads after the events of ``path``, and the hooks that it calls."""
    driven = Driven.of(name, *path)
    before = len(driven.calls)
    driven.hear(event)
    return driven.state, driven.calls[before:]


# -- spoilt parts --


def without_each_part(definition: Definition) -> Iterator[tuple[str, Definition]]:
    """The definition without one of its transitions, timers or actions, for each of them, with a word on what it is."""
    for number, state in enumerate(definition.states):
        for what, spoilt in _spoilt(state):
            states = (*definition.states[:number], spoilt, *definition.states[number + 1 :])
            yield what, evolve(definition, states=states)


def _spoilt(state: State) -> Iterator[tuple[str, State]]:
    for number, child in enumerate(state.states):
        for what, spoilt in _spoilt(child):
            yield what, evolve(state, states=(*state.states[:number], spoilt, *state.states[number + 1 :]))
    for number, action in enumerate(state.enter):
        yield f"{state.id}: enter {action}", evolve(state, enter=(*state.enter[:number], *state.enter[number + 1 :]))
    for number, action in enumerate(state.exit):
        yield f"{state.id}: exit {action}", evolve(state, exit=(*state.exit[:number], *state.exit[number + 1 :]))
    for event in state.defer:
        yield f"{state.id}: defer {event}", evolve(state, defer=tuple(other for other in state.defer if other != event))
    for number, transition in enumerate(state.transitions):
        before, after = state.transitions[:number], state.transitions[number + 1 :]
        what = f"{state.id}: {' '.join(transition.event)} {transition.cond or ''} to {transition.target}"
        if not _changes_nothing(state, transition):
            yield what, evolve(state, transitions=(*before, *after))
        for some, spoilt_transition in _without_an_action_or_event(transition):
            yield f"{what}: {some}", evolve(state, transitions=(*before, spoilt_transition, *after))
    for number, timer in enumerate(state.after):
        before_it, after_it = state.after[:number], state.after[number + 1 :]
        yield f"{state.id}: after {timer.written}", evolve(state, after=(*before_it, *after_it))
        for some, spoilt_transition in _without_an_action_or_event(timer.transition):
            spoilt_timer = evolve(timer, transition=spoilt_transition)
            yield (
                f"{state.id}: after {timer.written}: {some}",
                evolve(state, after=(*before_it, spoilt_timer, *after_it)),
            )


def _changes_nothing(state: State, transition: Transition) -> bool:
    """Whether a transition only says that an event is in order where it comes: nothing can be seen of it."""
    quiet = not (transition.on or state.enter or state.exit or state.after or state.states)
    return quiet and transition.target == state.id


def _without_an_action_or_event(transition: Transition) -> Iterator[tuple[str, Transition]]:
    actions: tuple[Action, ...] = transition.on
    for number, action in enumerate(actions):
        yield str(action), evolve(transition, on=(*actions[:number], *actions[number + 1 :]))
    if len(transition.event) > 1:
        for event in transition.event:
            yield event, evolve(transition, event=tuple(other for other in transition.event if other != event))


def shipped_scenarios(name: str) -> list[Scenario]:
    """All scenarios that ship with a definition."""
    return [load_scenario(find_scenario(name, scenario), shipped(name)) for scenario in scenarios_of(name)]


def some_scenario_fails(definition: Definition, scenarios: list[Scenario]) -> bool:
    """Whether the scenarios see that something is wrong with the definition."""
    return any(run_scenario(Simulation(definition), scenario).failed_expectations for scenario in scenarios)

"""A definition together with where in its file each part stands, so that a rule can point at what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import frozen

from statemachines.language.definition import (
    Action,
    Call,
    Definition,
    History,
    Invoke,
    Publish,
    State,
    Transition,
    Trigger,
)
from statemachines.language.expressions import Expression
from statemachines.language.shorthands import action_places, event_places, payload_expressions, trigger_places
from statemachines.language.source import Location, Source
from statemachines.language.truth import Truth

if TYPE_CHECKING:
    from statemachines.language.rules.ignoring import Ignored


@frozen
class PlacedState:
    """A state, its location, and the states around it from the inside out."""

    state: State
    at: Location
    around: tuple[State, ...]


@frozen
class PlacedTransition:
    """A transition or timer: the state that has it, its location and those of its target and guards."""

    owner: PlacedState
    transition: Transition
    at: Location
    timer: bool

    @property
    def target_at(self) -> Location:
        return (*self.at, "target")


@frozen(slots=False)
class Placed:
    """A definition with its source. The lists are in document order.

    ``truth`` tells how guards come out, if that can be asked. ``rules`` are the names of all rules, ``ignorable`` of
    those that a file may ignore, and ``idle_ignores`` what this one ignores although nothing was found there.
    """

    definition: Definition
    source: Source
    truth: Truth | None = None
    rules: frozenset[str] = frozenset()
    ignorable: frozenset[str] = frozenset()
    idle_ignores: tuple[Ignored, ...] = ()

    def raw(self, location: Location) -> Any:
        """What the file holds at ``location``; None if it holds nothing there."""
        found = self.source.data
        for step in location:
            inside = range(len(found)) if isinstance(found, list) else found
            if not isinstance(inside, dict | range) or step not in inside:
                return None
            found = found[step]
        return found

    def declared(self, section: str) -> list[str]:
        """The names in a section of the file, those included whose body is wrong."""
        names = self.raw((section,))
        return [name for name in names if isinstance(name, str)] if isinstance(names, dict) else []

    @cached_property
    def states(self) -> list[PlacedState]:
        return list(_placed_states(self.definition.states, ("states",), ()))

    @cached_property
    def state_ids(self) -> frozenset[str]:
        return frozenset(placed.state.id for placed in self.states)

    @cached_property
    def history_ids(self) -> frozenset[str]:
        return frozenset(history.id for _, history in self.definition.histories())

    @cached_property
    def histories(self) -> list[tuple[PlacedState, History, Location]]:
        return [
            (found, history, (*found.at, "history", history.id))
            for found in self.states
            for history in found.state.history
        ]

    def invokes(self, found: PlacedState) -> list[tuple[Invoke, Location]]:
        """What a state invokes, each with its place."""
        base = (*found.at, "invoke")
        return list(zip(found.state.invoke, event_places(self.raw(base), base), strict=False))

    def deferred(self, found: PlacedState) -> list[tuple[str, Location]]:
        """What a state defers, each with its place."""
        base = (*found.at, "defer")
        return list(zip(found.state.defer, event_places(self.raw(base), base), strict=False))

    def event_places(self, moved: PlacedTransition) -> list[Location]:
        """Where each event of a transition stands."""
        base = (*moved.at, "event")
        return event_places(self.raw(base), base)

    @cached_property
    def target_ids(self) -> frozenset[str]:
        """What a transition may lead to: states and histories."""
        return self.state_ids | self.history_ids

    def reached_by(self, target: str) -> tuple[str, ...]:
        """The states that a target leads to for the first time: itself, or a history's own target and its state."""
        for state, history in self.definition.histories():
            if history.id == target:
                return tuple(found for found in (state.id, history.target) if found in self.state_ids)
        return (target,) if target in self.state_ids else ()

    @cached_property
    def transitions(self) -> list[PlacedTransition]:
        found = []
        for owner in self.states:
            for index, transition in enumerate(owner.state.transitions):
                found.append(PlacedTransition(owner, transition, (*owner.at, "transitions", index), timer=False))
            for after in owner.state.after:
                found.append(PlacedTransition(owner, after.transition, (*owner.at, "after", after.written), timer=True))
        return found

    @cached_property
    def triggers(self) -> list[tuple[Trigger, Location, Location]]:
        """Each trigger with the location of its event and that of its condition."""
        found: list[tuple[Trigger, Location, Location]] = []
        for triggers, base in self._trigger_lists():
            places = trigger_places(self.raw(base), base)
            found += [(trigger, *place) for trigger, place in zip(triggers, places, strict=False)]
        return found

    def _trigger_lists(self) -> Iterator[tuple[tuple[Trigger, ...], Location]]:
        yield self.definition.starts_on, ("starts_on",)
        for name, dependency in self.definition.dependencies.items():
            base: Location = ("dependencies", name)
            short = not isinstance(self.raw(base), dict)
            yield dependency.ready_on, base if short else (*base, "ready_on")
            yield dependency.lost_on, (*base, "lost_on")
            yield dependency.failed_on, (*base, "failed_on")
        for name, remembered in self.definition.remember.items():
            yield remembered.on, ("remember", name, "on")
        for name, declared in self.definition.keys.items():
            yield declared.on, ("keys", name, "on")

    @cached_property
    def actions(self) -> list[tuple[Action, Location]]:
        found: list[tuple[Action, Location]] = []
        for actions, base in self._action_lists():
            found += zip(actions, action_places(self.raw(base), base), strict=False)
        return found

    def _action_lists(self) -> Iterator[tuple[tuple[Action, ...], Location]]:
        for placed in self.states:
            yield placed.state.enter, (*placed.at, "enter")
            yield placed.state.exit, (*placed.at, "exit")
        for moved in self.transitions:
            yield moved.transition.on, (*moved.at, "on")

    @cached_property
    def action_names(self) -> frozenset[str]:
        """What ``closes`` may name: hooks that are called and events that are published."""
        return frozenset(action.name if isinstance(action, Call) else action.event for action, _ in self.actions)

    def events(self) -> Iterator[tuple[str, Location]]:
        """Each event or pattern that is heard or published, with its location."""
        for trigger, place, _ in self.triggers:
            yield trigger.event, place
        for moved in self.transitions:
            yield from zip(moved.transition.event, self.event_places(moved), strict=False)
        for found in self.states:
            yield from self.deferred(found)
            for invoke, place in self.invokes(found):
                for key, event in (("done", invoke.done), ("failed", invoke.failed)):
                    if event is not None:
                        yield event, (*place, key)
        for action, place in self.actions:
            if isinstance(action, Publish):
                yield action.event, (*place, "publish", "event")

    def expressions(self) -> Iterator[tuple[Expression, Location]]:
        """Each guard and value with its location."""
        for trigger, _, place in self.triggers:
            if trigger.when is not None:
                yield trigger.when, place
        for name, remembered in self.definition.remember.items():
            yield remembered.value, ("remember", name, "value")
        for name, declared in self.definition.keys.items():
            yield declared.value, ("keys", name, "value")
        for moved in self.transitions:
            for key, guard in (("cond", moved.transition.cond), ("unless", moved.transition.unless)):
                if guard is not None:
                    yield guard, (*moved.at, key)
        for action, place in self.actions:
            if isinstance(action, Publish):
                yield from payload_expressions(action.data, (*place, "publish", "data"))
        yield from self._property_expressions()

    def _property_expressions(self) -> Iterator[tuple[Expression, Location]]:
        for name, wanted in self.definition.properties.items():
            for kind, judged in (("always", wanted.always), ("never", wanted.never), ("sometimes", wanted.sometimes)):
                if judged is not None:
                    yield judged, ("properties", name, kind)
            for index, part in enumerate(wanted.leads_to or ()):
                yield part, ("properties", name, "leads_to", index)


def _placed_states(states: tuple[State, ...], base: Location, around: tuple[State, ...]) -> Iterator[PlacedState]:
    for state in states:
        at = (*base, state.id)
        yield PlacedState(state, at, around)
        yield from _placed_states(state.states, (*at, "states"), (state, *around))

"""What follows from a reaction, in order: events to publish, hooks to call, failures to report.

The lifecycle carries these out on a bus, the simulation feeds them back to itself; both get them from here.
"""

from __future__ import annotations

from attrs import define, frozen

from bus.event import Event
from statemachines.connections.reaction import Reaction
from statemachines.table.layout import InvokeSpec
from statemachines.table.step import Step
from statemachines.table.table import CallEffect, PublishEffect

PHASE_CHANGED = "connection.phase_changed"
UNKNOWN = "connection.unknown"


@define(eq=False, weakref_slot=False)
class Publication:
    """An event to publish, not built before somebody listens. ``number`` tells the publications of a step apart."""

    event_type: str
    step: Step
    number: int
    effect: PublishEffect | None = None

    def build(self) -> Event:
        """The event, linked to its cause. Its id says which step it is of: the same effect twice is known as one.

        An event that starts a connection makes two steps: the registration, then its own.
        """
        step, identity = self.step, self.step.after.identity
        lifecycle = step.layout.definition.name
        data = self._phase_change() if self.effect is None else self.effect.data(step.during, step.event)
        return Event(
            self.event_type,
            identity.connection_id,
            data,
            id=f"{lifecycle}:{step.event.id}:{identity.connection_id}:{'start:' * (step.before is None)}{self.number}",
            call_id=identity.call_id,
            tenant_id=identity.tenant_id,
            timestamp=step.after.updated_at,
            causation_id=step.event.id,
            causation_depth=step.event.causation_depth + 1,
        )

    def _phase_change(self) -> dict[str, object]:
        before, after = self.step.before, self.step.after
        assert before is not None
        return {
            "from": before.situation.phase,
            "to": after.situation.phase,
            "event": self.step.event.type,
            "configuration": list(after.situation.configuration),
        }


@frozen
class News:
    """An event that is there already: ``connection.created``, ``connection.unknown``. ``cause`` is what it tells of."""

    event: Event
    cause: Event
    own_registration: bool = False


@define(eq=False, weakref_slot=False)
class HookCall:
    """A hook to start."""

    name: str
    step: Step


@define(eq=False, weakref_slot=False)
class InvokeCall:
    """A coroutine to start, that runs while its state is active."""

    spec: InvokeSpec
    step: Step

    @property
    def name(self) -> str:
        """Of the hook that it is."""
        return self.spec.invoke.call


@frozen
class Failure:
    """An event that could not be applied."""

    event: Event
    error: Exception


Consequence = Publication | News | HookCall | InvokeCall | Failure


def consequences(reaction: Reaction, received: Event | None) -> list[Consequence]:
    """What follows from a reaction, in order. ``received`` is the bus's event that led to it, if one did."""
    step = reaction.step
    found: list[Consequence] = []
    if reaction.kind == "registered" and reaction.event is not received:
        found.append(News(reaction.event, received or reaction.event, own_registration=True))
    elif reaction.error is not None:
        found.append(Failure(reaction.event, reaction.error))
    if step is not None:
        number = 0
        for effect in step.outcome.effects:
            if isinstance(effect, CallEffect):
                found.append(HookCall(effect.name, step))
            else:
                found.append(Publication(effect.event_type, step, number, effect))
            number += 1
        for spec in step.outcome.invokes:
            found.append(InvokeCall(spec, step))
        if step.changed_configuration:
            found.append(Publication(PHASE_CHANGED, step, number))
    return found


def unknown_news(event: Event) -> News:
    """``connection.unknown`` about an event that found nobody."""
    return News(
        Event(
            UNKNOWN,
            event.connection_id,
            {"type": event.type, "id": event.id},
            id=f"unknown:{event.id}",
            call_id=event.call_id,
            tenant_id=event.tenant_id,
        ),
        event,
    )

"""What follows from a reaction, in order: events to publish, hooks to call, failures to report.

The lifecycle carries these out on a bus, the simulation feeds them back to itself; both get them from here.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from bus.event import Event
from statemachines.connections.reaction import Reaction
from statemachines.table.layout import InvokeSpec
from statemachines.table.step import Step
from statemachines.table.table import CallEffect, PublishEffect

PHASE_CHANGED = "connection.phase_changed"
UNKNOWN = "connection.unknown"


@frozen
class Publication:
    """An event to publish, not built before somebody listens. ``number`` tells the publications of a step apart."""

    event_type: str
    step: Step
    number: int
    effect: PublishEffect | None = None

    def build(self, lifecycle: str) -> Event:
        """The event. Its id says which step caused it, so the same effect twice is recognised as one.

        An event that starts a connection makes two steps: the registration, then its own.
        """
        step, identity = self.step, self.step.after.identity
        data = self._phase_change() if self.effect is None else self.effect.data(step.during, step.event)
        return Event(
            self.event_type,
            identity.connection_id,
            data,
            id=f"{lifecycle}:{step.event.id}:{identity.connection_id}:{'start:' * (step.before is None)}{self.number}",
            call_id=identity.call_id,
            tenant_id=identity.tenant_id,
            timestamp=step.after.updated_at,
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


@frozen
class HookCall:
    """A hook to start."""

    name: str
    step: Step


@frozen
class InvokeCall:
    """A coroutine to start, that runs while its state is active."""

    spec: InvokeSpec
    step: Step


@frozen
class Failure:
    """An event that could not be applied."""

    event: Event
    error: Exception


Consequence = Publication | News | HookCall | InvokeCall | Failure


def consequences(reaction: Reaction, received: Event | None) -> Iterator[Consequence]:
    """What follows from a reaction, in order. ``received`` is the bus's event that led to it, if one did."""
    step = reaction.step
    if reaction.kind == "registered" and reaction.event is not received:
        yield News(reaction.event, received or reaction.event, own_registration=True)
    elif reaction.error is not None:
        yield Failure(reaction.event, reaction.error)
    if step is not None:
        for number, effect in enumerate(step.outcome.effects):
            if isinstance(effect, CallEffect):
                yield HookCall(effect.name, step)
            else:
                yield Publication(effect.event_type, step, number, effect)
        yield from (InvokeCall(spec, step) for spec in step.outcome.invokes)
        if step.changed_configuration:
            yield Publication(PHASE_CHANGED, step, len(step.outcome.effects))


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

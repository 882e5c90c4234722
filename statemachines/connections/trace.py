"""What happened, line by line: the entries of a timeline, the same for the simulation and for a live run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import Factory, frozen

from bus.interchange import payload_to_plain
from statemachines.connections.reaction import Reaction
from statemachines.table.step import MAX_DEFERRED, TIMER_FIRED

EntryKind = Literal[
    "event",
    "fact",
    "transition",
    "publish",
    "call",
    "invoke",
    "timer",
    "early",
    "deferred",
    "ignored",
    "rejected",
    "expect",
]


@frozen
class Entry:
    """One line. ``at`` is seconds since the start.

    ``details`` by kind: ``event`` type, data and what else the event says; ``fact`` name, value; ``transition`` from,
    to, event, configuration; ``publish`` type, data; ``call`` name; ``invoke`` name, state;
    ``timer`` timer, state; ``early`` type, released;
    ``deferred`` type, again; ``ignored`` type;
    ``rejected`` type, reason; ``expect`` ok, and for each thing asked what was expected and found.
    """

    at: float
    connection: str | None
    kind: EntryKind
    details: Mapping[str, Any] = Factory(dict)

    def to_dict(self) -> dict[str, Any]:
        """The entry as one JSON object."""
        return {"at": round(self.at, 6), "connection": self.connection, "kind": self.kind, **self.details}


def entries_of(reaction: Reaction, at: float) -> Iterator[Entry]:
    """What a reaction did, up to the transition; what follows from it is published or called a moment later.

    An input is told of once, by an ``event`` or ``timer`` entry: when it came, not when it was released.
    """
    event, connection_id = reaction.event, reaction.connection_id

    def entry(kind: EntryKind, **details: Any) -> Entry:
        return Entry(at, connection_id, kind, details)

    step = reaction.step
    if reaction.released:
        yield entry("early", type=event.type, released=True)
    elif reaction.again:
        yield entry("deferred", type=event.type, again=True)
    elif step is not None and step.event.type == TIMER_FIRED:
        yield entry("timer", timer=event.field("timer"), state=event.field("state"))
    elif reaction.kind not in ("registered", "expired"):
        said = {name: getattr(event, name) for name in ("call_id", "tenant_id") if getattr(event, name) is not None}
        yield entry("event", type=event.type, data=payload_to_plain(event.data), **said)
    if reaction.error is not None:
        yield entry("rejected", type=event.type, reason=str(reaction.error))
    elif reaction.kind == "early":
        yield entry("early", type=event.type, released=False)
    elif step is None:
        yield entry("rejected", type=event.type, reason=_REASONS[reaction.kind])
    elif step.deferral == "refused" and step.during is step.before:
        yield entry("rejected", type=event.type, reason=_TOO_MANY)
    elif step.ignored or (reaction.again and step.outcome.quiet):
        yield entry("ignored", type=event.type)
    else:
        for name, value in step.facts():
            yield entry("fact", name=name, value=value)
        if step.before is not None and not step.outcome.quiet:
            yield entry(
                "transition",
                **{"from": step.before.situation.phase, "to": step.after.situation.phase},
                event=event.type,
                configuration=list(step.after.situation.configuration),
            )
        if step.deferral == "deferred":
            yield entry("deferred", type=event.type, again=False)
        elif step.deferral == "refused":
            yield entry("rejected", type=event.type, reason=_TOO_MANY)


_TOO_MANY = f"{MAX_DEFERRED} deferred events wait already"
_REASONS = {
    "expired": "came early, and nobody was registered in time",
    "unknown": "no such connection",
    "foreign": "another tenant's event",
    "finished": "the connection has ended",
}

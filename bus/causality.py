"""Which event is being handled here: what a handler publishes is linked to it, and a chain without end is cut."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from attrs import evolve

from bus.errors import CausalityLoop

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.event import Event

MAX_CAUSATION_DEPTH = 1_000

handling: ContextVar[tuple[EventBus, Event] | None] = ContextVar("phasebus_handling", default=None)
"""The bus whose handler this code runs in, and the event that it handles. Tasks that a handler starts inherit it."""


def next_depth(cause: Event) -> int:
    """The depth of an event that ``cause`` causes, or :class:`CausalityLoop` when the chain has grown too long."""
    depth = cause.causation_depth + 1
    if depth > MAX_CAUSATION_DEPTH:
        raise CausalityLoop(
            f"{cause.type} is the {MAX_CAUSATION_DEPTH}th event in a chain of causes: handlers or lifecycles "
            "feed each other without end; make one of them stop publishing"
        )
    return depth


def caused_by(event: Event, cause: Event) -> Event:
    """``event`` linked to ``cause``, unless it already names a cause."""
    if event.causation_id is not None or event is cause:
        return event
    return evolve(event, causation_id=cause.id, causation_depth=next_depth(cause))

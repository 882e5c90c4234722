"""Which event is being handled here: what a handler publishes is linked to it, and a chain without end is cut.

The context variable is inherited by the tasks that a handler starts. Such a task stays linked to the event that it was
started for; but once the handler has returned, it is a publisher like any other, which may be made to wait.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from attrs import evolve

from bus.errors import CausalityLoop

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.event import Event

MAX_CAUSATION_DEPTH = 1_000


class Handling:
    """One call of a handler.

    :ivar active: the call has not returned yet
    :ivar failed: the call failed, though the error was dealt with on its way out (recovery)
    :ivar outer: the call that this one is part of (an inline handler's, of the handler that publishes)
    """

    __slots__ = ("active", "bus", "event", "failed", "outer", "token")

    def __init__(self, bus: EventBus, event: Event) -> None:
        self.bus = bus
        self.event = event
        self.active = True
        self.failed = False
        outer = handling.get()
        while outer is not None and not outer.active:
            outer = outer.outer
        self.outer: Handling | None = outer
        self.token: Token[Handling | None] = handling.set(self)

    def end(self) -> None:
        """The handler has returned."""
        self.active = False
        handling.reset(self.token)


handling: ContextVar[Handling | None] = ContextVar("phasebus_handling", default=None)
"""The handler's call that this code runs in, or that started the task; None outside of all handlers."""


def inside_handler_of(bus: EventBus) -> bool:
    """Whether this code is part of a handler's call on ``bus``, however deep: waiting here could be for itself."""
    call = handling.get()
    while call is not None:
        if call.active and call.bus is bus:
            return True
        call = call.outer
    return False


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
    """``event`` linked to ``cause``, unless it names a cause already; its depth grows either way.

    Publishing the very event that is being handled (passing it on to another bus) keeps its identity.
    """
    depth = max(event.causation_depth, next_depth(cause))
    if event.causation_id is None and event.id != cause.id:
        return evolve(event, causation_id=cause.id, causation_depth=depth)
    return event if event.causation_depth == depth else evolve(event, causation_depth=depth)

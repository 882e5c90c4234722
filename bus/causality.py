"""Which event is being handled here: what a handler publishes is linked to it, and a chain without end is cut.

The context variable is inherited by the tasks that a handler starts. Such a task stays linked to the event that it was
started for; but once the handler has returned, it is a publisher like any other, which may be made to wait.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Self

from attrs import evolve

from bus.errors import CausalityLoop
from bus.event import Event, events_of

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.middleware.retry import Attempt

MAX_CAUSATION_DEPTH = 1_000
MAX_LOOP = 32
"""So many events of a loop can be told; of a longer one, the last ones."""
_TOLD_FROM = MAX_CAUSATION_DEPTH - 2 * MAX_LOOP
_MAX_DEEP = 16 * MAX_LOOP


class Handling:
    """One call of a handler, or of the inline handlers that an event reaches one after the other.

    Made by :func:`as_handler_of`. The two places that make one for each event fill it by themselves: a constructor
    would double its price.

    :ivar bus: the bus that calls, None once the call has returned
    :ivar failed: the call failed, though the error was dealt with on its way out (recovery)
    :ivar attempt: which try this is, if failures are retried
    :ivar outer: the call that this one is part of (an inline handler's, of the handler that publishes)
    """

    __slots__ = ("_token", "attempt", "bus", "event", "failed", "outer")

    bus: EventBus | None
    event: Event
    outer: Handling | None
    failed: bool
    attempt: Attempt | None

    def __enter__(self) -> Self:
        self._token: Token[Handling | None] = handling.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.bus = None
        handling.reset(self._token)

    @property
    def tries(self) -> int:
        """How often the handler has been called with the event."""
        return 1 if self.attempt is None else self.attempt.calls_in_all


handling: ContextVar[Handling | None] = ContextVar("phasebus_handling", default=None)
"""The handler's call that this code runs in, or that started the task; None outside of all handlers."""


def active_call() -> Handling | None:
    """The innermost handler's call that this code is part of and that has not returned."""
    call = handling.get()
    while call is not None and call.bus is None:
        call = call.outer
    return call


def as_handler_of(bus: EventBus, event: Event) -> Handling:
    """A block that counts as a handler of ``event``: what it publishes is linked to it, and never waits for a queue.

    >>> with as_handler_of(bus, event):                                     # doctest: +SKIP
    ...     await bus.publish("call.answered")
    """
    call = Handling()
    call.bus = bus
    call.event = event
    call.outer = active_call()
    call.failed, call.attempt = False, None
    return call


def inside_handler_of(bus: EventBus) -> bool:
    """Whether this code is part of a handler's call on ``bus``, however deep: waiting here could be for itself."""
    call = handling.get()
    while call is not None:
        if call.bus is bus:
            return True
        call = call.outer
    return False


class _Ancestry:
    """The last events of chains so long that they may be cut: only so can the error tell what goes round.

    Few chains ever come that far, so few events are noted, and the oldest make room.
    """

    def __init__(self) -> None:
        self._links: dict[str, tuple[str, str | None]] = {}

    def note(self, event: Event) -> None:
        """Keep what is needed of an event: its type, and the id of its cause."""
        self._links[event.id] = (event.type, event.causation_id)
        if len(self._links) > _MAX_DEEP:
            self._links.pop(next(iter(self._links)), None)

    def types_before(self, event: Event) -> list[str]:
        """The types of the chain that ends with ``event``, the oldest known first."""
        types, known = [event.type], event.causation_id
        while known is not None and len(types) < 2 * MAX_LOOP and (link := self._links.get(known)) is not None:
            types.append(link[0])
            known = link[1]
        return types[::-1]


_ancestry = _Ancestry()


def loop_of(types: list[str]) -> str:
    """What repeats at the end of a chain, as ``a.asked → b.answered → a.asked``; its last events if nothing does."""
    for length in range(1, len(types) // 2 + 1):
        if types[-length:] == types[-2 * length : -length]:
            return " → ".join([types[-1], *types[-length:]])
    return " → ".join(types[-MAX_LOOP:])


def next_depth(cause: Event) -> int:
    """The depth of an event that ``cause`` causes, or :class:`CausalityLoop` when the chain has grown too long."""
    depth = cause.causation_depth + 1
    if depth > _TOLD_FROM:
        _ancestry.note(cause)
        if depth > MAX_CAUSATION_DEPTH:
            raise CausalityLoop(
                f"{cause.type} is the {MAX_CAUSATION_DEPTH}th event in a chain of causes "
                f"({loop_of(_ancestry.types_before(cause))}): handlers or lifecycles feed each other without end; "
                "make one of them stop publishing"
            )
    return depth


def caused_by(event: Event, cause: Event) -> Event:
    """``event`` linked to ``cause``, unless it names a cause already; its depth grows either way.

    Publishing the very event that is being handled (passing it on to another bus) keeps its identity; so does one of a
    batch.
    """
    depth = max(event.causation_depth, next_depth(cause))
    if event.causation_id is None and not any(event.id == handled.id for handled in events_of(cause)):
        return evolve(event, causation_id=cause.id, causation_depth=depth)
    return event if event.causation_depth == depth else evolve(event, causation_depth=depth)

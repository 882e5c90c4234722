"""What carries events between buses: the interface that every transport has, on one page.

A transport takes events in with :meth:`Transport.send` and hands them out with :meth:`Transport.receive`. Whoever
receives acknowledges each event; one that is not acknowledged is delivered again. So delivery is *at least once*, and
an event's id tells a repetition. What a transport can do its :class:`Features` say, and the claims of
:mod:`bus.transports.suite` hold it to that.

Order is per connection (events without one: per ``call_id``), and is kept by never having two events of a connection
out at once: the next comes when the one before is acknowledged, so one that is refused cannot be overtaken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol, Self

from attrs import frozen

from bus.errors import InvalidEvent, PhasebusError
from bus.event import Event
from bus.names import is_pattern


class TransportClosed(PhasebusError):
    """The transport is not open: it was closed, lost for good, or never entered with ``async with``."""


@frozen(kw_only=True)
class Features:
    """What a transport promises beyond handing on each event it accepted to each receiver and group there is.

    :ivar ordered: a receiver, or a group as a whole, gets a connection's events in the order in which they were sent,
        and gets none before the one ahead of it is acknowledged
    :ivar groups: each event goes to one of the receivers that name the same group
    :ivar redelivers: an event that was refused, or whose receiver went away, is delivered again
    :ivar keeps: what is sent while all receivers of a group are away is there for the next one
    :ivar capacity: ``send`` waits while a receiver or group that wants the event has so many that it has not
        acknowledged; None when no sender is made to wait
    """

    ordered: bool
    groups: bool
    redelivers: bool
    keeps: bool
    capacity: int | None


class Delivery(Protocol):
    """An event, handed to one receiver. The first of :meth:`ack` and :meth:`nack` counts, any further one does nothing.

    Neither raises when the transport or the receiver has gone meanwhile: the event may then be delivered again.
    """

    @property
    def event(self) -> Event:
        """The event: type, payload, ids, tenant, cause and time as they were sent."""

    @property
    def attempt(self) -> int:
        """1 the first time, and one more after each refusal: what gives up on an event goes by this."""

    async def ack(self) -> None:
        """It has been dealt with: never deliver it again. Cancelled before this returns, it may be."""

    async def nack(self) -> None:
        """It has not: deliver it again, at once. Whoever wants a pause waits before this."""


class Transport(Protocol):
    """Carries events. Use it as ``async with transport:``, once; leaving the block closes it."""

    @property
    def features(self) -> Features:
        """What it can do; known before it is entered."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None: ...

    async def send(self, event: Event) -> None:
        """Hand over an event; returns when the transport has it. It is accepted for all receivers or for none.

        Cancelled before it returns, the event may have been sent or not; sent again with its id, it is a repetition.

        :raises InvalidEvent: the event cannot be carried, and never will be
        :raises TransportClosed: the transport is not open, or was closed before it had the event
        """

    def receive(
        self, *patterns: str, group: str | None = None, max_in_flight: int = 64
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Receive events that match any of the patterns, those sent once the block is entered; iterate in one task.

        Iterating raises :class:`TransportClosed` when the transport has been closed; a wait for the next event that is
        cancelled has taken none. Leaving the block, or being cancelled in it, gives back what is not acknowledged: to
        the others of the group, or to nobody.

        :param group: share the events with all receivers of that name, which must have the same patterns
        :param max_in_flight: how many deliveries may be out at once without being acknowledged
        :raises InvalidEvent: no pattern, or not one
        :raises ValueError: the group has other patterns, or ``max_in_flight`` is less than 1
        """


def checked_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns as plain texts, or :class:`~bus.InvalidEvent` for the first that is none."""
    for pattern in patterns or ("",):
        if not is_pattern(pattern):
            raise InvalidEvent(pattern, None, "not an event name or pattern; write namespace.action, namespace.* or *")
    return tuple(map(str, patterns))

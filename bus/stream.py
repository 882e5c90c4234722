"""Events as they come: an async iterator over them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

import anyio

from bus.event import Event
from bus.inbox import Inbox
from bus.options import Options

if TYPE_CHECKING:
    from bus.bus import EventBus


class StreamInbox(Inbox):
    """The bus's end of a stream."""

    __slots__ = ("closed", "events", "wake")

    def __init__(self, pattern: str, order: int, options: Options) -> None:
        super().__init__(pattern, f"stream of {pattern}", order, options)
        self.events: deque[Event] = deque()
        self.wake: anyio.Event | None = None
        self.closed = False

    @property
    def kind(self) -> str:
        """``stream``."""
        return "stream"

    def close(self) -> None:
        """Receive nothing more; what is queued may still be taken."""
        self.closed = True
        self.let_all_in()
        self._ring()

    def append(self, event: Event, now_ns: int) -> None:
        """Put an event, already counted as queued, at the end."""
        self.events.append(event)
        self._ring()

    def _remove_oldest(self) -> Event:
        self.queued -= 1
        return self.events.popleft()

    def _ring(self) -> None:
        if self.wake is not None:
            self.wake.set()
            self.wake = None


class EventStream:
    """What :meth:`EventBus.stream` returns: every matching event from the moment of that call, in order.

    Iterate over it, and leave it by ``async with``, :meth:`aclose`, or by letting go of it. It ends when the bus is
    closed, after what was queued has been taken. Several tasks may share it; each event goes to one of them. A stream
    that is kept but not read fills up, and then does what its ``overflow`` says: by default it makes publishers wait.
    """

    __slots__ = ("_bus", "_inbox")

    def __init__(self, bus: EventBus, inbox: StreamInbox) -> None:
        self._bus = bus
        self._inbox = inbox

    def __repr__(self) -> str:
        return f"<EventStream of {self._inbox.pattern!r}, {self._inbox.queued} queued>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        inbox = self._inbox
        while not inbox.events:
            if inbox.closed:
                raise StopAsyncIteration
            if inbox.wake is None:
                inbox.wake = anyio.Event()
            await inbox.wake.wait()
        event = inbox.events.popleft()
        inbox.taken()
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Receive nothing more. Idempotent."""
        self._inbox.events.clear()
        self._inbox.queued = 0
        self.end()

    def end(self) -> None:
        """Receive nothing more; what is queued may still be taken. Idempotent."""
        if not self._inbox.closed:
            self._bus.remove(self._inbox)
            self._inbox.close()

    # `async for … break` without `async with` is natural; a stream that nobody holds must not make publishers wait.
    # The bus holds only the inbox, so letting go of the stream comes here at once.
    __del__ = end

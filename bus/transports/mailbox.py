"""Where :class:`~bus.MemoryTransport` keeps events for one receiver or group until they are acknowledged.

An event stays at the head of its connection's line until then. Delivering it only takes the line out of those that are
ready, so nothing can overtake an event that is refused, and the bound counts what is out as well.

Deliveries are handed to the receiver that has asked longest, not left for whoever comes first: so a group shares.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Self

import anyio
from anyio.lowlevel import checkpoint

from bus.event import Event
from bus.names import matches
from bus.transports.interface import TransportClosed


class Mailbox:
    """The events that one receiver or group has not acknowledged, in a line for each connection.

    :param made_room: called when there is room for one more
    :ivar ready: the connections whose first event is not out
    :ivar asking: receivers that wait for an event and may have one, the first come first
    :ivar closed: whether the transport is
    """

    __slots__ = ("_capacity", "_lines", "_made_room", "_size", "asking", "closed", "patterns", "ready", "receivers")

    def __init__(self, patterns: tuple[str, ...], capacity: int, made_room: Callable[[Mailbox], None]) -> None:
        self.patterns = patterns
        self.ready: deque[str | None] = deque()
        self.receivers: set[Receiver] = set()
        self.asking: OrderedDict[Receiver, None] = OrderedDict()
        self.closed = False
        self._capacity = capacity
        self._made_room = made_room
        self._size = 0
        self._lines: dict[str | None, deque[MemoryDelivery]] = {}

    @property
    def full(self) -> bool:
        """Whether a sender has to wait."""
        return self._size >= self._capacity

    def wants(self, event: Event) -> bool:
        """Whether the event is one for this mailbox."""
        return any(matches(pattern, event.type) for pattern in self.patterns)

    def put(self, event: Event) -> None:
        """Add an event at the end of its connection's line."""
        delivery = MemoryDelivery(event, attempt=1)
        self._size += 1
        line = self._lines.get(delivery.whose)
        if line is None:
            self._lines[delivery.whose] = deque((delivery,))
            self.ready.append(delivery.whose)
            self.hand_out()
        else:
            line.append(delivery)

    def take(self) -> MemoryDelivery:
        """The first event of the connection that has been ready longest. It keeps its place until acknowledged."""
        return self._lines[self.ready.popleft()][0]

    def put_back(self, delivery: MemoryDelivery) -> None:
        """What was taken has not been seen by anybody."""
        self.ready.appendleft(delivery.whose)
        self.hand_out()

    def acknowledge(self, delivery: MemoryDelivery) -> None:
        """What was taken has been dealt with: its connection's next may be taken."""
        line = self._lines[delivery.whose]
        line.popleft()
        self._size -= 1
        if line:
            self.ready.append(delivery.whose)
        else:
            del self._lines[delivery.whose]
        self.hand_out()
        self._made_room(self)

    def refuse(self, delivery: MemoryDelivery) -> None:
        """What was taken has not been dealt with. Other connections have their turn before it."""
        self._lines[delivery.whose][0] = MemoryDelivery(delivery.event, delivery.attempt + 1)
        self.ready.append(delivery.whose)
        self.hand_out()

    def hand_out(self) -> None:
        """Give receivers that wait what is ready."""
        while self.ready and self.asking:
            receiver, _ = self.asking.popitem(last=False)
            receiver.give(self.take())

    def close(self) -> None:
        """Deliver nothing more."""
        self.closed = True
        for receiver in self.receivers:
            receiver.wake()


class Receiver:
    """One receiver's end of a mailbox, and what it has out."""

    __slots__ = ("_bell", "_given", "_guard", "_left", "_mailbox", "_max_in_flight", "_out", "_waits")

    def __init__(self, mailbox: Mailbox, max_in_flight: int) -> None:
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight must be at least 1, not {max_in_flight}")
        self._mailbox = mailbox
        self._max_in_flight = max_in_flight
        self._out: set[MemoryDelivery] = set()
        self._given: MemoryDelivery | None = None
        self._waits = self._left = False
        self._bell = anyio.Event()
        self._guard = anyio.ResourceGuard("iterated over by another task")
        mailbox.receivers.add(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MemoryDelivery:
        with self._guard:
            await checkpoint()
            while self._given is None:
                if self._left:
                    raise StopAsyncIteration
                if self._mailbox.closed:
                    raise TransportClosed("the transport was closed while this receiver waited for an event")
                if self._mailbox.ready and self._may_have_more:
                    self.give(self._mailbox.take())
                else:
                    await self._wait()
            given, self._given = self._given, None
            return given

    def give(self, delivery: MemoryDelivery) -> None:
        """Have this out from now on."""
        delivery.receiver = self
        self._out.add(delivery)
        self._given = delivery
        self._bell.set()

    def settle(self, delivery: MemoryDelivery, *, acknowledged: bool) -> None:
        """Hear what became of a delivery. Only the first word on it counts."""
        if delivery not in self._out:
            return
        self._out.remove(delivery)
        if self._waits:
            self._ask()
        if acknowledged:
            self._mailbox.acknowledge(delivery)
        else:
            self._mailbox.refuse(delivery)

    def leave(self) -> None:
        """Give back what is out."""
        self._left = True
        self._mailbox.receivers.remove(self)
        self._mailbox.asking.pop(self, None)
        self._return_unseen()
        for delivery in list(self._out):
            self.settle(delivery, acknowledged=False)
        self._bell.set()

    def wake(self) -> None:
        """Look whether the transport was closed."""
        self._bell.set()

    @property
    def _may_have_more(self) -> bool:
        return len(self._out) < self._max_in_flight

    def _ask(self) -> None:
        if self._given is None and self._may_have_more and not self._left:
            self._mailbox.asking[self] = None

    async def _wait(self) -> None:
        self._bell = anyio.Event()
        self._waits = True
        self._ask()
        try:
            await self._bell.wait()
        except BaseException:
            self._mailbox.asking.pop(self, None)
            self._return_unseen()
            raise
        finally:
            self._waits = False

    def _return_unseen(self) -> None:
        if self._given is not None:
            self._out.remove(self._given)
            self._mailbox.put_back(self._given)
            self._given = None


class MemoryDelivery:
    """An event in a mailbox, and once it is out the receiver that has it; see :class:`~bus.transports.Delivery`."""

    __slots__ = ("attempt", "event", "receiver", "whose")

    def __init__(self, event: Event, attempt: int) -> None:
        self.event = event
        self.attempt = attempt
        self.whose = event.call_id if event.connection_id is None else event.connection_id
        self.receiver: Receiver

    async def ack(self) -> None:
        """Never deliver it again."""
        self.receiver.settle(self, acknowledged=True)

    async def nack(self) -> None:
        """Deliver it again."""
        self.receiver.settle(self, acknowledged=False)

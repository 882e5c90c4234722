"""A transport within one process, which joins several buses; nothing outlives it.

Each receiver without a group, and each group, has a mailbox (:mod:`bus.transports.mailbox`). An event is put into all
mailboxes that want it, in one step that never waits, or into none. A sender that finds one full stands in line and
holds no room anywhere else; whoever makes room puts in the event of the sender that has waited longest, so one that
comes later cannot take its place.

A group lasts as long as the transport. Weak spot: the events of one whose receivers have all gone for good stay, and
once its mailbox is full its senders wait for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio.lowlevel import checkpoint

from bus.event import Event
from bus.transports.interface import Delivery, Features, TransportClosed, checked_patterns
from bus.transports.mailbox import Mailbox, Receiver


class MemoryTransport:
    """Carries events between the buses of one process, on asyncio or trio. All receivers get the same event object.

    :param capacity: how many events a receiver, or a group, may have that are not acknowledged; then senders wait
    """

    def __init__(self, *, capacity: int = 1024) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self.features = Features(ordered=True, groups=True, redelivers=True, keeps=True, capacity=capacity)
        self._capacity = capacity
        self._mailboxes: dict[Mailbox, OrderedDict[Sender, None]] = {}
        self._groups: dict[str, Mailbox] = {}
        self._entered = self._open = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise TransportClosed("a transport can be entered only once")
        self._entered = self._open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        for mailbox, senders in self._mailboxes.items():
            mailbox.close()
            for sender in senders:
                sender.decided.set()
        self._mailboxes.clear()

    async def send(self, event: Event) -> None:
        """See :meth:`Transport.send <bus.transports.interface.Transport.send>`."""
        await checkpoint()
        self._refuse_closed()
        full = self._put(event)
        if full is None:
            return
        sender = Sender(event, self._mailboxes[full])
        try:
            await sender.decided.wait()
        finally:
            sender.line.pop(sender, None)
        if not sender.accepted:
            raise TransportClosed("the transport was closed while this event waited for room; it was not sent")

    @asynccontextmanager
    async def receive(
        self, *patterns: str, group: str | None = None, max_in_flight: int = 64
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        """See :meth:`Transport.receive <bus.transports.interface.Transport.receive>`."""
        self._refuse_closed()
        mailbox = self._mailbox(checked_patterns(patterns), group)
        receiver = Receiver(mailbox, max_in_flight)
        self._mailboxes.setdefault(mailbox, OrderedDict())
        try:
            yield receiver
        finally:
            receiver.leave()
            if group is None:
                for sender in self._mailboxes.pop(mailbox, ()):
                    self._put_or_wait(sender)

    def _put(self, event: Event) -> Mailbox | None:
        """Put the event into every mailbox that wants it; if one is full, into none, and return that one."""
        wanting = [mailbox for mailbox in self._mailboxes if mailbox.wants(event)]
        for mailbox in wanting:
            if mailbox.full:
                return mailbox
        for mailbox in wanting:
            mailbox.put(event)
        return None

    def _let_in(self, mailbox: Mailbox) -> None:
        senders = self._mailboxes.get(mailbox)
        while senders and not mailbox.full:
            sender, _ = senders.popitem(last=False)
            self._put_or_wait(sender)

    def _put_or_wait(self, sender: Sender) -> None:
        full = self._put(sender.event)
        if full is None:
            sender.accepted = True
            sender.decided.set()
        else:
            sender.stand_in(self._mailboxes[full])

    def _mailbox(self, patterns: tuple[str, ...], group: str | None) -> Mailbox:
        mailbox = Mailbox(patterns, self._capacity, self._let_in)
        if group is None:
            return mailbox
        mailbox = self._groups.setdefault(group, mailbox)
        if set(mailbox.patterns) != set(patterns):
            raise ValueError(f"group {group!r} receives {mailbox.patterns}, it cannot receive {patterns}")
        return mailbox

    def _refuse_closed(self) -> None:
        if not self._entered:
            raise TransportClosed("the transport is not open: enter it with 'async with'")
        if not self._open:
            raise TransportClosed("the transport is closed")


class Sender:
    """A task that waits for room, and the line in which it stands for it."""

    __slots__ = ("accepted", "decided", "event", "line")

    def __init__(self, event: Event, line: OrderedDict[Sender, None]) -> None:
        self.event = event
        self.accepted = False
        self.decided = anyio.Event()
        self.stand_in(line)

    def stand_in(self, line: OrderedDict[Sender, None]) -> None:
        """Wait behind those that are there."""
        self.line = line
        line[self] = None

"""The universal suite on the transport in memory, and on the bus itself; and what is the memory transport's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self

import anyio
import pytest
from attrs import frozen

from bus import BusClosed, Event, EventBus, EventStream, InvalidEvent, event_from_json, event_to_json
from bus.names import matches
from bus.transports.interface import Delivery, Features, Transport, TransportClosed
from bus.transports.memory import MemoryTransport
from bus.transports.suite import PAYLOADS, TransportSuite, collect, event, expect_closed, numbers, send_all, take
from tests.bus_helpers import cancelled_at, settle

pytestmark = pytest.mark.anyio


class TestMemoryTransport(TransportSuite):
    def make_transport(self) -> Transport:
        return MemoryTransport(capacity=100)


class TestMemoryTransportWithLittleRoom(TransportSuite):
    def make_transport(self) -> Transport:
        return MemoryTransport(capacity=16)


class TestBus(TransportSuite):
    def make_transport(self) -> Transport:
        return BusAsTransport()


class BusAsTransport:
    """A bus seen as a transport: it delivers once, and what a stream has given out is gone."""

    features = Features(ordered=True, groups=False, redelivers=False, keeps=False, capacity=16)

    def __init__(self) -> None:
        self._bus = EventBus()
        self._open = False

    async def __aenter__(self) -> Self:
        try:
            await self._bus.__aenter__()
        except BusClosed as error:
            raise TransportClosed(str(error)) from None
        self._open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self._open = False
        return await self._bus.__aexit__(exc_type, exc, traceback)

    async def send(self, event: Event) -> None:
        try:
            await self._bus.publish_event(event)
        except BusClosed as error:
            raise TransportClosed(str(error)) from None

    @asynccontextmanager
    async def receive(
        self, *patterns: str, group: str | None = None, max_in_flight: int = 64
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        assert group is None
        if not self._open:
            raise TransportClosed("the bus is not open")
        pattern = patterns[0] if len(patterns) == 1 else "*"
        async with self._bus.stream(pattern, queue_size=self.features.capacity or 1) as stream:
            yield StreamReceiver(stream, patterns)


@frozen
class StreamReceiver:
    stream: EventStream
    patterns: tuple[str, ...]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        async for each in self.stream:
            if any(matches(pattern, each.type) for pattern in self.patterns):
                return Taken(each)
        raise TransportClosed("the bus was closed")


@frozen
class Taken:
    event: Event
    attempt: int = 1

    async def ack(self) -> None:
        pass

    async def nack(self) -> None:
        pass


@pytest.mark.parametrize("sent", PAYLOADS, ids=range(len(PAYLOADS)))
def test_the_suite_asks_for_nothing_that_json_cannot_say(sent: Event) -> None:
    assert event_from_json(event_to_json(sent)) == sent


async def test_receivers_share_the_event_object() -> None:
    async with MemoryTransport() as transport, transport.receive("*") as one, transport.receive("*") as other:
        sent = event("c", 0)
        await transport.send(sent)
        assert [(await anext(receiver)).event for receiver in (one, other)] == [sent] * 2


async def test_what_a_dead_receiver_had_counts_as_refused() -> None:
    async with MemoryTransport() as transport:
        async with transport.receive("*", group="g") as receiver:
            await transport.send(event("c", 0))
            await anext(receiver)
        async with transport.receive("*", group="g") as receiver:
            assert (await anext(receiver)).attempt == 2


async def test_events_go_to_the_receiver_that_has_asked_longest() -> None:
    shares: list[list[int]] = [[], [], []]

    async def work(receiver: AsyncIterator[Delivery], share: list[int]) -> None:
        async for delivery in receiver:
            share.append(delivery.event.field("n"))
            await delivery.ack()

    async with (
        MemoryTransport() as transport,
        transport.receive("*", group="g") as a,
        transport.receive("*", group="g") as b,
        transport.receive("*", group="g") as c,
        anyio.create_task_group() as group,
    ):
        for receiver, share in zip((a, b, c), shares, strict=True):
            group.start_soon(work, receiver, share)
            await settle()
        for n in range(9):
            await transport.send(event("c", n))
            await settle()
        group.cancel_scope.cancel()
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


async def test_a_busy_receiver_leaves_the_rest_to_its_group() -> None:
    async with (
        MemoryTransport() as transport,
        transport.receive("*", group="g", max_in_flight=1) as busy,
        transport.receive("*", group="g") as free,
    ):
        await send_all(transport, [event(f"c{n}", n) for n in range(10)])
        held = await anext(busy)
        assert sorted(numbers([held, *await take(free, 9)])) == list(range(10))


async def test_a_group_that_receives_something_else_is_refused() -> None:
    async with MemoryTransport() as transport, transport.receive("a.*", "b.b", group="g"):
        async with transport.receive("b.b", "a.*", group="g"):
            pass
        with pytest.raises(ValueError, match="group 'g' receives"):
            await enter(transport.receive("a.*", group="g"))


@pytest.mark.parametrize("patterns", [(), ("",), ("Call",), ("a.b", "a*")])
async def test_what_is_no_pattern_is_refused(patterns: tuple[str, ...]) -> None:
    async with MemoryTransport() as transport:
        with pytest.raises(InvalidEvent, match="not an event name or pattern"):
            await enter(transport.receive(*patterns))


async def test_bounds_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1, not 0"):
        MemoryTransport(capacity=0)
    async with MemoryTransport() as transport:
        with pytest.raises(ValueError, match="max_in_flight must be at least 1, not 0"):
            await enter(transport.receive("*", max_in_flight=0))


async def test_two_tasks_cannot_iterate_over_one_receiver() -> None:
    async with (
        MemoryTransport() as transport,
        transport.receive("*") as receiver,
        anyio.create_task_group() as group,
    ):
        group.start_soon(take, receiver, 1)
        await settle()
        with pytest.raises(anyio.BusyResourceError):
            await anext(receiver)
        group.cancel_scope.cancel()


async def test_a_receiver_that_stopped_waiting_leaves_events_to_its_group() -> None:
    async with (
        MemoryTransport() as transport,
        transport.receive("*", group="g") as idle,
        transport.receive("*", group="g") as other,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(take, idle, 1)
            await settle()
            group.cancel_scope.cancel()
        await transport.send(event("c", 0))
        assert numbers(await take(other, 1)) == [0]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_wait_cancelled_by_asyncio_itself_has_taken_nothing() -> None:
    async with (
        MemoryTransport() as transport,
        transport.receive("*", group="g") as receiver,
        transport.receive("*", group="g") as other,
    ):
        task = asyncio.ensure_future(take(receiver, 1))
        await settle()
        await transport.send(event("c", 0))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [delivery] = await take(other, 1)
        assert (delivery.event.field("n"), delivery.attempt) == (0, 1)


async def test_what_was_handed_to_a_receiver_that_leaves_before_seeing_it_goes_to_the_next() -> None:
    async with MemoryTransport() as transport, anyio.create_task_group() as group:
        taken: list[Event] = []
        async with transport.receive("*", group="g") as receiver:
            group.start_soon(_iterate, receiver, taken)
            await settle()
            await transport.send(event("c", 0))
        await settle()
        assert taken == []
        async with transport.receive("*", group="g") as receiver:
            [delivery] = await take(receiver, 1)
        assert (delivery.event.field("n"), delivery.attempt) == (0, 1)


async def test_a_sender_refused_by_closing_has_not_sent_even_if_room_is_made_at_once() -> None:
    async with MemoryTransport(capacity=1) as transport, transport.receive("*") as receiver:
        await transport.send(event("c", 0))
        held = await anext(receiver)
        async with anyio.create_task_group() as group:
            group.start_soon(expect_closed, transport.send, event("c", 1))
            await settle()
            await transport.__aexit__(None, None, None)
            await held.ack()


async def _iterate(receiver: AsyncIterator[Delivery], taken: list[Event]) -> None:
    async for delivery in receiver:
        taken.append(delivery.event)
        await delivery.ack()


async def test_iterating_ends_when_the_block_has_been_left() -> None:
    taken: list[Event] = []
    async with MemoryTransport() as transport, anyio.create_task_group() as group:
        async with transport.receive("*", group="g") as left:
            group.start_soon(_iterate, left, taken)
            await settle()
        await transport.send(event("c", 0))
        await settle()
        await _iterate(left, taken)
        assert taken == []
        async with transport.receive("*", group="g") as receiver:
            assert numbers(await take(receiver, 1)) == [0]


async def test_senders_are_let_in_in_the_order_in_which_they_came() -> None:
    async with MemoryTransport(capacity=1) as transport, transport.receive("*") as receiver:
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(transport.send, event(f"c{n % 3}", n))
                await settle()
            heard = await take(receiver, 20)
        assert numbers(heard) == list(range(20))


async def test_a_sender_moves_on_to_the_next_full_receiver() -> None:
    async with (
        MemoryTransport(capacity=1) as transport,
        transport.receive("*") as one,
        transport.receive("a.*", "b.*") as other,
        anyio.create_task_group() as group,
    ):
        await transport.send(event("c", 0, "a.a"))
        group.start_soon(transport.send, event("c", 1, "a.a"))
        await settle()
        await take(one, 1)
        await settle()
        assert numbers(await take(other, 2)) == [0, 1]
        assert numbers(await take(one, 1)) == [1]


async def test_nothing_is_kept_of_what_is_done() -> None:
    async with MemoryTransport() as transport, transport.receive("*", group="g") as receiver:
        for n in range(1_000):
            await transport.send(event(f"c{n}", n))
            async with transport.receive("*"):
                await take(receiver, 1)
        [mailbox] = transport._mailboxes
        assert (mailbox._lines, mailbox._size, list(mailbox.ready)) == ({}, 0, [])
        assert receiver._out == set()  # type: ignore[attr-defined]


async def test_a_receiver_cancelled_at_any_await_loses_and_doubles_nothing() -> None:
    async def send_and_take(transport: Transport, sent: list[int], done: list[int]) -> None:
        async with transport.receive("*", group="g") as receiver:
            for n in range(3):
                await transport.send(event("c", n))
                sent.append(n)
            for n in range(3):
                await take(receiver, 1)
                done.append(n)

    for step in range(100):
        sent: list[int] = []
        done: list[int] = []
        async with MemoryTransport() as transport:
            with anyio.CancelScope() as scope:
                await cancelled_at(step, scope, send_and_take(transport, sent, done))
            async with transport.receive("*", group="g") as receiver:
                assert numbers(await take(receiver, len(sent) - len(done))) == sent[len(done) :]
        if not scope.cancel_called:
            break
    assert 3 < step < 99


async def test_a_sender_cancelled_at_any_await_has_sent_all_or_nothing() -> None:
    async def send_three(transport: Transport, sent: list[int]) -> None:
        for n in range(3):
            await transport.send(event("c", n))
            sent.append(n)

    for step in range(100):
        sent: list[int] = []
        heard: list[list[Event]] = [[], []]
        async with (
            MemoryTransport(capacity=1) as transport,
            transport.receive("*") as one,
            transport.receive("*") as other,
            anyio.create_task_group() as group,
        ):
            group.start_soon(collect, one, 100, heard[0])
            group.start_soon(collect_slowly, other, heard[1])
            with anyio.CancelScope() as scope:
                await cancelled_at(step, scope, send_three(transport, sent))
            for _ in range(4):
                await settle()
            assert all(senders == {} for senders in transport._mailboxes.values())
            group.cancel_scope.cancel()
        assert numbers(heard[0]) == numbers(heard[1])
        assert numbers(heard[0]) in (sent, [*sent, len(sent)])
        if not scope.cancel_called:
            break
    assert 3 < step < 99


async def collect_slowly(receiver: AsyncIterator[Delivery], heard: list[Event]) -> None:
    while True:
        await settle()
        await collect(receiver, len(heard) + 1, heard)


async def enter(receiver: AbstractAsyncContextManager[object]) -> None:
    async with receiver:
        pass

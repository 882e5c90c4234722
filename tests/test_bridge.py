"""Bridges: buses joined by a transport, what crosses and what does not, and what a bridge says when it cannot go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from bus import (
    BusClosed,
    CausalityLoop,
    Event,
    EventBus,
    EventType,
    HandlerFailure,
    InvalidEvent,
    QueueFull,
    WebRTCEventData,
    default_chain,
)
from bus.transports.bridge import Bridge, RecentIds
from bus.transports.interface import Delivery, TransportClosed
from bus.transports.memory import MemoryTransport
from bus.transports.suite import by_connection, event, numbers, take
from tests.bus_helpers import Fails, Gate, Recorder, assert_at_rest, cancelled_at, fill, settle

pytestmark = pytest.mark.anyio


async def test_what_is_published_on_one_bus_is_heard_on_the_other() -> None:
    heard = Recorder()
    async with (
        MemoryTransport() as transport,
        EventBus() as here,
        EventBus() as there,
        Bridge(there, transport, receive="*"),
        Bridge(here, transport, send="webrtc.*"),
    ):
        there.subscribe("*", heard)
        sent = Event(
            EventType.AUDIO_TRACK_READY,
            "c",
            WebRTCEventData("c", track_type="audio"),
            id="given",
            call_id="k",
            tenant_id="t",
            timestamp=1.5,
            causation_id="cause",
            causation_depth=3,
        )
        await here.publish_event(sent)
        await here.publish("call.started")
        await settle()
        assert heard.events == [sent]


async def test_several_patterns_cross_in_the_order_of_their_connection() -> None:
    heard = Recorder()
    async with (
        MemoryTransport(capacity=4) as transport,
        EventBus() as here,
        EventBus() as there,
        Bridge(there, transport, receive=["call.*", "media.*", "call.moved"]),
    ):
        there.subscribe("*", heard)
        async with Bridge(here, transport, send=["call.*", "media.*"]):
            for n in range(100):
                await here.publish(
                    ["call.moved", "media.moved", "other.moved"][n % 3], {"n": n}, connection_id=f"c{n % 2}"
                )
        await settle()
        crossed = [n for n in range(100) if n % 3 < 2]
        assert by_connection(heard.events) == {f"c{k}": [n for n in crossed if n % 2 == k] for k in (0, 1)}


async def test_nothing_goes_round_in_a_circle() -> None:
    async with MemoryTransport() as transport, three_buses_on(transport) as buses:
        recorders = []
        for bus in buses:
            recorders.append(Recorder())
            bus.subscribe("*", recorders[-1])
        for n, bus in enumerate(buses * 10):
            await bus.publish("call.moved", {"n": n}, connection_id="c")
            await settle()
        for recorder in recorders:
            assert recorder.numbers == list(range(30))
        assert [mailbox._size for mailbox in transport._mailboxes] == [0, 0, 0]


@asynccontextmanager
async def three_buses_on(transport: MemoryTransport) -> AsyncIterator[list[EventBus]]:
    async with AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(EventBus()) for _ in range(3)]
        for bus in buses:
            await stack.enter_async_context(Bridge(bus, transport, send="*", receive="*"))
        yield buses


async def test_answers_cross_back_and_are_linked_to_what_they_answer() -> None:
    answers = Recorder()
    async with MemoryTransport() as transport, EventBus() as here, EventBus() as there:

        @there.subscribe("call.asked")
        async def answer(event: Event) -> None:
            await there.publish("call.answered", {"n": event.field("n")}, connection_id=event.connection_id)

        here.subscribe("call.answered", answers)
        async with (
            Bridge(there, transport, send="call.answered", receive="call.asked"),
            Bridge(here, transport, send="call.asked", receive="call.answered"),
        ):
            question = await here.publish("call.asked", {"n": 1}, connection_id="c")
            await settle()
        assert [(event.causation_id, event.causation_depth) for event in answers.events] == [(question.id, 1)]


async def test_buses_that_feed_each_other_without_end_are_cut() -> None:
    failures = Recorder()
    async with MemoryTransport() as transport, EventBus() as here, EventBus() as there:

        async def pong(event: Event) -> None:
            await there.publish("pong.sent", connection_id="c")

        async def ping(event: Event) -> None:
            await here.publish("ping.sent", connection_id="c")

        there.subscribe("ping.sent", pong)
        here.subscribe("pong.sent", ping)
        cut = anyio.Event()
        for bus in (here, there):
            bus.subscribe(EventType.HANDLER_FAILED, failures)
            bus.subscribe(EventType.HANDLER_FAILED, lambda event: cut.set())
        async with (
            Bridge(there, transport, send="pong.*", receive="ping.*"),
            Bridge(here, transport, send="ping.*", receive="pong.*"),
        ):
            await here.publish("ping.sent", connection_id="c")
            await cut.wait()
    assert [type(event.error) for event in failures.events] == [CausalityLoop]


async def test_a_group_of_buses_shares_what_comes() -> None:
    one, other = Recorder(), Recorder()
    async with (
        MemoryTransport() as transport,
        EventBus() as a,
        EventBus() as b,
        Bridge(a, transport, receive="*", group="workers"),
        Bridge(b, transport, receive="*", group="workers"),
    ):
        a.subscribe("*", one)
        b.subscribe("*", other)
        for n in range(50):
            await transport.send(event(f"c{n}", n))
        await settle()
        await settle()
        assert one.events
        assert other.events
        assert sorted(one.numbers + other.numbers) == list(range(50))


async def test_an_event_is_acknowledged_when_it_has_been_published() -> None:
    gate = Gate()
    async with (
        MemoryTransport() as transport,
        EventBus() as bus,
        Bridge(bus, transport, receive="*", group="g"),
        transport.receive("*", group="g", max_in_flight=1) as other,
    ):
        bus.subscribe("*", gate, inline=True)
        await transport.send(event("c", 0))
        await transport.send(event("c", 1))
        await settle()
        assert numbers(gate.events) == [0]
        [mailbox] = transport._mailboxes
        assert mailbox._size == 2
        gate.open()
        await settle()
        assert mailbox._size == 0
        assert numbers(gate.events) == [0, 1]
        assert other is not None


async def test_a_full_queue_of_the_bus_leaves_events_in_the_transport() -> None:
    gate = Gate()
    async with (
        MemoryTransport(capacity=3) as transport,
        EventBus() as bus,
        Bridge(bus, transport, receive="*"),
        anyio.create_task_group() as group,
    ):
        bus.subscribe("*", gate, queue_size=2)
        for n in range(10):
            group.start_soon(transport.send, event("c", n))
            await settle()
        [mailbox] = transport._mailboxes
        assert (bus.stats().queued, mailbox._size) == (2, 3)
        gate.open()
        await settle()
        assert gate.numbers == list(range(10))


async def test_a_slow_transport_makes_publishers_wait() -> None:
    async with (
        MemoryTransport(capacity=1) as transport,
        EventBus() as bus,
        transport.receive("*") as receiver,
        Bridge(bus, transport, send="*"),
        anyio.create_task_group() as group,
    ):
        group.start_soon(fill, bus, "call.moved", 2_000)
        for _ in range(30):
            await settle()
        assert bus.stats().total_events < 1_100
        assert numbers(await take(receiver, 2_000)) == list(range(2_000))


async def test_a_refused_event_is_reported_and_not_tried_again() -> None:
    failures, heard = Recorder(), Recorder()
    async with (
        MemoryTransport() as transport,
        EventBus(middleware=default_chain()) as bus,
        Bridge(bus, transport, receive="*", group="g"),
    ):
        bus.subscribe(EventType.HANDLER_FAILED, failures)
        bus.subscribe("call.*", heard)
        bad = Event("whatsapp.call_started", "c")
        await transport.send(bad)
        await transport.send(event("c", 1))
        await settle()
        [failure] = failures.events
        assert isinstance(failure.data, HandlerFailure)
        assert (failure.data.event, failure.data.handler, failure.causation_id) == (bad, "bridge, receiving *", bad.id)
        assert isinstance(failure.error, InvalidEvent)
        assert heard.numbers == [1]


async def test_an_event_that_has_no_room_is_reported_and_not_tried_again() -> None:
    failures, gate = Recorder(), Gate()
    async with MemoryTransport() as transport, EventBus() as bus, Bridge(bus, transport, receive="*"):
        bus.subscribe(EventType.HANDLER_FAILED, failures)
        bus.subscribe("call.*", gate, queue_size=1, overflow="error")
        for n in range(3):
            await transport.send(event("c", n))
            await settle()
        gate.open()
        assert [type(failure.error) for failure in failures.events] == [QueueFull]
        await settle()
        assert gate.numbers == [0, 1]


async def test_an_inline_handler_that_fails_does_not_end_the_bridge_or_repeat_the_event() -> None:
    failures, heard = Recorder(), Recorder()
    async with MemoryTransport() as transport, EventBus() as bus, Bridge(bus, transport, receive="*"):
        bus.subscribe(EventType.HANDLER_FAILED, failures)
        bus.subscribe("call.*", Fails(), inline=True)
        bus.subscribe("call.*", heard)
        for n in range(2):
            await transport.send(event("c", n))
        await settle()
        assert heard.numbers == [0, 1]
        assert [str(failure.error) for failure in failures.events] == ["it broke", "it broke"]


async def test_an_event_that_cannot_be_carried_is_reported_and_the_next_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = Recorder()
    send = MemoryTransport.send

    async def refuse_zero(self: MemoryTransport, event: Event) -> None:
        if event.field("n") == 0:
            raise InvalidEvent(event.type, "data", "is too large")
        await send(self, event)

    monkeypatch.setattr(MemoryTransport, "send", refuse_zero)
    async with (
        MemoryTransport() as transport,
        EventBus() as bus,
        transport.receive("*") as receiver,
        Bridge(bus, transport, send="call.*"),
    ):
        bus.subscribe(EventType.HANDLER_FAILED, failures)
        await fill(bus, "call.moved", 2)
        assert numbers(await take(receiver, 1)) == [1]
        assert [failure.field("handler") for failure in failures.events] == ["bridge, sending call.*"]


# -- ending -----------------------------------------------------------------------------------------------------------


async def test_leaving_sends_what_was_published_until_then() -> None:
    async with MemoryTransport(capacity=10) as transport, EventBus() as bus, transport.receive("*") as receiver:
        heard: list[Delivery] = []

        async def listen() -> None:
            heard.extend(await take(receiver, 500))

        async with anyio.create_task_group() as group:
            async with Bridge(bus, transport, send="*"):
                await fill(bus, "call.moved", 500)
                group.start_soon(listen)
            await fill(bus, "call.moved", 5)
        assert numbers(heard) == list(range(500))
        assert_at_rest(bus)


async def test_leaving_by_an_error_sends_nothing_more_and_lets_the_error_out() -> None:
    async def fail(bus: EventBus, transport: MemoryTransport) -> None:
        async with Bridge(bus, transport, send="*", receive="*"):
            await fill(bus, "call.moved", 5)
            raise KeyError("mine")

    async with MemoryTransport(capacity=1) as transport, EventBus() as bus, transport.receive("*"):
        with pytest.raises(KeyError, match="mine"):
            await fail(bus, transport)
        assert_at_rest(bus)


async def test_a_group_of_errors_of_the_block_comes_out_as_it_is() -> None:
    async def fail(bus: EventBus, transport: MemoryTransport) -> None:
        async with Bridge(bus, transport, receive="*"):
            raise ExceptionGroup("mine", [KeyError(), TransportClosed()])

    async with MemoryTransport() as transport, EventBus() as bus:
        with pytest.raises(ExceptionGroup, match="mine"):
            await fail(bus, transport)


async def test_a_bridge_that_has_ended_may_be_entered_again() -> None:
    async with MemoryTransport() as transport, EventBus() as bus, transport.receive("*") as receiver:
        bridge = Bridge(bus, transport, send="*", receive="*")
        for n in range(3):
            async with bridge:
                await bus.publish("call.moved", {"n": n})
            assert numbers(await take(receiver, 1)) == [n]


async def test_what_a_bridge_opened_by_a_handler_publishes_is_not_that_handlers_doing() -> None:
    heard, opened, done = Recorder(), anyio.Event(), anyio.Event()

    async with MemoryTransport() as transport, EventBus() as bus:

        async def open_bridge(event: Event) -> None:
            async with Bridge(bus, transport, receive="*"):
                opened.set()
                await done.wait()

        bus.subscribe("bridge.wanted", open_bridge)
        bus.subscribe("call.*", heard)
        await bus.publish("bridge.wanted")
        await opened.wait()
        sent = event("c", 0)
        await transport.send(sent)
        await settle()
        done.set()
    assert heard.events == [sent]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_inline_handler_that_awaits_a_cancelled_task_does_not_end_the_bridge() -> None:
    failures, heard = Recorder(), Recorder()

    async def await_cancelled(event: Event) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async with MemoryTransport() as transport, EventBus() as bus, Bridge(bus, transport, receive="*"):
        bus.subscribe(EventType.HANDLER_FAILED, failures)
        bus.subscribe("call.*", await_cancelled, inline=True)
        bus.subscribe("call.*", heard)
        for n in range(2):
            await transport.send(event("c", n))
        await settle()
        assert heard.numbers == [0, 1]
        assert len(failures.events) == 2


async def test_leaving_gives_back_what_was_not_published() -> None:
    async with MemoryTransport() as transport, EventBus() as bus:
        async with Bridge(bus, transport, receive="*", group="g"):
            gate = Gate()
            subscription = bus.subscribe("*", gate, queue_size=1)
            for n in range(5):
                await transport.send(event("c", n))
            await settle()
        gate.open()
        await bus.drain()
        assert (gate.numbers, subscription.handled) == ([0, 1], 2)
        async with transport.receive("*", group="g") as receiver:
            assert numbers(await take(receiver, 3)) == [2, 3, 4]


async def test_a_bus_that_closes_has_sent_what_was_published() -> None:
    async with (
        MemoryTransport() as transport,
        EventBus() as bus,
        transport.receive("*") as receiver,
        Bridge(bus, transport, send="*"),
    ):
        await fill(bus, "call.moved", 100)
        await bus.aclose()
        assert numbers(await take(receiver, 100)) == list(range(100))


async def test_a_closed_bus_is_told_when_an_event_comes_which_is_given_back() -> None:
    async def receive_on_closed_bus(bus: EventBus, transport: MemoryTransport) -> None:
        async with Bridge(bus, transport, receive="*", group="g"):
            await bus.aclose()
            await transport.send(event("c", 0))
            await anyio.sleep_forever()

    async with MemoryTransport() as transport, EventBus() as bus:
        with pytest.raises(BusClosed):
            await receive_on_closed_bus(bus, transport)
        async with transport.receive("*", group="g") as receiver:
            assert numbers(await take(receiver, 1)) == [0]


@pytest.mark.parametrize(("send", "receive"), [("*", ()), ((), "*"), ("*", "*")])
async def test_a_closed_transport_ends_the_bridge_with_its_error(send: str, receive: str) -> None:
    async def close_under_it(bus: EventBus, stack: AsyncExitStack) -> None:
        transport = await stack.enter_async_context(MemoryTransport())
        async with Bridge(bus, transport, send=send, receive=receive):
            await stack.aclose()
            await bus.publish("call.moved")
            await anyio.sleep_forever()

    async with AsyncExitStack() as stack, EventBus() as bus:
        with pytest.raises(TransportClosed):
            await close_under_it(bus, stack)
        assert_at_rest(bus)


async def test_a_transport_closed_under_both_halves_at_once_is_one_error() -> None:
    async def close_under_it(bus: EventBus, stack: AsyncExitStack) -> None:
        transport = await stack.enter_async_context(MemoryTransport(capacity=1))
        await stack.enter_async_context(transport.receive("call.*"))
        async with Bridge(bus, transport, send="call.*", receive="media.*"):
            await fill(bus, "call.moved", 3)
            await settle()
            await transport.__aexit__(None, None, None)
            await anyio.sleep_forever()

    async with EventBus() as bus, AsyncExitStack() as stack:
        with pytest.raises(TransportClosed):
            await close_under_it(bus, stack)


async def test_a_transport_that_stops_without_a_word_ends_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def nothing(
        self: MemoryTransport, *patterns: str, group: str | None
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        async def no_deliveries() -> AsyncIterator[Delivery]:
            return
            yield

        yield no_deliveries()

    monkeypatch.setattr(MemoryTransport, "receive", nothing)
    async with MemoryTransport() as transport, EventBus() as bus:
        with pytest.raises(TransportClosed, match="stopped delivering"):
            async with Bridge(bus, transport, receive="*"):
                await anyio.sleep_forever()


async def test_a_bridge_onto_a_transport_not_open_cannot_be_entered() -> None:
    async with EventBus() as bus:
        with pytest.raises(TransportClosed, match="not open"):
            async with Bridge(bus, MemoryTransport(), send="*", receive="*"):
                pass
        assert_at_rest(bus)


async def test_a_bridge_needs_patterns() -> None:
    async with MemoryTransport() as transport, EventBus() as bus:
        with pytest.raises(ValueError, match="neither sends nor receives"):
            Bridge(bus, transport)
        with pytest.raises(InvalidEvent, match="not an event name or pattern"):
            Bridge(bus, transport, send="Call")


async def test_a_bridge_cancelled_at_any_await_ends_cleanly() -> None:
    async def cross(here: EventBus, there: EventBus, transport: MemoryTransport) -> None:
        async with (
            Bridge(there, transport, receive="*", group="g"),
            Bridge(here, transport, send="*", receive="media.*"),
        ):
            await fill(here, "call.moved", 3)
            await settle()

    for step in range(500):
        heard = Recorder()
        async with MemoryTransport() as transport, EventBus() as here, EventBus() as there:
            there.subscribe("*", heard)
            with anyio.CancelScope() as scope:
                await cancelled_at(step, scope, cross(here, there, transport))
            await there.drain()
            assert heard.numbers == list(range(len(heard.numbers)))
            assert_at_rest(here)
            assert_at_rest(there)
        if not scope.cancel_called:
            break
    assert 10 < step < 499


def test_no_more_ids_are_remembered_than_the_limit() -> None:
    ids = RecentIds(3)
    for name in ("a", "b", "c", "a", "d"):
        ids.add(name)
    assert [name in ids for name in ("a", "b", "c", "d")] == [True, False, True, True]


async def test_only_ids_that_can_come_back_are_remembered() -> None:
    async with (
        MemoryTransport() as transport,
        EventBus() as bus,
        Bridge(bus, transport, send=["a.*", "b.b"], receive=["b.*", "c.c"]) as bridge,
    ):
        for name in ("a.a", "b.b", "c.c"):
            await bus.publish(name)
            await transport.send(event("c", 0, name))
        await settle()
        assert (len(bridge._sent._ids), len(bridge._received._ids)) == (1, 1)

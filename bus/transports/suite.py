"""What every transport must do, as tests: one suite, told by its :class:`~bus.transports.Features` what it can do.

Whoever writes a transport runs it with pytest and its anyio plugin:

    class TestMyTransport(TransportSuite):
        def make_transport(self) -> Transport:
            return MyTransport(capacity=32)

A claim that needs something which the transport does not promise is skipped, and says which. Importing this module
needs pytest; nothing else in the package does. (For asserts that show their values, call
``pytest.register_assert_rewrite("bus.transports.suite")`` before importing it.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from bus.event import Event
from bus.names import EventType, matches
from bus.payloads import AIEventData, WebRTCEventData, WhatsAppEventData
from bus.transports.interface import Delivery, Transport, TransportClosed

MOVED = "call.moved"

PAYLOADS = [
    Event("call.started", "c"),
    Event("call.started", "c", {"text": "Grüße, 你好 👋\n\"'\\\0", "": "no name", "a.b": 1}),
    Event("call.started", "c", {"none": None, "yes": True, "no": False, "zero": 0, "half": 0.5, "empty": ""}),
    Event("call.started", "c", {"big": 2**60, "small": -(2**60), "tiny": 1e-300, "exact": 0.1 + 0.2}),
    Event("call.started", "c", {"deep": {"list": [1, [2, {"three": [None, {}, []]}]]}}),
    Event(EventType.AUDIO_TRACK_READY, "c", WebRTCEventData("c", track_type="audio", ssrc=4_294_967_295)),
    Event(EventType.AI_AUDIO_READY, "c", AIEventData(connection_id="c", is_ready=False, greeting_sent=True)),
    Event(EventType.WHATSAPP_CALL_STARTED, None, WhatsAppEventData(call_id="k", contact_name="Žofie"), call_id="k"),
    Event(
        "call.failed", "c", id="given by the outside", tenant_id="t", error="no route", timestamp=1_700_000_000.123456
    ),
    Event("call.ended", "c", call_id="k", causation_id="e1", causation_depth=7, timestamp=0.0),
]
"""What must arrive as it was sent: all that JSON can say, and the payload classes."""


class TransportSuite:
    """The claims. Override :meth:`make_transport`, and for a transport with delays :meth:`settle` and ``patience_s``.

    :cvar patience_s: seconds that one claim may take; none of them sleeps
    """

    pytestmark = pytest.mark.anyio
    patience_s = 30.0

    def make_transport(self) -> Transport:
        """A new transport, not entered, with nothing in it, and room for 16 events or more."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Wait until what was sent must have arrived, if it does at all: here, let all others run for a while."""
        for _ in range(50):
            await checkpoint()

    # -- handing on ---------------------------------------------------------------------------------------------------

    async def test_every_receiver_gets_everything(self) -> None:
        async with self.opened() as transport, transport.receive("*") as one, transport.receive("call.*") as other:
            async with anyio.create_task_group() as group:
                heard: list[list[Event]] = [[], []]
                group.start_soon(collect, one, 200, heard[0])
                group.start_soon(collect, other, 200, heard[1])
                for n in range(200):
                    await transport.send(event(f"c{n % 10}", n))
            assert [sorted(numbers(events)) for events in heard] == [list(range(200))] * 2
            await self.nothing_comes(one)

    async def test_a_receiver_gets_what_is_sent_once_it_is_there(self) -> None:
        async with self.opened() as transport:
            await transport.send(event("c", 0))
            async with transport.receive("*") as receiver:
                await transport.send(event("c", 1))
                assert numbers(await take(receiver, 1)) == [1]
                await self.nothing_comes(receiver)

    async def test_a_pattern_means_what_it_means_on_a_bus(self) -> None:
        names = ["call.started", "call.leg.added", "call.leg.added_late", "callback.made", "media.call.started"]
        for wanted in (
            ("call.started",),
            ("call.leg.added",),
            ("call.*",),
            ("call.leg.*",),
            ("*",),
            ("call.started", "media.*"),
        ):
            async with self.opened() as transport, transport.receive(*wanted) as receiver:
                for n, name in enumerate(names):
                    await transport.send(event("c", n, name))
                expected = [name for name in names if any(matches(pattern, name) for pattern in wanted)]
                heard = await take(receiver, len(expected))
                assert sorted(delivery.event.type for delivery in heard) == sorted(expected), wanted
                await self.nothing_comes(receiver)

    async def test_an_event_that_matches_twice_comes_once(self) -> None:
        async with self.opened() as transport, transport.receive("call.*", MOVED, "*") as receiver:
            await transport.send(event("c", 0))
            await take(receiver, 1)
            await self.nothing_comes(receiver)

    async def test_an_event_arrives_as_it_was_sent(self) -> None:
        async with self.opened() as transport, transport.receive("*") as receiver:
            for sent in PAYLOADS:
                await transport.send(sent)
                [delivery] = await take(receiver, 1)
                assert delivery.event == sent
                assert type(delivery.event.data) is type(sent.data)
                assert delivery.attempt == 1

    async def test_of_ten_thousand_events_none_is_lost_or_doubled(self) -> None:
        async with self.opened() as transport, transport.receive("*") as receiver:
            heard: list[Event] = []
            async with anyio.create_task_group() as group:
                group.start_soon(collect, receiver, 10_000, heard)
                for sender in range(10):
                    group.start_soon(send_all, transport, [event(f"c{n % 97}", n) for n in range(sender, 10_000, 10)])
            assert sorted(numbers(heard)) == list(range(10_000))
            await self.nothing_comes(receiver)

    async def test_a_slow_receiver_does_not_delay_another(self) -> None:
        async with self.opened() as transport, transport.receive("*") as slow, transport.receive("*") as quick:
            number = transport.features.capacity or 100
            await transport.send(event("c", 0))
            await anext(slow)
            for n in range(1, number):
                await transport.send(event("c", n))
            assert sorted(numbers(await take(quick, number))) == list(range(number))

    async def test_a_wait_that_is_cancelled_has_taken_nothing(self) -> None:
        async with self.opened() as transport, transport.receive("*") as receiver:
            for n in range(5):
                await self.nothing_comes(receiver)
                taken: list[Delivery] = []
                async with anyio.create_task_group() as group:
                    group.start_soon(take_into, receiver, taken)
                    await self.settle()
                    await transport.send(event("c", n))
                    group.cancel_scope.cancel()
                for delivery in taken:
                    await delivery.ack()
                assert numbers(taken or await take(receiver, 1)) == [n]

    # -- order --------------------------------------------------------------------------------------------------------

    async def test_a_connection_keeps_its_order(self) -> None:
        async with self.opened("ordered") as transport, transport.receive("*") as receiver:
            number = min(transport.features.capacity or 100, 100)
            await send_all(transport, [event(f"c{n % 2}", n) for n in range(number)])
            lines = by_connection(await take(receiver, number))
            assert lines == {"c0": list(range(0, number, 2)), "c1": list(range(1, number, 2))}

    async def test_fifty_senders_on_twenty_connections_keep_one_order_for_all_receivers(self) -> None:
        async with self.opened("ordered") as transport, transport.receive("*") as one, transport.receive("*") as other:
            heard: list[list[Event]] = [[], []]
            async with anyio.create_task_group() as group:
                for sender in range(50):
                    sent = [event(f"c{key}", (sender, n)) for n in range(2) for key in range(20)]
                    group.start_soon(send_all, transport, sent)
                await self.settle()
                group.start_soon(collect, one, 2_000, heard[0])
                group.start_soon(collect, other, 2_000, heard[1])
            for line in by_connection(heard[0]).values():
                for sender in range(50):
                    assert [n for who, n in line if who == sender] == [0, 1], "each sender's own order"
            assert by_connection(heard[0]) == by_connection(heard[1])

    async def test_events_of_no_connection_keep_the_order_of_their_call(self) -> None:
        async with self.opened("ordered") as transport, transport.receive("*") as receiver:
            for n in range(4):
                for call in ("k", "l"):
                    await transport.send(Event(MOVED, None, {"n": n}, call_id=call))
            heard = [delivery.event for delivery in await take(receiver, 8)]
            for call in ("k", "l"):
                assert [event.field("n") for event in heard if event.call_id == call] == [0, 1, 2, 3]

    # -- acknowledging ------------------------------------------------------------------------------------------------

    async def test_a_refused_event_comes_again_and_counts_its_attempts(self) -> None:
        async with self.opened("redelivers") as transport, transport.receive("*") as receiver:
            sent = event("c", 0)
            await transport.send(sent)
            for attempt in (1, 2, 3):
                delivery = await anext(receiver)
                assert (delivery.event, delivery.attempt) == (sent, attempt)
                await delivery.nack()
            await take(receiver, 1)
            await self.nothing_comes(receiver)

    async def test_a_refused_event_is_not_overtaken_by_its_connection(self) -> None:
        async with self.opened("redelivers", "ordered") as transport, transport.receive("*") as receiver:
            await send_all(transport, [event("c", n) for n in range(3)])
            await (await anext(receiver)).nack()
            assert numbers(await take(receiver, 3)) == [0, 1, 2]

    async def test_the_next_of_a_connection_comes_after_the_one_before_is_acknowledged(self) -> None:
        async with self.opened("redelivers", "ordered") as transport, transport.receive("*") as receiver:
            await send_all(transport, [event("c", 0), event("c", 1), event("d", 2)])
            held = {(delivery := await anext(receiver)).event.field("n"): delivery for _ in range(2)}
            assert held.keys() == {0, 2}
            await self.nothing_comes(receiver)
            await held[0].ack()
            assert numbers(await take(receiver, 1)) == [1]

    async def test_an_event_refused_again_and_again_holds_up_its_connection_only(self) -> None:
        async with self.opened("redelivers") as transport, transport.receive("*", max_in_flight=1) as receiver:
            await send_all(transport, [event("c", 0), *(event("d", n) for n in range(1, 5))])
            heard = []
            for _ in range(100):
                delivery = await anext(receiver)
                if delivery.event.connection_id == "c":
                    await delivery.nack()
                else:
                    heard.append(delivery.event.field("n"))
                    await delivery.ack()
                if len(heard) == 4:
                    break
            assert sorted(heard) == [1, 2, 3, 4]

    async def test_no_more_are_out_than_the_receiver_allows(self) -> None:
        async with self.opened("redelivers") as transport, transport.receive("*", max_in_flight=2) as receiver:
            await send_all(transport, [event(f"c{n}", n) for n in range(4)])
            held = [await anext(receiver), await anext(receiver)]
            await self.nothing_comes(receiver)
            await held[0].ack()
            await anext(receiver)
            await self.nothing_comes(receiver)

    async def test_a_receiver_that_waits_at_its_limit_goes_on_when_one_is_acknowledged(self) -> None:
        async with self.opened("redelivers") as transport, transport.receive("*", max_in_flight=1) as receiver:
            await send_all(transport, [event("c", 0), event("d", 1)])
            held = await anext(receiver)
            taken: list[Delivery] = []
            async with anyio.create_task_group() as group:
                group.start_soon(take_into, receiver, taken)
                await self.settle()
                assert taken == []
                await held.ack()
            assert sorted(numbers([held, *taken])) == [0, 1]

    async def test_only_the_first_word_on_a_delivery_counts(self) -> None:
        async with self.opened("redelivers", "ordered") as transport, transport.receive("*") as receiver:
            await send_all(transport, [event("c", n) for n in range(3)])
            first = await anext(receiver)
            await first.ack()
            await first.ack()
            await first.nack()
            second = await anext(receiver)
            await first.nack()
            await second.nack()
            await second.ack()
            assert [(d.event.field("n"), d.attempt) for d in await take(receiver, 2)] == [(1, 2), (2, 1)]
            await self.nothing_comes(receiver)

    async def test_acknowledging_while_the_next_is_on_its_way_loses_nothing(self) -> None:
        async with self.opened("redelivers") as transport, transport.receive("*", max_in_flight=3) as receiver:
            await send_all(transport, [event("c", 0), event("d", 1)])
            held = [await anext(receiver), await anext(receiver)]
            taken: list[Event] = []
            async with anyio.create_task_group() as group:
                group.start_soon(collect, receiver, 3, taken)
                await self.settle()
                await send_all(transport, [event("c", 2), event("d", 3), event("e", 4)])
                for delivery in held:
                    await delivery.ack()
            assert sorted(numbers(taken)) == [2, 3, 4]

    async def test_acknowledging_too_late_raises_nothing(self) -> None:
        async with self.opened() as transport:
            async with transport.receive("*") as receiver:
                await send_all(transport, [event("c", 0), event("d", 1)])
                left = await anext(receiver)
            await left.ack()
            async with transport.receive("*") as receiver:
                await transport.send(event("c", 2))
                closed = await anext(receiver)
        await closed.ack()
        await closed.nack()

    # -- groups -------------------------------------------------------------------------------------------------------

    async def test_a_group_shares_the_load_and_doubles_nothing(self) -> None:
        async with (
            self.opened("groups") as transport,
            transport.receive("*", group="g", max_in_flight=4) as one,
            transport.receive("*", group="g", max_in_flight=4) as other,
            transport.receive("*") as alone,
        ):
            shares: list[list[Event]] = [[], []]
            heard: list[Event] = []
            enough = anyio.Event()

            async def work(receiver: AsyncIterator[Delivery], share: list[Event]) -> None:
                while True:
                    await collect(receiver, len(share) + 1, share)
                    if sum(map(len, shares)) == 400:
                        enough.set()

            async with anyio.create_task_group() as members:
                members.start_soon(work, one, shares[0])
                members.start_soon(work, other, shares[1])
                async with anyio.create_task_group() as group:
                    group.start_soon(collect, alone, 400, heard)
                    await send_all(transport, [event(f"c{n % 100}", n) for n in range(400)])
                await enough.wait()
                await self.settle()
                members.cancel_scope.cancel()
            assert sorted(numbers(shares[0] + shares[1])) == list(range(400))
            assert all(shares), "both of the group have a share"
            assert sorted(numbers(heard)) == list(range(400)), "who is in no group gets everything"

    async def test_each_of_two_groups_gets_everything(self) -> None:
        async with (
            self.opened("groups") as transport,
            transport.receive("*", group="g") as one,
            transport.receive("call.*", group="h") as other,
        ):
            await send_all(transport, [event(f"c{n}", n) for n in range(8)])
            for receiver in (one, other):
                assert sorted(numbers(await take(receiver, 8))) == list(range(8))
                await self.nothing_comes(receiver)

    async def test_what_a_dead_receiver_had_goes_to_another_of_its_group(self) -> None:
        async with self.opened("groups", "redelivers") as transport, anyio.create_task_group() as group:
            dying: anyio.CancelScope = await group.start(self._take_and_die, transport)
            async with transport.receive("*", group="g") as survivor:
                dying.cancel()
                lines = by_connection(delivery.event for delivery in await take(survivor, 4))
                assert {whose: sorted(line) for whose, line in lines.items()} == {"c": [0, 1, 2], "d": [1]}
                if transport.features.ordered:
                    assert lines["c"] == [0, 1, 2]
                await self.nothing_comes(survivor)

    async def _take_and_die(self, transport: Transport, *, task_status: TaskStatus[anyio.CancelScope]) -> None:
        with anyio.CancelScope() as scope:
            async with transport.receive("*", group="g") as receiver:
                await send_all(transport, [event("c", 0), event("d", 0)])
                for _ in range(2):
                    delivery = await anext(receiver)
                    if delivery.event.connection_id == "d":
                        await delivery.ack()
                await send_all(transport, [event("c", 1), event("c", 2), event("d", 1)])
                task_status.started(scope)
                await anyio.sleep_forever()

    async def test_a_group_finds_what_was_sent_while_it_was_away(self) -> None:
        async with self.opened("groups", "keeps") as transport:
            async with transport.receive("*", group="g") as receiver:
                await transport.send(event("c", 0))
                await take(receiver, 1)
            await send_all(transport, [event(f"c{n}", n) for n in range(1, 5)])
            async with transport.receive("*", group="g") as receiver:
                assert sorted(numbers(await take(receiver, 4))) == [1, 2, 3, 4]
                await self.nothing_comes(receiver)

    async def test_a_group_finds_what_it_has_not_acknowledged(self) -> None:
        async with self.opened("groups", "keeps", "redelivers") as transport:
            async with transport.receive("*", group="g") as receiver:
                await send_all(transport, [event("c", 0), event("d", 1)])
                await anext(receiver)
            async with transport.receive("*", group="g") as receiver:
                assert sorted(numbers(await take(receiver, 2))) == [0, 1]
                await self.nothing_comes(receiver)

    # -- back-pressure ------------------------------------------------------------------------------------------------

    async def test_a_sender_waits_while_a_receiver_has_too_much(self) -> None:
        async with self.opened("capacity") as transport, transport.receive("*") as receiver:
            capacity = await self.fill(transport)
            async with anyio.create_task_group() as group:
                sent = anyio.Event()
                group.start_soon(send_and_tell, transport, event("more", capacity), sent)
                await self.settle()
                assert not sent.is_set()
                await take(receiver, 1)
                await sent.wait()
            assert sorted(numbers(await take(receiver, capacity))) == list(range(1, capacity + 1))

    async def test_a_sender_cancelled_while_it_waits_has_sent_to_nobody(self) -> None:
        async with (
            self.opened("capacity") as transport,
            transport.receive("*") as eager,
            transport.receive("*") as idle,
        ):
            capacity = await self.fill(transport)
            await take(eager, capacity)
            await self.send_and_be_cancelled(transport, event("more", -1))
            await self.nothing_comes(eager)
            await take(idle, 1)
            await self.nothing_comes(eager)
            await transport.send(event("more", capacity))
            assert numbers(await take(eager, 1)) == [capacity]
            assert sorted(numbers(await take(idle, capacity))) == list(range(1, capacity + 1))

    async def test_a_sender_that_waits_has_not_sent_to_those_with_room_either(self) -> None:
        async with (
            self.opened("capacity") as transport,
            transport.receive("*") as eager,
            transport.receive("*") as idle,
        ):
            capacity = await self.fill(transport)
            await take(eager, capacity)
            async with anyio.create_task_group() as group:
                group.start_soon(transport.send, event("more", capacity))
                await self.nothing_comes(eager)
                await take(idle, 1)
            assert numbers(await take(eager, 1)) == [capacity]
            assert sorted(numbers(await take(idle, capacity))) == list(range(1, capacity + 1))

    async def test_a_cancelled_sender_holds_up_none_behind_it(self) -> None:
        async with self.opened("capacity") as transport, transport.receive("*") as receiver:
            capacity = await self.fill(transport)
            async with anyio.create_task_group() as group:
                first = anyio.CancelScope()
                group.start_soon(send_inside, first, transport, event("c0", -1))
                await self.settle()
                group.start_soon(transport.send, event("c0", capacity))
                await self.settle()
                first.cancel()
                await self.settle()
                await take(receiver, 1)
            assert sorted(numbers(await take(receiver, capacity))) == list(range(1, capacity + 1))

    async def test_waiting_for_one_receiver_holds_up_none_that_is_for_others(self) -> None:
        async with (
            self.opened("capacity") as transport,
            transport.receive("call.*") as idle,
            transport.receive("media.*") as eager,
        ):
            capacity = await self.fill(transport)
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(transport.send, event("more", capacity))
                await self.settle()
                await transport.send(event("c0", 0, "media.started"))
                await take(eager, 1)
                await take(idle, 3)

    async def test_a_receiver_that_leaves_lets_its_senders_go_on(self) -> None:
        async with self.opened("capacity") as transport, anyio.create_task_group() as senders:
            leaving: anyio.CancelScope = await senders.start(receive_nothing, transport)
            capacity = await self.fill(transport)
            for n in range(3):
                senders.start_soon(transport.send, event("more", capacity + n))
            await self.settle()
            leaving.cancel()

    # -- closing ------------------------------------------------------------------------------------------------------

    async def test_a_transport_that_is_not_open_says_so(self) -> None:
        transport = self.make_transport()
        await self.refuses(transport)
        async with transport:
            pass
        await self.refuses(transport)
        with pytest.raises(TransportClosed):
            await transport.__aenter__()

    async def refuses(self, transport: Transport) -> None:
        """Neither sending nor receiving is possible."""
        with pytest.raises(TransportClosed):
            await transport.send(event("c", 0))
        with pytest.raises(TransportClosed):
            await receive_one(transport)

    async def test_closing_tells_those_that_receive(self) -> None:
        transport = self.make_transport()
        with anyio.fail_after(self.patience_s):
            async with anyio.create_task_group() as group, transport:
                group.start_soon(expect_closed, receive_one, transport)
                group.start_soon(expect_closed, receive_one, transport)
                await self.settle()

    async def test_closing_tells_those_that_wait_to_send(self) -> None:
        transport = self.make_transport()
        self.need(transport, "capacity")
        with anyio.fail_after(self.patience_s):
            async with anyio.create_task_group() as receivers:
                async with anyio.create_task_group() as senders, transport:
                    leaving: anyio.CancelScope = await receivers.start(receive_nothing, transport)
                    capacity = await self.fill(transport)
                    senders.start_soon(expect_closed, transport.send, event("more", capacity))
                    senders.start_soon(expect_closed, transport.send, event("more", capacity))
                    await self.settle()
                leaving.cancel()

    # -- what the claims are made with --------------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(self, *needed: str) -> AsyncIterator[Transport]:
        """A new transport, open; see :meth:`need`. No claim takes longer than ``patience_s``."""
        transport = self.make_transport()
        self.need(transport, *needed)
        with anyio.fail_after(self.patience_s):
            async with transport:
                yield transport

    def need(self, transport: Transport, *features: str) -> None:
        """Skip the test unless the transport promises all of these: names of :class:`~bus.transports.Features`."""
        for feature in features:
            if not getattr(transport.features, feature):
                pytest.skip(f"{type(transport).__name__} does not promise {feature!r}")

    async def nothing_comes(self, receiver: AsyncIterator[Delivery]) -> None:
        """Fail if anything is delivered before :meth:`settle` is over."""
        taken: list[Delivery] = []
        async with anyio.create_task_group() as group:
            group.start_soon(take_into, receiver, taken)
            await self.settle()
            group.cancel_scope.cancel()
        assert numbers(taken) == []

    async def fill(self, transport: Transport) -> int:
        """Send as many events as a receiver may have, and return how many: numbered from 0, on four connections."""
        capacity = transport.features.capacity
        assert capacity is not None
        await send_all(transport, [event(f"c{n % 4}", n) for n in range(capacity)])
        return capacity

    async def send_and_be_cancelled(self, transport: Transport, unsent: Event) -> None:
        """Begin to send an event, which must wait, and be cancelled."""
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(send_inside, scope, transport, unsent)
            await self.settle()
            scope.cancel()
        assert scope.cancelled_caught, "there was room"


def event(connection_id: str, n: object, event_type: str = MOVED) -> Event:
    """An event with a number."""
    return Event(event_type, connection_id, {"n": n})


def numbers(received: Iterable[Delivery | Event]) -> list[Any]:
    """The numbers of events, in their order."""
    return [_event_of(each).field("n") for each in received]


def by_connection(received: Iterable[Delivery | Event]) -> dict[str | None, list[Any]]:
    """The numbers of each connection's events, in their order."""
    lines = defaultdict(list)
    for each in received:
        lines[_event_of(each).connection_id].append(_event_of(each).field("n"))
    return dict(lines)


def _event_of(received: Delivery | Event) -> Event:
    return received if isinstance(received, Event) else received.event


async def send_all(transport: Transport, events: Iterable[Event]) -> None:
    """Send one after the other."""
    for each in events:
        await transport.send(each)


async def send_and_tell(transport: Transport, unsent: Event, sent: anyio.Event) -> None:
    """Send, and say that it has been sent."""
    await transport.send(unsent)
    sent.set()


async def send_inside(scope: anyio.CancelScope, transport: Transport, unsent: Event) -> None:
    """Send, unless cancelled."""
    with scope:
        await transport.send(unsent)


async def take(receiver: AsyncIterator[Delivery], number: int) -> list[Delivery]:
    """Receive and acknowledge so many."""
    taken = []
    for _ in range(number):
        delivery = await anext(receiver)
        await delivery.ack()
        taken.append(delivery)
    return taken


async def take_into(receiver: AsyncIterator[Delivery], taken: list[Delivery]) -> None:
    """Receive one, and do not acknowledge it."""
    taken.append(await anext(receiver))


async def collect(receiver: AsyncIterator[Delivery], number: int, heard: list[Event]) -> None:
    """Receive and acknowledge until so many have been heard."""
    while len(heard) < number:
        delivery = await anext(receiver)
        heard.append(delivery.event)
        await delivery.ack()


async def receive_one(transport: Transport) -> None:
    """Receive one event."""
    async with transport.receive("*") as receiver:
        await anext(receiver)


async def receive_nothing(transport: Transport, *, task_status: TaskStatus[anyio.CancelScope]) -> None:
    """Be there, and take nothing, until cancelled."""
    with anyio.CancelScope() as scope:
        async with transport.receive("*"):
            task_status.started(scope)
            await anyio.sleep_forever()


async def expect_closed(work: Callable[..., Awaitable[None]], *args: object) -> None:
    """Fail unless this ends by the transport's being closed."""
    with pytest.raises(TransportClosed):
        await work(*args)

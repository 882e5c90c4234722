"""In which order events are handled."""

from __future__ import annotations

import anyio
import pytest

from bus import Event, EventBus
from tests.bus_helpers import Gate, Recorder, fill, settle

pytestmark = pytest.mark.anyio


async def test_events_of_one_connection_are_handled_in_the_order_published() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 2_000)
    assert heard.numbers == list(range(2_000))


async def test_one_subscription_hears_different_types_in_the_order_published() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("*", heard)
        for event_type in ("b.b", "a.a", "c.c", "a.a"):
            await bus.publish(event_type)
    assert heard.types == ["b.b", "a.a", "c.c", "a.a"]


async def test_subscriptions_hear_in_the_order_of_subscribing() -> None:
    heard: list[str] = []
    async with EventBus() as bus:
        for pattern in ("*", "a.b", "a.*"):
            bus.subscribe(pattern, lambda _, pattern=pattern: heard.append(pattern), inline=True)
        await bus.publish("a.b", connection_id="c")
        assert heard == ["*", "a.b", "a.*"]


async def test_a_subscription_of_one_connection_keeps_its_place_among_the_others() -> None:
    heard: list[int] = []
    async with EventBus() as bus:
        bus.subscribe("a.b", lambda _: heard.append(1), inline=True)
        bus.subscribe("a.b", lambda _: heard.append(2), inline=True, connection_id="c")
        bus.subscribe("a.b", lambda _: heard.append(3), inline=True)
        await bus.publish("a.b", connection_id="c")
        assert heard == [1, 2, 3]


async def test_a_later_event_does_not_overtake_a_publisher_of_its_connection_that_waits() -> None:
    gate, all_heard = Gate(), Recorder()
    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("*", all_heard)
        bus.subscribe("slow.thing", gate, queue_size=1)
        await fill(bus, "slow.thing", 1)
        await settle()
        await fill(bus, "slow.thing", 1)
        group.start_soon(bus.publish, "slow.thing", {"connection_id": "c", "n": "first"})
        await settle()
        group.start_soon(bus.publish, "quick.thing", {"connection_id": "c", "n": "second"})
        await settle()
        assert all_heard.numbers == [0, 0]
        gate.open()
    assert all_heard.numbers == [0, 0, "first", "second"]


async def test_connections_do_not_stand_in_line_for_each_other() -> None:
    gate, heard = Gate(), Recorder()
    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("slow.thing", gate, queue_size=1)
        bus.subscribe("quick.thing", heard)
        await fill(bus, "slow.thing", 1)
        await settle()
        await fill(bus, "slow.thing", 1)
        group.start_soon(bus.publish, "slow.thing", {"connection_id": "c"})
        await settle()
        await bus.publish("quick.thing", connection_id="another")
        await settle()
        assert heard.types == ["quick.thing"]
        gate.open()


async def test_an_event_from_inside_a_handler_is_heard_after_its_cause() -> None:
    heard = Recorder()

    async def answer(event: Event) -> None:
        await bus.publish("b.answered", {"n": event.field("n")})

    async with EventBus() as bus:
        bus.subscribe("*", heard)
        bus.subscribe("a.asked", answer)
        await fill(bus, "a.asked", 3)
    assert heard.types.index("b.answered") > 0
    assert [event.field("n") for event in heard.events if event.type == "b.answered"] == [0, 1, 2]


async def test_an_inline_handler_has_run_when_publish_returns() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", heard, inline=True)
        await bus.publish("a.b", {"n": 1})
        assert heard.numbers == [1]


async def test_events_without_a_connection_are_ordered_by_their_call() -> None:
    gates = {("call 1", 0): Gate(), ("call 2", 0): Gate()}
    begun: list[tuple[str | None, int]] = []

    async def handle(event: Event) -> None:
        begun.append((event.call_id, event.field("n")))
        if gate := gates.get((str(event.call_id), event.field("n"))):
            await gate(event)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, concurrency=2)
        for n in range(2):
            for call in ("call 1", "call 2"):
                await bus.publish("a.b", {"n": n}, call_id=call)
        await settle()
        assert begun == [("call 1", 0), ("call 2", 0)]
        gates["call 2", 0].open()
        await settle()
        assert begun[2:] == [("call 2", 1)]
        gates["call 1", 0].open()
    assert begun[3:] == [("call 1", 1)]

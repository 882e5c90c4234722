"""Deduplication: the same event twice within a window reaches its subscribers once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from bus import Event, EventBus, WebRTCEventData
from bus.middleware import Deduplication
from tests.bus_helpers import Fails, Gate, Recorder, fill, settle

pytestmark = pytest.mark.anyio


async def test_the_same_event_reaches_every_subscriber_once() -> None:
    heard = [Recorder() for _ in range(3)]
    async with EventBus(middleware=[Deduplication()]) as bus:
        for recorder in heard:
            bus.subscribe("a.b", recorder)
        for _ in range(2):
            await bus.publish("a.b", {"n": 1}, connection_id="c")
    assert [recorder.numbers for recorder in heard] == [[1]] * 3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Event("a.b", "c", {"state": "checking"}), Event("a.b", "c", {"state": "connected"})),
        (Event("a.b", "c"), Event("a.b", "d")),
        (Event("a.b", "c"), Event("a.c", "c")),
        (Event("a.b", call_id="1"), Event("a.b", call_id="2")),
        (Event("a.b", "c", {"n": 1}, id="1"), Event("a.b", "c", {"n": 1}, id="2")),
        (Event("a.b", "c", {"n": 1}, id="1"), Event("a.b", "c", {"n": 1})),
        (Event("a.b", "c", {"n": 1}), Event("a.b", "c", {"n": "1"})),
    ],
)
async def test_different_events_both_pass(first: Event, second: Event) -> None:
    heard = Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("*", heard)
        await bus.publish_event(first)
        await bus.publish_event(second)
    assert heard.events == [first, second]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Event("a.b", "c", {"n": 1}, id="1"), Event("a.b", "c", {"n": 2}, id="1")),
        (Event("a.b", "c", {"x": 1, "y": 2}), Event("a.b", "c", {"y": 2, "x": 1})),
        (Event("a.b", "c", {"ssrc": 1}), Event("a.b", "c", WebRTCEventData(ssrc=1))),
        (Event("a.b", "c", {1: "x", "y": 2}), Event("a.b", "c", {1: "x", "y": 2})),
        (Event("a.b", "c", {(1, 2): "x"}), Event("a.b", "c", {(1, 2): "x"})),
    ],
)
async def test_the_same_event_passes_once(first: Event, second: Event) -> None:
    heard = Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("*", heard)
        await bus.publish_event(first)
        await bus.publish_event(second)
    assert [event for event in heard.events if event.type == "a.b"] == [first]


async def test_a_payload_that_contains_itself_is_no_error() -> None:
    payload: dict[str, Any] = {}
    payload["self"] = payload
    async with EventBus(middleware=[Deduplication()]) as bus:
        await bus.publish("a.b", payload, connection_id="c")
        await bus.publish("a.b", payload, connection_id="c")
        assert bus.stats().events_by_type["a.b"] == 1


async def test_a_duplicate_is_reported() -> None:
    dropped = Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("event.dropped", dropped)
        for _ in range(3):
            await bus.publish("a.b", connection_id="c", id="wamid.1")
    assert [event.data for event in dropped.events] == [
        {"type": "a.b", "id": "wamid.1", "by": "deduplication", "reason": "duplicate"}
    ] * 2


async def test_an_event_whose_publishing_failed_may_be_published_again() -> None:
    failing, heard = Fails(), Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        subscription = bus.subscribe("a.b", failing, inline=True)
        bus.subscribe("a.b", heard)
        with pytest.raises(ValueError, match="it broke"):
            await bus.publish("a.b", id="1")
        subscription.cancel()
        await bus.publish("a.b", id="1")
        await bus.publish("a.b", id="1")
    assert len(heard.events) == 2


async def test_a_duplicate_of_an_event_under_way_is_published_if_that_one_fails() -> None:
    gate = Gate()
    async with EventBus(middleware=[Deduplication()]) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", gate, queue_size=1)
        for n in range(2):
            await bus.publish("a.b", {"n": n})
            await settle()
        scope = anyio.CancelScope()

        async def give_up() -> None:
            with scope:
                await bus.publish("a.b", {"n": "the web-hook"}, id="1")

        group.start_soon(give_up)
        await settle()
        for _ in range(2):
            group.start_soon(lambda: bus.publish("a.b", {"n": "the web-hook, again"}, id="1"))
        await settle()
        scope.cancel()
        await settle()
        gate.open()
    assert gate.numbers == [0, 1, "the web-hook, again"]


async def test_a_handler_that_publishes_what_it_handles_does_not_wait_for_itself() -> None:
    heard = Recorder()

    async def again(event: Event) -> None:
        await heard(event)
        await bus.publish("a.b", event.data, connection_id="c")

    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("a.b", again, inline=True)
        with anyio.fail_after(1):
            await fill(bus, "a.b", 2)
    assert heard.numbers == [0, 1]


async def test_reports_of_failures_are_not_taken_for_duplicates() -> None:
    failures = Recorder()
    async with EventBus(middleware=[Deduplication()]) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
    assert len(failures.events) == 2


async def test_no_more_is_remembered_than_allowed() -> None:
    heard = Recorder()
    async with EventBus(middleware=[Deduplication(max_entries=2)]) as bus:
        bus.subscribe("a.b", heard)
        for event_id in ("1", "2", "3", "3", "2", "1"):
            await bus.publish("a.b", {"n": event_id}, id=event_id)
    assert heard.numbers == ["1", "2", "3", "1"]


async def test_one_middleware_on_two_buses_remembers_for_each() -> None:
    both, heard = Deduplication(), Recorder()
    for _ in range(2):
        async with EventBus(middleware=[both]) as bus:
            bus.subscribe("a.b", heard)
            await bus.publish("a.b", id="1")
    assert len(heard.events) == 2

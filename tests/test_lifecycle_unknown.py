"""Events that reach no connection: counted, visible to whoever asks, and harmless."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import pytest

from bus import Event, EventBus
from tests.bus_helpers import Recorder
from tests.lifecycle_helpers import DOOR, lifecycle_on, running

pytestmark = pytest.mark.anyio


async def test_unknown_event_is_counted_and_raises_nothing() -> None:
    async with running() as world:
        await world.publish("some.thing", "nobody")
        assert world.lifecycle.stats().unknown == 1
        assert world.bus.stats().events_by_type["connection.unknown"] == 1


async def test_unknown_is_published_to_whoever_listens() -> None:
    async with running() as world:
        heard: list[Event] = []
        world.bus.subscribe("connection.unknown", heard.append)
        event = await world.publish("some.thing", "nobody", tenant_id="t")
        await world.bus.drain()
        (told,) = heard
        assert (told.connection_id, told.tenant_id, told.causation_id) == ("nobody", "t", event.id)
        assert told.data == {"type": "some.thing", "id": event.id}


async def test_event_of_an_unknown_call_id_is_told_too() -> None:
    async with running() as world:
        heard: list[Event] = []
        world.bus.subscribe("connection.unknown", heard.append)
        await world.publish("some.thing", None, call_id="k")
        await world.bus.drain()
        assert [(event.connection_id, event.call_id) for event in heard] == [(None, "k")]


async def test_named_event_without_any_id_is_unknown() -> None:
    async with running() as world:
        heard = Recorder()
        world.bus.subscribe("connection.unknown", heard)
        await world.publish("a.came", None)
        await world.publish("some.thing", None)  # of no interest: it may be about something else altogether
        await world.bus.drain()
        assert [event.data["type"] for event in heard.events] == ["a.came"]
        assert world.lifecycle.stats().unknown == 1


async def test_event_of_a_finished_connection_is_counted_and_changes_nothing() -> None:
    async with running() as world:
        await world.lifecycle.register_connection("c")
        await world.publish("a.came")
        await world.lifecycle.terminate_connection("c")
        before = world.lifecycle.get_connection_state("c")
        heard = Recorder()
        world.bus.subscribe("connection.*", heard)
        await world.publish("b.came")
        await world.lifecycle.mark_dependency_ready("c", "b")
        await world.lifecycle.terminate_connection("c", "again")
        await world.bus.drain()
        assert world.lifecycle.get_connection_state("c") == before
        assert world.lifecycle.stats().finished == 3
        assert heard.types == []


async def test_news_about_connections_are_no_unknown_events() -> None:
    async with running() as world:
        for event_type in ("connection.unknown", "connection.phase_changed", "handler.failed", "event.dropped"):
            await world.publish(event_type, "nobody")
        assert world.lifecycle.stats().unknown == 0


async def test_definition_that_hears_everything_does_not_feed_on_unknown_events() -> None:
    greedy = """
name: greedy
early: 0s
retain: 0s
starts_on: "*"
states:
  on: {initial: true, transitions: [{event: it.ended, target: gone}, {event: "*", on: [{publish: it.heard}]}]}
  gone: {final: true}
"""
    async with EventBus() as bus, AsyncExitStack() as stack:
        one = await stack.enter_async_context(lifecycle_on(bus, greedy.replace('starts_on: "*"\n', "")))
        two = await stack.enter_async_context(lifecycle_on(bus, DOOR))
        with anyio.fail_after(10):
            await bus.publish("some.thing", connection_id="nobody")
            await bus.drain()
        assert (one.stats().unknown, two.stats().unknown) == (1, 1)
        assert bus.stats().events_by_type["connection.unknown"] == 2


async def test_handler_of_unknown_that_publishes_for_the_same_id_is_cut() -> None:
    async with running() as world:

        async def again(event: Event) -> None:
            await world.publish("some.thing", event.connection_id)

        world.bus.subscribe("connection.unknown", again)
        with anyio.fail_after(20):
            await world.publish("some.thing", "nobody")
            await world.bus.drain()
        assert world.lifecycle.stats().unknown <= 1_000


async def test_news_of_a_connection_just_forgotten_does_not_begin_it_anew() -> None:
    again = """
name: again
retain: 0s
starts_on: ["connection.*", it.began]
states:
  on: {initial: true, transitions: [{event: it.ended, target: gone}]}
  gone: {final: true}
"""
    async with running(again) as world:
        world.bus.subscribe("*", lambda event: None)
        await world.publish("it.began")
        await world.publish("it.ended")
        await world.bus.drain()
        assert world.lifecycle.get_all_connections() == {}


async def test_two_lifecycles_each_see_only_their_own_connections() -> None:
    async with EventBus() as bus, AsyncExitStack() as stack:
        one = await stack.enter_async_context(lifecycle_on(bus, DOOR))
        two = await stack.enter_async_context(lifecycle_on(bus, DOOR.replace("name: door", "name: gate")))
        await one.register_connection("c")
        await two.register_connection("d")
        for connection_id in ("c", "d"):
            await bus.publish("a.came", connection_id=connection_id)
        assert one.get_all_connections().keys() == {"c"}
        assert two.get_all_connections().keys() == {"d"}
        assert one.get_connection_state("c").dependencies["a"] == "ready"
        assert two.get_connection_state("d").dependencies["a"] == "ready"

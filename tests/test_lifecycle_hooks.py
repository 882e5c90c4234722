"""Hooks: outside the step, in order for each connection, and nobody else's trouble when they fail."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

import anyio
import pytest
import sniffio

from bus import Event, EventBus
from statemachines import UnknownHook
from tests.bus_helpers import Recorder, settle
from tests.lifecycle_helpers import World, assert_nothing_is_kept, lifecycle_on, running

pytestmark = pytest.mark.anyio

BELL = """
name: bell
retain: 0s
states:
  on:
    initial: true
    transitions:
      - {event: it.rang, on: [ring]}
      - {event: it.rang_twice, on: [ring, answer]}
      - {event: it.ended, target: gone}
  gone: {final: true}
"""


async def rung(world: World, times: int, *ids: str) -> None:
    for n in range(times):
        for connection_id in ids:
            await world.publish("it.rang", connection_id, {"n": n})


async def test_hook_gets_the_event_that_led_to_it() -> None:
    async with running(BELL) as world:
        calls: list[Event] = []
        world.lifecycle.hook("ring", calls.append)
        await world.lifecycle.register_connection("c", call_id="k")
        event = await world.publish("it.rang", None, {"n": 1}, call_id="k")
        await world.bus.drain()
        assert [(call.id, call.connection_id, call.data) for call in calls] == [(event.id, "c", {"n": 1})]


async def test_hook_is_a_decorator_too_and_may_be_plain_or_async() -> None:
    async with running(BELL) as world:
        calls: list[str] = []

        @world.lifecycle.hook("ring")
        async def ring(event: Event) -> None:
            calls.append("ring")

        @world.lifecycle.hook("answer")
        def answer(event: Event) -> None:
            calls.append("answer")

        await world.lifecycle.register_connection("c")
        await world.publish("it.rang_twice")
        await world.bus.drain()
        assert calls == ["ring", "answer"]


async def test_hooks_of_one_connection_run_one_after_the_other() -> None:
    async with running(BELL) as world:
        log: list[tuple[str, int]] = []

        async def ring(event: Event) -> None:
            log.append(("begin", event.field("n")))
            await settle()
            log.append(("end", event.field("n")))

        world.lifecycle.hook("ring", ring)
        await world.lifecycle.register_connection("c")
        await rung(world, 5, "c")
        await world.bus.drain()
        assert log == [(what, n) for n in range(5) for what in ("begin", "end")]


async def test_connections_do_not_wait_for_each_others_hooks() -> None:
    async with running(BELL) as world:
        hold = anyio.Event()
        calls: list[str | None] = []

        async def ring(event: Event) -> None:
            if event.connection_id == "slow":
                await hold.wait()
            calls.append(event.connection_id)

        world.lifecycle.hook("ring", ring)
        for connection_id in ("slow", *(f"c{n}" for n in range(100))):
            await world.lifecycle.register_connection(connection_id)
        await rung(world, 1, "slow", *(f"c{n}" for n in range(100)))
        await settle()
        await settle()
        assert sorted(str(call) for call in calls) == sorted(f"c{n}" for n in range(100))
        hold.set()
        await world.bus.drain()
        assert calls[-1] == "slow"


async def test_slow_hook_does_not_hold_up_events_or_effects() -> None:
    async with running(BELL) as world:
        hold = anyio.Event()
        world.lifecycle.hook("ring", lambda event: hold.wait())
        await world.lifecycle.register_connection("c")
        await rung(world, 3, "c")
        await world.publish("it.ended")
        assert world.lifecycle.get_all_connections() == {}
        hold.set()


async def test_failing_hook_is_told_and_harms_no_one() -> None:
    async with running(BELL) as world:
        failures: list[Event] = []
        calls: list[int] = []
        world.bus.subscribe("handler.failed", failures.append)

        def ring(event: Event) -> None:
            calls.append(event.field("n"))
            if event.field("n") == 0:
                raise ValueError("it broke")

        world.lifecycle.hook("ring", ring)
        await world.lifecycle.register_connection("c")
        await rung(world, 2, "c")
        await world.bus.drain()
        assert calls == [0, 1]
        (failed,) = failures
        assert failed.connection_id == "c"
        assert failed.data.handler == "hook ring"
        assert "it broke" in failed.data.error
        assert failed.data.event.type == "it.rang"


async def test_hook_that_awaits_a_cancelled_task_fails_alone() -> None:
    async with running(BELL) as world:
        if sniffio.current_async_library() != "asyncio":
            return  # only there does that look like a cancellation of one's own
        failures = Recorder()
        world.bus.subscribe("handler.failed", failures)

        async def ring(event: Event) -> None:
            other = asyncio.ensure_future(asyncio.sleep(0))
            other.cancel()
            await other

        world.lifecycle.hook("ring", ring)
        await world.lifecycle.register_connection("c")
        await rung(world, 2, "c")
        await world.bus.drain()
        assert failures.types == ["handler.failed"] * 2


async def test_hook_publishes_as_a_handler_of_its_event() -> None:
    async with running(BELL) as world:
        heard: list[Event] = []
        world.bus.subscribe("it.answered", heard.append)

        async def ring(event: Event) -> None:
            await world.bus.publish("it.answered", connection_id=event.connection_id)

        world.lifecycle.hook("ring", ring)
        await world.lifecycle.register_connection("c")
        event = await world.publish("it.rang")
        await world.bus.drain()
        assert [answered.causation_id for answered in heard] == [event.id]


async def test_hook_may_use_the_lifecycle() -> None:
    async with running(BELL) as world:

        async def ring(event: Event) -> None:
            await world.lifecycle.register_connection("d")
            await world.lifecycle.terminate_connection("c")

        world.lifecycle.hook("ring", ring)
        await world.lifecycle.register_connection("c")
        await world.publish("it.rang")
        await world.bus.drain()
        assert list(world.lifecycle.get_all_connections()) == ["d"]


async def test_registering_a_hook_that_nothing_calls_is_refused() -> None:
    async with running(BELL) as world:
        with pytest.raises(UnknownHook, match=r"calls no hook 'rings' \(did you mean 'ring'\?\)"):
            world.lifecycle.hook("rings", print)


async def test_missing_hook_is_said_once_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with running(BELL) as world:
        with caplog.at_level(logging.WARNING, "phasebus.lifecycle"):
            await world.lifecycle.register_connection("c")
            await rung(world, 3, "c")
            await world.bus.drain()
        assert [record.getMessage() for record in caplog.records] == [
            "bell calls the hook 'ring', but none is registered: lifecycle.hook('ring')"
        ]


async def test_hooks_that_pile_up_behind_one_that_hangs_are_refused_and_told() -> None:
    async with running(BELL) as world:
        hold = anyio.Event()
        failures: list[Event] = []
        calls: dict[str | None, int] = defaultdict(int)
        world.bus.subscribe("handler.failed", failures.append)

        async def ring(event: Event) -> None:
            calls[event.connection_id] += 1
            await hold.wait()

        world.lifecycle.hook("ring", ring)
        await world.lifecycle.register_connection("c")
        await rung(world, 1_003, "c")
        await settle()
        assert "wait behind one that does not end" in failures[0].data.error
        hold.set()
        await world.bus.drain()
        assert (calls["c"], len(failures)) == (1_000, 3)


async def test_closing_waits_for_hooks_that_have_begun() -> None:
    async with EventBus() as bus:
        done: list[str] = []

        async def ring(event: Event) -> None:
            await settle()
            done.append("done")

        async with lifecycle_on(bus, BELL) as lifecycle:
            lifecycle.hook("ring", ring)
            await lifecycle.register_connection("c")
            await bus.publish("it.rang", connection_id="c")
            await bus.publish("it.ended", connection_id="c")
        assert done == ["done"]
        assert_nothing_is_kept(lifecycle, bus)


async def test_closing_cancels_hooks_that_do_not_end(caplog: pytest.LogCaptureFixture) -> None:
    async with EventBus(close_timeout=0.01) as bus:
        ended: list[str] = []

        async def ring(event: Event) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("cancelled")

        with anyio.fail_after(5):
            async with lifecycle_on(bus, BELL) as lifecycle:
                lifecycle.hook("ring", ring)
                await lifecycle.register_connection("c")
                await bus.publish("it.rang", connection_id="c")
                await settle()
            assert ended == ["cancelled"]
            await bus.drain()
    assert "closed with effects or hooks undone" in caplog.text


async def test_hook_may_close_the_lifecycle() -> None:
    async with EventBus() as bus:
        ended: list[str] = []
        lifecycle = lifecycle_on(bus, BELL)

        async def ring(event: Event) -> None:
            await lifecycle.aclose()
            await settle()
            ended.append("ended")

        with anyio.fail_after(5):
            async with lifecycle:
                lifecycle.hook("ring", ring)
                await lifecycle.register_connection("c")
                await bus.publish("it.rang", connection_id="c")
                await bus.drain()
        assert ended == ["ended"]

"""Effects: in document order, once, linked to their cause, whatever becomes of the publisher."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from bus import CausalityLoop, Event, EventBus, default_chain, publish_middleware
from bus.testing import settled
from tests.bus_helpers import Recorder, cancelled_at, settle
from tests.lifecycle_helpers import DOOR, World, assert_nothing_is_kept, lifecycle_on, running

pytestmark = pytest.mark.anyio

WALK = """
name: walk
retain: 0s
states:
  a:
    initial: true
    exit: [{publish: it.left_a}, note_a]
    states:
      a1:
        initial: true
        exit: [{publish: it.left_a1}]
        transitions:
          - {event: it.went, target: b, on: [{publish: {event: it.moved, data: {n: {expr: data.n}}}}, note_move]}
  b:
    enter: [{publish: it.entered_b}, note_b]
    states:
      b1:
        initial: true
        enter: [{publish: it.entered_b1}]
        transitions: [{target: c}]
  c: {enter: [{publish: it.entered_c}], transitions: [{event: it.went, target: a}, {event: it.ended, target: gone}]}
  gone: {final: true, enter: [{publish: it.gone}]}
"""
IN_ORDER = ["it.left_a1", "it.left_a", "it.moved", "it.entered_b", "it.entered_b1", "it.entered_c"]


async def effects_of(world: World, event_type: str, data: Any = None) -> list[Event]:
    heard: list[Event] = []
    subscription = world.bus.subscribe("*", heard.append)
    cause = await world.publish(event_type, "c", data)
    await world.bus.drain()
    subscription.cancel()
    assert heard[0] == cause
    return heard[1:]


async def test_effects_come_in_the_order_of_exit_transition_and_entry() -> None:
    async with running(WALK) as world:
        await world.lifecycle.register_connection("c")
        heard = await effects_of(world, "it.went", {"n": 7})
        assert [event.type for event in heard] == [*IN_ORDER, "connection.phase_changed"]
        assert heard[2].data == {"n": 7}


async def test_hooks_start_in_the_order_of_exit_transition_and_entry() -> None:
    async with running(WALK) as world:
        log: list[str] = []
        for name in ("note_a", "note_move", "note_b"):
            world.lifecycle.hook(name, lambda event, name=name: log.append(name))
        await world.lifecycle.register_connection("c")
        await world.publish("it.went")
        await world.bus.drain()
        assert log == ["note_a", "note_move", "note_b"]


async def test_one_change_of_phase_is_published_however_many_states_the_step_went_through() -> None:
    async with running(WALK) as world:
        await world.lifecycle.register_connection("c")
        *_, changed = await effects_of(world, "it.went")
        assert changed.data == {"from": "a1", "to": "c", "event": "it.went", "configuration": ["c"]}


async def test_step_that_comes_back_to_where_it_was_publishes_no_change_of_phase() -> None:
    round_trip = WALK.replace("[{target: c}]", "[{unless: visits.b1 > 5, target: a}, {target: c}]")
    async with running(round_trip) as world:
        await world.lifecycle.register_connection("c")
        assert [event.type for event in await effects_of(world, "it.went")] == IN_ORDER[:-1]


async def test_effects_are_linked_to_the_event_that_caused_them() -> None:
    async with running(WALK) as world:
        heard: list[Event] = []
        world.bus.subscribe("*", heard.append)
        await world.lifecycle.register_connection("c")
        cause = await world.publish("it.went", "c", None, id="given")
        await world.bus.drain()
        effects = heard[2:]
        assert {event.causation_id for event in effects} == {cause.id}
        assert {event.causation_depth for event in effects} == {1}
        assert {event.connection_id for event in effects} == {"c"}
        assert len({event.id for event in effects}) == len(effects)


async def test_effect_that_nobody_hears_is_never_built(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(WALK) as world:
        await world.lifecycle.register_connection("c")
        built: list[str] = []
        original = Event.__init__

        def note(self: Event, type: str, *args: Any, **kwargs: Any) -> None:
            built.append(type)
            original(self, type, *args, **kwargs)

        monkeypatch.setattr(Event, "__init__", note)
        await world.bus.publish_event(Event("it.went", "c"))
        assert built == ["it.went"]
        counted = world.bus.stats().events_by_type
        assert counted["it.entered_c"] == counted["connection.phase_changed"] == 1


async def test_effects_are_published_before_publish_returns() -> None:
    async with running(WALK) as world:
        heard = Recorder()
        world.bus.subscribe("it.entered_c", heard, inline=True)
        await world.lifecycle.register_connection("c")
        await world.publish("it.went")
        assert heard.types == ["it.entered_c"]


async def test_effects_of_an_event_found_by_call_id_are_published_though_it_ends_the_connection() -> None:
    async with running(WALK) as world:
        heard = Recorder()
        world.bus.subscribe("it.gone", heard)
        await world.lifecycle.register_connection("c", call_id="k")
        await world.publish("it.went", None, call_id="k")
        await world.publish("it.ended", None, call_id="k")
        assert world.lifecycle.get_all_connections() == {}
        with anyio.fail_after(5):
            await world.bus.drain()
        assert heard.types == ["it.gone"]


async def test_deduplication_lets_all_effects_pass() -> None:
    starting = """
name: starting
starts_on: connection.created
states:
  a: {initial: true, enter: [{publish: it.began}], transitions: [{event: connection.created, target: b}]}
  b: {enter: [{publish: it.began}], transitions: [{event: it.ended, target: gone}]}
  gone: {final: true}
"""
    async with running(starting, middleware=default_chain()) as world:
        heard = Recorder()
        world.bus.subscribe("it.began", heard)
        await world.publish("connection.created", "c", {}, id="given")
        await world.bus.drain()
        assert heard.types == ["it.began"] * 2


async def test_effect_that_a_middleware_refuses_is_told_and_the_rest_is_published() -> None:
    async def refuse(event: Event, call_next: Any) -> None:
        if event.type == "it.moved":
            raise ValueError("not this one")
        await call_next(event)

    async with running(WALK, middleware=[publish_middleware(refuse)]) as world:
        await world.lifecycle.register_connection("c")
        heard = await effects_of(world, "it.went")
        expected = ["handler.failed" if name == "it.moved" else name for name in IN_ORDER]
        assert [event.type for event in heard] == [*expected, "connection.phase_changed"]


async def test_inline_subscriber_that_raises_does_not_stop_the_effects() -> None:
    async with running(WALK) as world:
        failed = Recorder()
        world.bus.subscribe("handler.failed", failed)

        @world.bus.subscribe("it.left_a", inline=True)
        async def fail(event: Event) -> None:
            raise ValueError("it broke")

        await world.lifecycle.register_connection("c")
        heard = await effects_of(world, "it.went")
        assert [event.type for event in heard if event.type in IN_ORDER] == IN_ORDER
        assert failed.types == ["handler.failed"]


# -- a publisher that is cancelled --


async def slow(event: Event) -> None:
    for _ in range(3):
        await anyio.lowlevel.checkpoint()


async def run_cancelled(step: int, act: str) -> tuple[bool, list[str]]:
    """Publish (or register, or terminate) and cancel that at its await number ``step``."""
    async with running(WALK) as world:
        heard = Recorder()
        world.bus.subscribe("*", heard)
        world.bus.subscribe("it.left_a", slow, inline=True)
        world.bus.subscribe("it.entered_b", slow, inline=True)
        world.bus.subscribe("connection.*", slow, inline=True)
        world.bus.subscribe("it.went", slow, inline=True)
        if act != "register":
            await world.lifecycle.register_connection("c")
            await world.bus.drain()
            heard.events.clear()
        work: Coroutine[Any, Any, Any]
        if act == "publish":
            work = world.bus.publish("it.went", connection_id="c")
        elif act == "register":
            work = world.lifecycle.register_connection("c")
        else:
            work = world.lifecycle.terminate_connection("c")
        with anyio.CancelScope() as scope:
            reached = await cancelled_at(step, scope, work)
        if scope.cancelled_caught:
            reached = True
        with anyio.fail_after(5):
            await world.bus.drain()
        if act == "publish":
            assert world.phase() == "c"
        assert world.lifecycle._engine._outboxes == {}
        return reached, heard.types


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("publish", ["it.went", *IN_ORDER, "connection.phase_changed"]),
        ("register", ["connection.created"]),
        ("terminate", ["it.left_a1", "it.left_a", "it.gone", "connection.phase_changed"]),
    ],
)
async def test_effects_come_once_and_in_order_wherever_the_publisher_is_cancelled(
    act: str, expected: list[str]
) -> None:
    step = 0
    while True:
        reached, heard = await run_cancelled(step, act)
        assert heard == expected, f"cancelled at await {step}"
        if not reached:
            break
        step += 1
    assert step >= 3


async def test_publisher_cancelled_while_another_event_follows_keeps_the_order() -> None:
    async with running(WALK) as world:
        heard = Recorder()
        world.bus.subscribe("it.*", heard)
        hold = anyio.Event()

        async def wait(event: Event) -> None:
            await hold.wait()

        await world.lifecycle.register_connection("c")
        world.bus.subscribe("it.left_a1", wait, inline=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.publish, "it.went")
            with anyio.fail_after(5):
                while "it.left_a1" not in heard.types:
                    await anyio.lowlevel.checkpoint()
            await world.publish("it.ended")  # its effects wait behind those of the first
            assert "it.gone" not in heard.types
            tasks.cancel_scope.cancel()
        await world.bus.drain()
        assert heard.types == ["it.went", "it.left_a1", "it.ended", *IN_ORDER[1:], "it.gone"]


async def test_effects_carried_out_by_another_publisher_leave_nothing_behind() -> None:
    async with running(WALK) as world, anyio.create_task_group() as tasks:
        heard = Recorder()
        hold = anyio.Event()

        async def wait(event: Event) -> None:
            if event.call_id is not None:
                await hold.wait()

        world.bus.subscribe("it.entered_c", heard)
        world.bus.subscribe("it.went", wait, inline=True)
        await world.lifecycle.register_connection("c", call_id="k")
        tasks.start_soon(lambda: world.publish("it.went", None, call_id="k"))
        await settle()
        await world.publish("it.ended")  # it carries out what the one that is held up left to do
        await settle()
        assert heard.types == ["it.entered_c"]
        hold.set()
        await settle()
        await world.clock.advance(1)
        assert_nothing_is_kept(world.lifecycle, world.bus)


@pytest.mark.parametrize("seed", range(10))
async def test_random_cancellations_lose_double_and_reorder_nothing(seed: int) -> None:
    counter = """
name: counter
states:
  on:
    initial: true
    transitions:
      - {event: it.counted, on: [{publish: {event: it.echoed, data: {n: {expr: data.n}}}}, {publish: it.noted}]}
      - {event: it.ended, target: gone}
  gone: {final: true}
"""
    chance = random.Random(seed)
    async with running(counter) as world:
        counted: dict[str | None, list[int]] = defaultdict(list)
        echoed: dict[str | None, list[int]] = defaultdict(list)

        @world.bus.subscribe("it.*")
        async def hear(event: Event) -> None:
            if event.type == "it.counted":
                counted[event.connection_id or event.call_id].append(event.data["n"])
            elif event.type == "it.echoed":
                echoed[event.connection_id].append(event.data["n"])

        @world.bus.subscribe("it.*", inline=True)
        async def dawdle(event: Event) -> None:
            for _ in range(chance.randrange(4)):
                await anyio.lowlevel.checkpoint()

        async def publish(n: int, step: int) -> None:
            connection_id = f"c{n % 5}"
            keyed = n % 3 == 0  # found by its call id
            event = Event("it.counted", None if keyed else connection_id, {"n": n}, call_id=connection_id)
            with anyio.CancelScope() as scope:
                await cancelled_at(step, scope, world.bus.publish_event(event))

        for number in range(5):
            await world.lifecycle.register_connection(f"c{number}", call_id=f"c{number}")
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for n in range(300):
                    tasks.start_soon(publish, n, chance.randrange(12))
                    if chance.random() < 0.3:
                        await anyio.lowlevel.checkpoint()
            await world.bus.drain()
        assert echoed == counted
        assert sum(map(len, echoed.values())) == 300
        assert world.lifecycle._engine._outboxes == {}
        assert world.lifecycle._engine._found == {}


# -- lifecycles that feed each other --

PARTNER = """
name: partner
dependencies: {door: {ready_on: door.opened, lost_on: door.shut}}
states:
  outside: {initial: true, transitions: [{cond: door, target: inside}]}
  inside:
    enter: [{publish: partner.entered}]
    transitions: [{unless: door, target: outside}, {event: it.ended, target: gone}]
  gone: {final: true}
"""


async def test_one_lifecycle_can_be_anothers_dependency() -> None:
    async with EventBus() as bus, AsyncExitStack() as stack:
        door = await stack.enter_async_context(lifecycle_on(bus, DOOR))
        partner = await stack.enter_async_context(lifecycle_on(bus, PARTNER))
        heard = Recorder()
        bus.subscribe("partner.entered", heard)
        await partner.register_connection("c")
        await door.register_connection("c")
        assert partner.get_connection_state("c").phase == "outside"
        await bus.publish("a.came", connection_id="c")
        await bus.publish("b.came", connection_id="c")
        assert partner.get_connection_state("c").phase == "inside"
        await bus.publish("door.left", connection_id="c")
        assert partner.get_connection_state("c").phase == "outside"
        await bus.drain()
        assert heard.types == ["partner.entered"]


PING = """
name: {name}
states:
  on:
    initial: true
    transitions: [{{event: {hears}, on: [{{publish: {says}}}]}}, {{event: it.ended, target: gone}}]
  gone: {{final: true}}
"""


async def test_endless_exchange_of_two_lifecycles_is_cut_and_told() -> None:
    async with EventBus() as bus, AsyncExitStack() as stack:
        for name, hears, says in (("ping", "it.pinged", "it.ponged"), ("pong", "it.ponged", "it.pinged")):
            definition = PING.format(name=name, hears=hears, says=says)
            lifecycle = await stack.enter_async_context(lifecycle_on(bus, definition))
            await lifecycle.register_connection("c")
        failures: list[Event] = []
        bus.subscribe("handler.failed", failures.append)
        with anyio.fail_after(20):
            await bus.publish("it.pinged", connection_id="c")
            await bus.drain()
        counts = bus.stats().events_by_type
        assert counts["it.pinged"] + counts["it.ponged"] == 1_001
        (failed,) = failures
        assert isinstance(failed.error, CausalityLoop)
        assert "feed each other without end" in failed.data.error
        assert failed.data.handler in ("lifecycle ping", "lifecycle pong")


async def test_lifecycle_that_feeds_itself_is_cut() -> None:
    async with running(PING.format(name="echo", hears="it.pinged", says="it.pinged")) as world:
        await world.lifecycle.register_connection("c")
        with anyio.fail_after(20):
            await world.publish("it.pinged")
            await world.bus.drain()
        assert world.bus.stats().events_by_type["it.pinged"] == 1_001


async def test_connection_that_starts_its_own_successor_is_cut() -> None:
    rebirth = """
name: rebirth
retain: 0s
early: 0s
starts_on: it.began
states:
  on: {initial: true, transitions: [{event: it.began, target: gone}]}
  gone: {final: true, enter: [{publish: it.began}]}
"""
    async with running(rebirth) as world:
        with anyio.fail_after(20):
            await world.publish("it.began")
            await world.bus.drain()
        assert world.bus.stats().events_by_type["it.began"] == 1_001


async def test_handler_that_registers_anew_for_ever_is_cut() -> None:
    brief = """
name: brief
retain: 0s
dependencies: {a: a.came}
states:
  on: {initial: true, transitions: [{cond: all_ready, target: gone}]}
  gone: {final: true, enter: [{publish: it.gone}]}
"""
    async with running(brief) as world:
        registered = 0

        async def again(event: Event) -> None:
            nonlocal registered
            registered += 1
            await world.lifecycle.register_connection("c", dependencies=[])

        failures: list[Event] = []
        world.bus.subscribe("it.gone", again)
        world.bus.subscribe("handler.failed", failures.append)
        with anyio.fail_after(20):
            await world.lifecycle.register_connection("c", dependencies=[])
            await world.bus.drain()
        assert 300 < registered <= 1_001
        assert isinstance(failures[0].error, CausalityLoop)


async def test_handlers_may_publish_into_the_lifecycle_from_within_its_effects() -> None:
    async with running() as world:
        heard = Recorder()
        world.bus.subscribe("*", heard)

        @world.bus.subscribe("door.opened", inline=True)
        async def leave(event: Event) -> None:
            await world.publish("door.left")
            assert world.phase() == "gone"

        await world.lifecycle.register_connection("c")
        await world.publish("a.came")
        await world.publish("b.came")
        await world.bus.drain()
        changes = [event.data["to"] for event in heard.events if event.type == "connection.phase_changed"]
        assert changes == ["open", "gone"]
        assert heard.types == [
            "connection.created",
            "a.came",
            "b.came",
            "door.opened",
            "door.left",
            "connection.phase_changed",
            "door.shut",
            "connection.phase_changed",
        ]


async def test_who_subscribes_too_late_is_told_what_nobody_heard() -> None:
    recorder = Recorder()
    async with EventBus() as bus, lifecycle_on(bus, "whatsapp_call") as lifecycle:
        await lifecycle.register_connection("conn_1", dependencies=[])
        await lifecycle.register_connection("conn_2")
        published = await bus.publish("whatsapp.call_started", {"call_id": "wa"}, connection_id="conn_2")
        await settled(bus)
        bus.subscribe("connection.*", recorder, replay_last=True)
        await settled(bus)
        event = await bus.wait_for("connection.ready", replay_last=True, timeout=0)
    assert [(event.type, event.connection_id) for event in recorder.events] == [
        ("connection.created", "conn_1"),
        ("connection.ready", "conn_1"),
        ("connection.created", "conn_2"),
        ("connection.phase_changed", "conn_2"),
    ]
    assert recorder.events[1] is event
    assert recorder.events[-1].causation_id == published.id
    assert recorder.events[-1].data["to"] == "initializing"


async def test_what_is_kept_for_the_late_goes_with_the_end_of_its_connection_heard_or_not() -> None:
    async with EventBus() as bus, lifecycle_on(bus, "whatsapp_call") as lifecycle:
        await lifecycle.register_connection("conn_1", dependencies=[])
        await lifecycle.terminate_connection("conn_1", "over")
        await settled(bus)
        with pytest.raises(TimeoutError):
            await bus.wait_for("connection.ready", connection_id="conn_1", replay_last=True, timeout=0)

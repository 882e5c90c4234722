"""What ``bus.testing`` offers to the tests of others: a recorder, a clock to be moved, waiting until all is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import DrainTimeout, Event, EventBus, InvalidEvent, PhasebusError, WebRTCEventData
from bus.middleware import Deduplication, Middleware, RateLimit, Retry, Timeout, Validation
from bus.testing import FakeClock, Recorder, all_tasks_blocked, settled
from statemachines import ConnectionLifecycle
from tests import bus_helpers
from tests.bus_helpers import Fails, Gate, fill
from tests.lifecycle_helpers import definition_of

pytestmark = pytest.mark.anyio


# -- the recorder --


async def test_a_recorder_keeps_every_event_in_the_order_published_heard_or_not() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        recorder = Recorder(bus)
        await bus.publish("nobody.listens")
        await bus.publish("a.b")
        assert recorder.types == ["nobody.listens", "a.b"]  # at once, though nothing has been handled
        await bus.drain()
        assert recorder.types == ["nobody.listens", "a.b", "handler.failed"]


async def test_a_recorder_keeps_nothing_that_was_refused_or_came_before_it_or_after_it() -> None:
    async with EventBus(middleware=[Validation()]) as bus:
        await bus.publish("too.early")
        recorder = Recorder(bus)
        with pytest.raises(InvalidEvent):
            await bus.publish("a.b", connection_id="")
        await bus.publish("in.time")
        recorder.stop()
        recorder.stop()
        await bus.publish("too.late")
        assert recorder.types == ["in.time"]
        recorder.clear()
        assert recorder.events == []


async def test_a_recorder_finds_events_by_pattern_connection_and_fields() -> None:
    async with EventBus() as bus:
        recorder = Recorder(bus)
        audio = await bus.publish("webrtc.track", WebRTCEventData(connection_id="c", track_type="audio", ssrc=1))
        video = await bus.publish("webrtc.track", {"track_type": "video", "ssrc": 1}, connection_id="c")
        other = await bus.publish("call.ended", {"ssrc": 1}, connection_id="d")
        assert recorder.published() == [audio, video, other]
        assert recorder.published("webrtc.*") == [audio, video]
        assert recorder.published("call.ended") == [other]
        assert recorder.published(connection_id="c") == [audio, video]
        assert recorder.published(ssrc=1) == [audio, video, other]
        assert recorder.published("webrtc.*", connection_id="c", track_type="audio", ssrc=1) == [audio]
        assert recorder.published("webrtc.*", track_type="smell") == []
        assert recorder.published(no_such_field=None) == [audio, video, other]


async def test_a_recorder_is_a_listener_to_everything_and_holds_up_nobody() -> None:
    async with EventBus() as bus:
        assert not bus.has_listener("a.b", "c")
        recorder = Recorder(bus)
        assert bus.has_listener("a.b", "c")
        assert [str(listener.name) for listener in bus.describe().listeners] == ["recorder"]
        await fill(bus, "a.b", 5_000)
        assert len(recorder.events) == 5_000
        recorder.stop()
        assert not bus.has_listener("a.b", "c")


# -- until nothing happens any more --


async def test_settled_waits_for_whatever_an_event_leads_to() -> None:
    heard = bus_helpers.Recorder()

    async def pass_on(event: Event) -> None:
        await bus_helpers.settle()
        if event.field("n"):
            await bus.publish("a.b", {"n": event.field("n") - 1})
        else:
            await bus.publish("it.ended")

    async with EventBus() as bus:
        bus.subscribe("a.b", pass_on)
        bus.subscribe_batch("it.ended", lambda events: heard.events.extend(events), max_wait=3600)
        await bus.publish("a.b", {"n": 5})
        await settled(bus)
        assert heard.types == ["it.ended"]


async def test_settled_waits_for_buses_that_feed_each_other_at_once() -> None:
    async def to(bus: EventBus, event: Event) -> None:
        await checkpoint()
        if event.field("n"):
            await bus.publish("a.b", {"n": event.field("n") - 1})

    async with EventBus() as one, EventBus() as two, EventBus() as three:
        buses = [one, two, three]
        for bus, other in zip(buses, [two, three, one], strict=True):
            bus.subscribe("a.b", partial(to, other))
        await three.publish("a.b", {"n": 50})
        await settled(one, two, three)
        assert sum(bus.stats().handled for bus in buses) == 51
        assert [bus.pending.count for bus in buses] == [0, 0, 0]


async def test_settled_of_nothing_returns_at_once() -> None:
    async with EventBus() as bus:
        await settled(bus, timeout=0)
        await settled(bus, timeout=None)
        await settled()


async def test_settled_gives_up_on_a_handler_that_waits_for_a_clock_nobody_moves() -> None:
    clock = FakeClock()
    async with EventBus(clock=clock, close_timeout=0) as bus, EventBus() as quiet:
        bus.subscribe("a.b", lambda event: clock.sleep(1))
        first, second = [await bus.publish("a.b") for _ in range(2)]
        message = r"after 0\.01 s 1 events are still queued and 1 handlers run"
        with anyio.fail_after(3), pytest.raises(DrainTimeout, match=message) as raised:
            await settled(quiet, bus, timeout=0.01)
        assert raised.value.running_ids == (first.id,)
        assert raised.value.event_ids == (second.id,)
        assert raised.value.running == 1


async def test_settled_called_by_a_handler_would_wait_for_itself_and_says_so() -> None:
    errors: list[Exception] = []

    async def handle(event: Event) -> None:
        try:
            await settled(bus)
        except PhasebusError as error:
            errors.append(error)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle)
        await bus.publish("a.b")
    assert "it would wait for itself" in str(errors)


# -- until all tasks wait --


async def test_all_tasks_blocked_waits_for_a_long_chain_of_tasks_that_wake_each_other() -> None:
    woken: list[int] = []

    async def link(n: int) -> None:
        await events[n].wait()
        for _ in range(n % 3):
            await checkpoint()
        woken.append(n)
        events[n + 1].set()

    events = [anyio.Event() for _ in range(101)]
    async with anyio.create_task_group() as group:
        for n in range(100):
            group.start_soon(link, n)
        await all_tasks_blocked()
        assert woken == []
        events[0].set()
        await all_tasks_blocked()
        assert woken == list(range(100))


async def test_all_tasks_blocked_waits_for_who_waits_for_the_end_of_others() -> None:
    ended: list[str] = []
    begin = anyio.Event()

    async def nested(depth: int) -> None:
        async with anyio.create_task_group() as group:
            if depth:
                group.start_soon(nested, depth - 1)
            group.start_soon(begin.wait)
        ended.append(f"group {depth}")

    async with anyio.create_task_group() as group:
        group.start_soon(nested, 20)
        await all_tasks_blocked()
        assert ended == []
        begin.set()
        await all_tasks_blocked()
        assert ended == [f"group {depth}" for depth in range(21)]


async def _gathers(begin: anyio.Event) -> None:
    await asyncio.gather(asyncio.gather(begin.wait(), begin.wait()), begin.wait())


async def _waits_with_a_limit(begin: anyio.Event) -> None:
    await asyncio.wait_for(asyncio.gather(begin.wait()), 100)


async def _shields(begin: anyio.Event) -> None:
    await asyncio.shield(asyncio.wait_for(begin.wait(), 100))


async def _waits_for_the_first(begin: anyio.Event) -> None:
    await asyncio.wait([asyncio.ensure_future(begin.wait())], return_when=asyncio.FIRST_COMPLETED)


async def _groups(begin: anyio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(begin.wait())


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("waits", [_gathers, _waits_with_a_limit, _shields, _waits_for_the_first, _groups])
async def test_all_tasks_blocked_waits_for_who_is_told_by_callbacks(waits: Callable[[anyio.Event], Any]) -> None:
    begin = anyio.Event()
    task = asyncio.ensure_future(waits(begin))
    await all_tasks_blocked()
    assert not task.done()
    begin.set()
    await all_tasks_blocked()
    assert task.done()


async def test_all_tasks_blocked_does_not_wait_for_others_who_wait_for_it() -> None:
    done: list[int] = []

    async def wait(n: int) -> None:
        await all_tasks_blocked()
        done.append(n)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(wait, n)
            await all_tasks_blocked()
    assert sorted(done) == [0, 1, 2]


async def test_all_tasks_blocked_waits_again_for_who_has_waited_itself() -> None:
    done: list[str] = []

    async def work() -> None:
        await all_tasks_blocked()
        await begin.wait()
        await bus_helpers.settle()
        done.append("work")

    begin = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await all_tasks_blocked()
        begin.set()
        await all_tasks_blocked()
        assert done == ["work"]


async def test_all_tasks_blocked_counts_who_really_sleeps_as_waiting_and_does_not_sleep_itself() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 3600)
        begun = time.perf_counter()
        for _ in range(50):
            await all_tasks_blocked()
        assert time.perf_counter() - begun < 2
        group.cancel_scope.cancel()


async def test_all_tasks_blocked_may_be_cancelled() -> None:
    async def busy() -> None:
        while True:
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(busy)
        with anyio.move_on_after(0.01) as scope:
            await all_tasks_blocked()
        assert scope.cancelled_caught
        group.cancel_scope.cancel()
    with anyio.fail_after(10):
        await all_tasks_blocked()


# -- the clock --


async def test_the_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(start=100)
    assert (clock.now(), clock.time(), clock.monotonic()) == (100, 100, 100)
    await clock.advance(0)
    assert clock.now() == 100
    await clock.advance(2.5)
    assert (clock.now(), clock.time(), clock.monotonic()) == (102.5, 102.5, 102.5)
    with pytest.raises(ValueError, match="time passes forwards only"):
        await clock.advance(-1)


async def test_who_sleeps_is_woken_at_its_time_and_what_follows_happens_then() -> None:
    clock, log = FakeClock(), list[tuple[str, float]]()

    async def sleep(name: str, *naps: float) -> None:
        for seconds in naps:
            await clock.sleep(seconds)
            log.append((name, clock.now()))

    async with anyio.create_task_group() as group:
        group.start_soon(sleep, "a", 3, 3)
        group.start_soon(sleep, "b", 1, 1, 1, 1)
        await clock.advance(3.5)
        assert log == [("b", 1), ("b", 2), ("a", 3), ("b", 3)]
        await clock.advance(10)
        assert log[4:] == [("b", 4), ("a", 6)]
        assert clock.now() == 13.5


async def test_those_due_at_the_same_time_are_woken_in_the_order_in_which_they_lay_down() -> None:
    clock, log = FakeClock(), list[int]()

    async def sleep(n: int) -> None:
        for _ in range(n):
            await checkpoint()
        await clock.sleep(5)
        log.append(n)

    async with anyio.create_task_group() as group:
        for n in range(5):
            group.start_soon(sleep, n)
            await all_tasks_blocked()
        await clock.advance(5)
    assert log == [0, 1, 2, 3, 4]


async def test_a_sleep_of_nothing_lets_others_run_once() -> None:
    clock, log = FakeClock(), list[str]()

    async def sleep(name: str, seconds: float) -> None:
        log.append(f"{name} begins")
        await clock.sleep(seconds)
        log.append(f"{name} ends")

    async with anyio.create_task_group() as group:
        group.start_soon(sleep, "a", 0)
        group.start_soon(sleep, "b", -1)
    assert sorted(log[:2]) == ["a begins", "b begins"]
    assert clock._alarms == []


async def test_a_sleeper_that_is_cancelled_leaves_nothing() -> None:
    clock = FakeClock()
    async with anyio.create_task_group() as group:
        for seconds in range(1, 50):
            group.start_soon(clock.sleep, seconds)
        await all_tasks_blocked()
        assert len(clock._alarms) == 49
        group.cancel_scope.cancel()
    assert clock._alarms == []
    await clock.advance(100)


async def test_a_block_is_cancelled_when_its_time_is_up_and_not_before() -> None:
    clock, outcome = FakeClock(), list[tuple[bool, float]]()

    async def limited(seconds: float, work: float) -> None:
        with clock.move_on_after(seconds) as scope:
            await clock.sleep(work)
        outcome.append((scope.cancelled_caught, clock.now()))

    async with anyio.create_task_group() as group:
        group.start_soon(limited, 2, 10)
        group.start_soon(limited, 2, 1)
        await clock.advance(20)
    assert outcome == [(False, 1), (True, 2)]
    assert clock._alarms == []


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_block_without_time_is_cancelled_at_its_first_await(seconds: float) -> None:
    clock, reached = FakeClock(), list[str]()
    with clock.move_on_after(seconds) as scope:
        reached.append("the first line")
        await checkpoint()
        reached.append("the second")
    assert scope.cancelled_caught
    assert reached == ["the first line"]


async def test_a_block_without_a_limit_is_never_cancelled() -> None:
    clock = FakeClock()
    with clock.move_on_after(None) as scope:
        await clock.advance(1e9)
    assert not scope.cancel_called


@pytest.mark.parametrize(("outer", "inner", "caught"), [(1, 2, "outer"), (2, 1, "inner"), (1, 1, "outer")])
async def test_blocks_within_blocks_are_each_cancelled_at_their_own_time(
    outer: float, inner: float, caught: str
) -> None:
    clock, outcome = FakeClock(), list[tuple[bool, bool, float]]()

    async def work() -> None:
        with clock.move_on_after(outer) as around:
            with clock.move_on_after(inner) as within:
                await anyio.sleep_forever()
            await checkpoint()
        outcome.append((around.cancelled_caught, within.cancelled_caught, clock.now()))

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await clock.advance(5)
    assert outcome == [(caught == "outer", caught == "inner", 1)]
    assert clock._alarms == []


async def test_an_error_comes_out_of_a_limited_block_as_it_is() -> None:
    clock = FakeClock()
    with pytest.raises(KeyError), clock.move_on_after(5):
        raise KeyError("mine")
    assert clock._alarms == []


async def test_a_block_that_shields_itself_is_left_alone_but_knows() -> None:
    clock, log = FakeClock(), list[bool]()

    async def work() -> None:
        with clock.move_on_after(1) as scope, anyio.CancelScope(shield=True):
            await clock.sleep(3)
            log.append(scope.cancel_called)

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await clock.advance(3)
    assert log == [True]


async def test_steps_whose_sum_is_not_quite_what_was_meant_are_enough() -> None:
    clock, log = FakeClock(), list[str]()

    async def sleep() -> None:
        await clock.sleep(0.8)
        log.append("woken")

    async with anyio.create_task_group() as group:
        group.start_soon(sleep)
        for _ in range(8):
            assert log == []
            await clock.advance(0.1)
        assert log == ["woken"]
        assert clock.now() >= 0.8


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=40, deadline=None)
@given(
    naps=st.lists(st.lists(st.integers(0, 6), max_size=4), max_size=5),
    steps=st.lists(st.integers(0, 5), max_size=8),
)
def test_time_passes_in_order_however_it_is_cut(backend: str, naps: list[list[int]], steps: list[int]) -> None:
    log: list[tuple[int, float]] = []

    async def run() -> None:
        clock = FakeClock()

        async def sleeper(n: int) -> None:
            for seconds in naps[n]:
                await clock.sleep(seconds)
                log.append((n, clock.now()))

        async with anyio.create_task_group() as group:
            for n in range(len(naps)):
                group.start_soon(sleeper, n)
            for step in steps:
                await clock.advance(step)
            await clock.advance(100)
        assert clock._alarms == []

    anyio.run(run, backend=backend)
    times = [now for _, now in log]
    assert times == sorted(times)
    for n, seconds in enumerate(naps):
        assert [now for m, now in log if m == n] == [sum(seconds[: i + 1]) for i in range(len(seconds))]


# -- what goes by it --


async def test_waits_limits_windows_and_drains_of_its_bus_go_by_the_clock() -> None:
    clock, log = FakeClock(), list[str]()

    async def told(name: str, work: Callable[[], Any]) -> None:
        try:
            await work()
            log.append(f"{name} {clock.now():g}")
        except TimeoutError as error:
            log.append(f"{name} {clock.now():g} {type(error).__name__}")

    middleware: list[Middleware] = [Deduplication(window_s=5), RateLimit(rate_per_s=1), Timeout(30)]
    async with EventBus(middleware=middleware, clock=clock) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", Gate())
        group.start_soon(told, "waited", lambda: bus.wait_for("b.b", timeout=7))
        for n in range(3):
            group.start_soon(told, "published", lambda n=n: bus.publish("a.c", {"n": n}, connection_id="c"))
        group.start_soon(told, "drained", lambda: bus.drain(20))
        await bus.publish("a.b", connection_id="d")
        await clock.advance(100)
        assert log == [
            "published 0",
            "published 1",
            "published 2",
            "waited 7 TimeoutError",
            "drained 20 DrainTimeout",
        ]
        assert bus.stats().failed == 1
        group.cancel_scope.cancel()


async def test_closing_goes_by_the_clock() -> None:
    clock, closed = FakeClock(), anyio.Event()

    async def close() -> None:
        await bus.aclose()
        closed.set()

    async with EventBus(clock=clock, close_timeout=5) as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", Gate())
        await bus.publish("a.b")
        group.start_soon(close)
        await clock.advance(4.9)
        assert not closed.is_set()
        await clock.advance(0.1)
        assert closed.is_set()


RINGS = """
name: rings
states:
  ringing:
    initial: true
    after:
      10s: missed
    transitions: [{event: call.answered, target: talking}]
  talking:
    after: {60s: over}
  missed: {final: true, enter: [{publish: call.missed}]}
  over: {final: true, enter: [{publish: call.over}]}
"""


async def test_a_lifecycle_and_its_bus_go_by_the_same_clock() -> None:
    clock, at = FakeClock(), list[tuple[str, float]]()
    answers = iter([ConnectionError, ConnectionError, None])

    async def answer(event: Event) -> None:
        if error := next(answers):
            raise error
        await bus.publish("call.answered", connection_id=event.connection_id)

    async with (
        EventBus(clock=clock, slow_after=None) as bus,
        ConnectionLifecycle(bus, definition_of(RINGS), clock=clock) as lifecycle,
    ):
        recorder = Recorder(bus)
        for event_type in ("call.answered", "call.missed", "call.over"):
            bus.subscribe(event_type, lambda event: at.append((event.type, clock.now())), inline=True)
        bus.subscribe("connection.created", answer, connection_id="c", retry=Retry(3, first_delay_s=3, jitter=0))
        await lifecycle.register_connection("c")
        await clock.advance(5)
        await lifecycle.register_connection("d")
        assert lifecycle.why("d").timers[0].remaining_s == 10
        await clock.advance(3.9)
        assert at == []
        await clock.advance(0.1)
        assert lifecycle.get_connection_state("c").phase == "talking"
        await clock.advance(100)
        assert at == [("call.answered", 9), ("call.missed", 15), ("call.over", 69)]
        assert [event.connection_id for event in recorder.published("call.*")] == ["c", "d", "c"]


async def test_an_earlier_timer_wakes_a_lifecycle_that_waits_for_a_later_one() -> None:
    clock = FakeClock()
    async with EventBus(clock=clock) as bus, ConnectionLifecycle(bus, definition_of(RINGS), clock=clock) as lifecycle:
        recorder = Recorder(bus)
        await lifecycle.register_connection("late")
        await bus.publish("call.answered", connection_id="late")
        await clock.advance(1)
        await lifecycle.register_connection("early")
        await clock.advance(10)
        assert [event.type for event in recorder.published("call.*", connection_id="early")] == ["call.missed"]
        await clock.advance(1_000)
        assert lifecycle.get_all_connections() == {}

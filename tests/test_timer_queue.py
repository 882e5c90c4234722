"""The queue of all timers: in order, exact, cheap to cancel from, and no larger than what lives in it."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachines.connections.timers import TimerQueue
from statemachines.table.layout import Layout, TimerSpec
from statemachines.table.record import Timer, next_order
from tests.lifecycle_helpers import definition_of, running

STALE = 64
"""So many cancelled timers may lie in the heap before they are looked at."""


def most_kept(living: int) -> int:
    """How long the heap may be: a quarter of it cancelled, beside the few that are not worth a look."""
    return living * 4 // 3 + STALE + 2


def spec() -> TimerSpec:
    return Layout(definition_of("whatsapp_call")).timers[0]


def timer(deadline: float, given: TimerSpec | None = None) -> Timer:
    return Timer(deadline, next_order(), "c", given or spec())


commands = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.sampled_from([0.0, 1.0, 1.0, 2.5, 7.0])),  # equal times are usual
        st.tuples(st.just("forget"), st.sampled_from([1.0, 3.0])),
        st.tuples(st.just("cancel"), st.floats(0, 1)),
        st.tuples(st.just("rearm"), st.floats(0, 1)),
        st.tuples(st.just("pop"), st.just(0.0)),
    ),
    max_size=300,
)


@settings(max_examples=300, deadline=None)
@given(commands)
def test_timers_come_up_as_from_a_sorted_list(commands: list[tuple[str, float]]) -> None:
    queue, given = TimerQueue(), spec()
    reference: list[tuple[float, int]] = []
    living: dict[tuple[float, int], Timer] = {}
    for kind, value in commands:
        if kind in ("cancel", "rearm") and living:
            gone = living.pop(list(living)[int(value * (len(living) - 1))])
            queue.cancel(gone)
            reference.remove((gone.deadline, gone.order))
        if kind in ("arm", "rearm"):
            armed = timer(value, given)
            queue.arm(armed)
            living[armed.deadline, armed.order] = armed
            reference.append((armed.deadline, armed.order))
        elif kind == "forget":
            queue.forget(value, "c")
            reference.append((value, next_order() - 1))
        elif kind == "pop" and reference:
            reference.sort()
            assert queue.next_deadline() == reference[0][0]
            due = queue.pop()
            assert (due[0], due[1]) == reference.pop(0)
            living.pop((due[0], due[1]), None)
        assert len(queue) == len(reference)
        assert len(queue._heap) <= most_kept(len(reference))
    assert _drained(queue) == sorted(reference)


def _drained(queue: TimerQueue) -> list[tuple[float, int]]:
    found = []
    while queue.next_deadline() is not None:
        due = queue.pop()
        found.append((due[0], due[1]))
    return found


def test_a_million_timers_come_up_in_order_after_most_were_cancelled() -> None:
    queue, given, random = TimerQueue(), spec(), Random(1)
    number = 1_000_000
    timers = [Timer(random.randrange(1_000) / 10, next_order(), "c", given) for _ in range(number)]
    for each in timers:
        queue.arm(each)
    for each in timers[: number - 1_000]:
        queue.cancel(each)
    assert len(queue) == 1_000
    assert len(queue._heap) <= most_kept(1_000)
    assert _drained(queue) == sorted((each.deadline, each.order) for each in timers[number - 1_000 :])


def test_where_each_connection_cancels_one_timer_and_arms_the_next_few_cancelled_ones_are_kept() -> None:
    queue, given = TimerQueue(), spec()
    for _ in range(1_000):
        first = timer(1.0, given)
        queue.arm(first)
        queue.cancel(first)
        queue.arm(timer(2.0, given))
    assert len(queue) == 1_000
    assert len(queue._heap) <= most_kept(1_000)


def test_cancelled_timers_in_front_are_never_due() -> None:
    queue = TimerQueue()
    first, second = timer(1.0), timer(2.0)
    _arm(queue, (first, second))
    queue.cancel(first)
    assert queue.earliest() == 1.0
    assert queue.next_deadline() == 2.0
    assert queue.pop() is second
    assert queue.next_deadline() is None


def test_a_queue_whose_timers_are_all_cancelled_is_empty() -> None:
    queue = TimerQueue()
    armed = [timer(float(number)) for number in range(10)]
    _arm(queue, armed)
    for each in armed:
        queue.cancel(each)
    assert (len(queue), queue.next_deadline(), queue.earliest()) == (0, None, None)


def _arm(queue: TimerQueue, timers: Iterable[Timer]) -> None:
    for each in timers:
        queue.arm(each)


@pytest.mark.anyio
async def test_timers_that_ended_with_their_connection_leave_nothing_behind() -> None:
    async with running("whatsapp_call") as world:
        for number in range(300):
            await world.lifecycle.register_connection(f"c{number}")
            await world.publish("whatsapp.call_accepted", f"c{number}")
            await world.lifecycle.terminate_connection(f"c{number}")
        await world.clock.advance(5)
        queue = world.lifecycle._connections._timers
        assert len(queue) == 0
        assert len(queue._heap) <= most_kept(0)


@pytest.mark.anyio
async def test_only_timers_that_are_in_the_heap_count_as_cancelled() -> None:
    async with running("whatsapp_call") as world:
        queue = world.lifecycle._connections._timers
        await world.lifecycle.register_connection("c", dependencies=["webrtc_audio_ready"])
        await world.publish("webrtc.audio_track_ready", data={"track_type": "audio"})
        await world.publish("webrtc.ice_connection_changed", data={"ice_state": "failed"})
        assert len(queue) == 3  # the length of the call, and two of the state that restarts ICE
        await world.clock.advance(5)  # one of these two fires and enters the state anew, the other is cancelled
        assert len(queue) == 3
        assert queue._cancelled <= {due[1] for due in queue._heap}

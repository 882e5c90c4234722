"""Who subscribes a moment too late begins with the last event of each type and connection, then hears the rest."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import Event, EventBus, PhasebusError
from bus.testing import settled
from tests.bus_helpers import Gate, Recorder, fill, settle

anyio_test = pytest.mark.anyio


async def replayed(bus: EventBus, pattern: str, connection_id: str | None = None) -> list[Any]:
    heard = Recorder()
    bus.subscribe(pattern, heard, replay_last=True, connection_id=connection_id).name  # noqa: B018
    await settled(bus)
    return heard.numbers


@anyio_test
async def test_the_last_of_each_type_and_connection_comes_first() -> None:
    async with EventBus() as bus:
        for n, (event_type, name) in enumerate(
            [("a.b", "c"), ("a.b", "d"), ("a.b", "c"), ("a.c", "c"), ("b.b", "c"), ("a.b", None)]
        ):
            await bus.publish(event_type, {"n": n}, connection_id=name)
        assert await replayed(bus, "a.b") == [1, 2, 5]
        assert await replayed(bus, "a.*", "c") == [2, 3]
        assert await replayed(bus, "*", "d") == [1]
        assert await replayed(bus, "*", "nobody") == []


@anyio_test
async def test_without_asking_for_it_nothing_is_replayed() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await fill(bus, "a.b", 2)
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 1)
        await settled(bus)
    assert heard.numbers == [0]


@anyio_test
async def test_streams_batches_and_waits_begin_with_it_too() -> None:
    batches: list[list[Any]] = []
    async with EventBus() as bus:
        await fill(bus, "a.b", 3)
        async with bus.stream("a.b", replay_last=True) as stream:
            await bus.publish("a.b", {"n": "next"}, connection_id="c")
            assert [(await anext(stream)).field("n") for _ in range(2)] == [2, "next"]
        bus.subscribe_batch(
            "a.b", lambda events: batches.append([event.field("n") for event in events]), replay_last=True
        )
        await settled(bus)
        assert batches == [["next"]]
        with anyio.fail_after(1):
            found = await bus.wait_for("a.*", connection_id="c", replay_last=True)
        assert found.field("n") == "next"


@anyio_test
async def test_a_wait_whose_condition_the_last_does_not_meet_goes_on_waiting() -> None:
    found: list[Event] = []

    async def wait() -> None:
        found.append(await bus.wait_for("a.b", where=lambda event: event.field("n") == 7, replay_last=True))

    async with EventBus() as bus, anyio.create_task_group() as tasks:
        await fill(bus, "a.b", 3)
        tasks.start_soon(wait)
        await settle()
        assert found == []
        await bus.publish("a.b", {"n": 7})
    assert found[0].field("n") == 7


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["a.b", "a.c", "b.b"]), st.sampled_from(["c", "d"])), max_size=20),
    st.integers(0, 20),
    st.sampled_from(["a.b", "a.*", "*"]),
    st.sampled_from([None, "c"]),
    st.sampled_from(["asyncio", "trio"]),
)
def test_there_is_neither_gap_nor_double_between_the_last_and_the_stream(
    events: list[tuple[str, str]], at: int, pattern: str, whose: str | None, backend: str
) -> None:
    async def run() -> None:
        heard = Recorder()
        async with EventBus() as bus:
            for n, (event_type, name) in enumerate(events):
                if n == min(at, len(events)):
                    bus.subscribe(pattern, heard, replay_last=True, connection_id=whose)
                await bus.publish(event_type, {"n": n}, connection_id=name)
            if at >= len(events):
                bus.subscribe(pattern, heard, replay_last=True, connection_id=whose)
            await settled(bus)

        def means(n: int) -> bool:
            event_type, name = events[n]
            return (pattern == "*" or event_type == pattern or (pattern == "a.*" and event_type[:2] == "a.")) and (
                whose in (None, name)
            )

        last = {events[n]: n for n in range(min(at, len(events))) if means(n)}
        assert sorted(heard.numbers[: len(last)]) == sorted(last.values())
        assert heard.numbers[len(last) :] == [n for n in range(min(at, len(events)), len(events)) if means(n)]

    anyio.run(run, backend=backend)


@anyio_test
async def test_a_connections_events_are_replayed_in_the_order_they_came() -> None:
    async with EventBus() as bus:
        for n, event_type in enumerate(["a.b", "a.c", "a.d", "a.b"]):
            await bus.publish(event_type, {"n": n}, connection_id="c", timestamp=1.0)
        assert await replayed(bus, "a.*", "c") == [1, 2, 3]


@anyio_test
async def test_no_more_are_kept_than_the_limit_and_those_repeated_lately_are() -> None:
    async with EventBus(replay_limit=100) as bus:
        recent = bus._fan_out.recent
        assert recent is not None
        for n in range(1_000):
            await bus.publish("a.b", {"n": n}, connection_id=f"c{n}")
            assert len(recent) <= 100
        kept = await replayed(bus, "a.b")
        assert kept[-50:] == list(range(950, 1_000))


@anyio_test
async def test_what_is_kept_of_a_connection_is_let_go_when_it_is_terminated() -> None:
    async with EventBus() as bus:
        await fill(bus, "a.b", 1, "c")
        await fill(bus, "a.b", 1, "d")
        await bus.publish("connection.terminated", connection_id="c")
        assert await replayed(bus, "*", "c") == []
        assert await replayed(bus, "*", "d") == [0]


@anyio_test
async def test_a_bus_that_keeps_nothing_says_so() -> None:
    async with EventBus(replay_limit=0) as bus:
        with pytest.raises(PhasebusError, match="replay_limit is 0"):
            bus.subscribe("a.b", Recorder(), replay_last=True)
        assert bus.stats().active_handlers == 0
    with pytest.raises(ValueError, match="replay_limit must be at least 2"):
        EventBus(replay_limit=1)


@anyio_test
async def test_an_inline_handler_cannot_begin_with_what_was() -> None:
    async with EventBus() as bus:
        with pytest.raises(ValueError, match="replay_last needs a queue"):
            bus.subscribe("a.b", Recorder(), replay_last=True, inline=True)


@anyio_test
async def test_more_than_fit_go_past_the_bound_and_are_counted_or_dropped_as_the_policy_says() -> None:
    gate = Gate()
    async with EventBus() as bus:
        for name in range(5):
            await fill(bus, "a.b", 1, str(name))
        waiting = bus.subscribe("a.b", gate, replay_last=True, queue_size=2)
        dropping = bus.subscribe("a.b", gate, replay_last=True, queue_size=2, overflow="drop_oldest")
        assert (waiting.queued, waiting.overrun) == (5, 3)
        assert (dropping.queued, dropping.dropped) == (2, 3)
        gate.open()

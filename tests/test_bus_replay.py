"""Beginning with what was published a moment too early: ``replay_last``."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import Event, EventBus, PhasebusError, QueueFull, matches, publish_middleware
from bus import testing as bus_testing
from bus.causality import as_handler_of
from bus.middleware.base import Next
from bus.routing import MAX_TYPES
from bus.testing import FakeClock, all_tasks_blocked, settled
from tests.bus_helpers import Fails, Gate, Recorder, assert_at_rest, fill

pytestmark = pytest.mark.anyio


async def publish(bus: EventBus, *events: tuple[str, str | None]) -> list[Event]:
    """Events of these types and connections, numbered from 0."""
    return [
        await bus.publish(event_type, {"n": n}, connection_id=whose) for n, (event_type, whose) in enumerate(events)
    ]


def kept(bus: EventBus) -> int:
    """How many events are kept to be replayed."""
    assert bus._fan_out.recent is not None
    return len(bus._fan_out.recent)


# -- what comes --


async def test_a_subscription_begins_with_the_last_event_of_each_type_and_connection() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("a.b", "d"), ("a.c", "c"), ("a.b", "c"), ("b.b", "c"), ("a.b", None))
        bus.subscribe("a.*", heard, replay_last=True)
        await bus.publish("a.b", {"n": "new"}, connection_id="c")
    assert heard.numbers == [1, 2, 3, 5, "new"]


async def test_without_it_a_subscription_begins_with_the_next_event() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"))
        bus.subscribe("a.b", heard)
        await bus.publish("a.b", {"n": "new"})
    assert heard.numbers == ["new"]


async def test_a_subscription_to_one_connection_begins_with_its_events() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("a.b", "d"), ("a.c", "c"), ("a.b", None))
        bus.subscribe("a.*", heard, connection_id="c", replay_last=True)
    assert heard.numbers == [0, 2]


async def test_a_batch_begins_with_them() -> None:
    batches: list[list[Any]] = []
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("a.b", "d"), ("a.b", "c"))
        bus.subscribe_batch(
            "a.b", lambda events: batches.append([event.field("n") for event in events]), replay_last=True
        )
        await bus.publish("a.b", {"n": "new"})
    assert batches == [[1, 2, "new"]]


async def test_a_stream_begins_with_them() -> None:
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("a.b", "d"), ("a.b", "c"))
        async with bus.stream("a.b", replay_last=True) as stream:
            await bus.publish("a.b", {"n": "new"})
            assert [(await anext(stream)).field("n") for _ in range(3)] == [1, 2, "new"]


async def test_a_wait_takes_the_first_of_them_that_will_do() -> None:
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("a.b", "d"), ("a.b", "e"))
        event = await bus.wait_for("a.b", replay_last=True, where=lambda event: event.field("n") > 0, timeout=0)
        assert event.field("n") == 1
        event = await bus.wait_for("a.*", connection_id="e", replay_last=True)
        assert event.field("n") == 2
        assert not bus._fan_out.waiters


async def test_a_wait_for_which_none_of_them_will_do_waits_for_the_next() -> None:
    clock, found = FakeClock(), []

    async def wait() -> None:
        found.append(await bus.wait_for("a.b", replay_last=True, where=lambda event: event.field("n") > 5, timeout=10))

    async with EventBus(clock=clock) as bus, anyio.create_task_group() as group:
        await fill(bus, "a.b", 3)
        group.start_soon(wait)
        await all_tasks_blocked()
        await bus.publish("a.b", {"n": 6})
        await all_tasks_blocked()
        assert [event.field("n") for event in found] == [6]
        with pytest.raises(TimeoutError):
            await bus.wait_for("b.b", replay_last=True, timeout=0)


async def test_a_condition_that_raises_on_one_of_them_ends_the_wait() -> None:
    async with EventBus() as bus:
        await fill(bus, "a.b", 1)
        with pytest.raises(ZeroDivisionError):
            await bus.wait_for("a.b", replay_last=True, where=lambda event: 1 / event.field("n"))
        assert not bus._fan_out.waiters


async def test_they_come_in_the_order_published_whatever_the_wall_clock_said() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        for n, (event_type, timestamp) in enumerate([("a.c", 9.0), ("a.b", 7.0), ("a.d", 8.0), ("a.e", 7.0)]):
            await bus.publish(event_type, {"n": n}, connection_id="c", timestamp=timestamp)
        bus.subscribe("*", heard, replay_last=True)
    assert heard.numbers == [0, 1, 2, 3]


async def test_they_are_handled_by_urgency_like_all_others() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("a.b", "d"), ("a.urgent", "e"))
        bus.subscribe("a.*", heard, priorities={"a.urgent": 1}, replay_last=True)
    assert heard.numbers == [2, 0, 1]


async def test_several_who_come_late_each_get_them() -> None:
    late = [Recorder(), Recorder()]
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("a.c", "c"))
        for heard in late:
            bus.subscribe("*", heard, replay_last=True)
            await bus.drain()
    assert [heard.numbers for heard in late] == [[0, 1], [0, 1]]


async def test_an_inline_handler_that_subscribes_gets_the_event_at_hand_once() -> None:
    heard = Recorder()

    def subscribe(event: Event) -> None:
        bus.subscribe("a.b", heard, replay_last=True)

    async with EventBus() as bus:
        bus.subscribe("a.b", subscribe, inline=True)
        await bus.publish("a.b", {"n": 0})
    assert heard.numbers == [0]


async def test_reports_of_the_bus_are_kept_if_somebody_heard_them() -> None:
    late = Recorder()
    async with EventBus() as bus:
        bus.subscribe("handler.failed", Recorder())
        bus.subscribe("a.b", Fails())
        await bus.publish("a.b", connection_id="c")
        await bus.drain()
        bus.subscribe("handler.failed", late, replay_last=True)
    assert [failed.connection_id for failed in late.events] == ["c"]


# -- what is kept --


async def test_an_event_that_reached_nobody_is_kept_and_one_that_was_refused_is_not() -> None:
    @publish_middleware
    async def stop(event: Event, call_next: Next) -> None:
        if event.type != "stopped.here":
            await call_next(event)

    gate, heard = Gate(), Recorder()
    async with EventBus(middleware=[stop]) as bus:
        await publish(bus, ("stopped.here", "c"), ("nobody.listened", "c"))
        bus.subscribe("is.full", gate, queue_size=1, overflow="error")
        await fill(bus, "is.full", 1)
        await all_tasks_blocked()
        await bus.publish("is.full", {"n": "taken"}, connection_id="c")
        with pytest.raises(QueueFull):
            await bus.publish("is.full", {"n": "refused"}, connection_id="c")
        bus.subscribe("*", heard, replay_last=True)
        gate.open()
    assert heard.numbers == [1, "taken"]


async def test_of_a_connection_that_has_ended_nothing_is_kept() -> None:
    heard = Recorder()
    async with EventBus(replay_limit=6) as bus:
        await publish(bus, *[("a.b", whose) for whose in ("c", "d", "e", "f", None)])  # some of them kept for longer
        await publish(bus, ("a.c", "c"), ("connection.terminated", "c"))
        assert kept(bus) == 4
        bus.subscribe("*", heard, replay_last=True)
    assert [event.connection_id for event in heard.events] == ["d", "e", "f", None]


async def test_a_connection_that_begins_again_is_kept_again() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await publish(bus, ("a.b", "c"), ("connection.terminated", "c"), ("a.b", "c"))
        bus.subscribe("*", heard, replay_last=True)
    assert heard.numbers == [2]


async def test_the_end_of_a_connection_without_an_id_is_the_end_of_no_other() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        await publish(bus, ("a.b", None), ("connection.terminated", None))
        bus.subscribe("*", heard, replay_last=True)
    assert heard.numbers == [0]


@pytest.mark.parametrize("limit", [2, 3, 10])
async def test_no_more_events_are_kept_than_allowed_and_at_least_the_latest_half(limit: int) -> None:
    async with EventBus(replay_limit=limit) as bus:
        for n in range(100):
            await bus.publish(f"a.b{n % 7}", {"n": n}, connection_id=f"c{n}")
            assert min(n + 1, limit // 2) <= kept(bus) <= limit
        heard = Recorder()
        bus.subscribe("*", heard, replay_last=True)
        await bus.drain()
        assert heard.numbers == list(range(100 - kept(bus), 100))


async def test_what_comes_again_and_again_is_not_given_up_for_what_came_once() -> None:
    heard = Recorder()
    async with EventBus(replay_limit=4) as bus:
        for n in range(20):
            await bus.publish("a.often", {"n": n}, connection_id="c")
            await bus.publish("a.once", connection_id=f"c{n}")
        bus.subscribe("a.often", heard, replay_last=True)
    assert heard.numbers == [19]


async def test_an_event_that_came_again_after_a_long_time_is_replayed_once_and_as_it_was_last() -> None:
    heard, of_c, of_d = Recorder(), Recorder(), Recorder()
    async with EventBus(replay_limit=4) as bus:
        await publish(bus, ("a.b", "c"), ("a.b", "d"), ("a.b", "e"), ("a.b", "c"))
        bus.subscribe("a.b", heard, replay_last=True)
        bus.subscribe("a.b", of_c, connection_id="c", replay_last=True)
        bus.subscribe("a.b", of_d, connection_id="d", replay_last=True)
    assert (heard.numbers, of_c.numbers, of_d.numbers) == ([1, 2, 3], [3], [1])


async def test_the_same_event_again_takes_no_more_room() -> None:
    async with EventBus(replay_limit=4) as bus:
        await publish(bus, ("a.b", "c"), *[("a.b", "d")] * 50)
        assert kept(bus) == 2


async def test_connections_that_end_take_no_room_from_one_that_lives() -> None:
    heard = Recorder()
    async with EventBus(replay_limit=8) as bus:
        await publish(bus, ("a.b", "lives"))
        for n in range(50):
            await publish(bus, ("a.b", f"c{n}"), ("a.c", f"c{n}"), ("connection.terminated", f"c{n}"))
        assert kept(bus) == 1
        bus.subscribe("*", heard, replay_last=True)
    assert [event.connection_id for event in heard.events] == ["lives"]


async def test_names_from_outside_that_are_too_many_are_not_kept_and_take_no_room() -> None:
    heard = Recorder()
    async with EventBus(replay_limit=8) as bus:
        for number in range(MAX_TYPES):
            await bus.publish(f"a.b{number}")
        await publish(bus, ("a.b0", "lives"))
        for number in range(20):
            await bus.publish(f"too.many{number}")
        bus.subscribe("a.b0", heard, connection_id="lives", replay_last=True)
        bus.subscribe("too.*", heard, replay_last=True)
    assert heard.types == ["a.b0"]


# -- the bound of the queue --


async def test_more_than_the_queue_holds_goes_past_its_bound_and_is_counted() -> None:
    gate = Gate()
    async with EventBus() as bus:
        await publish(bus, *[("a.b", f"c{n}") for n in range(10)])
        subscription = bus.subscribe("a.b", gate, queue_size=3, replay_last=True)
        assert (subscription.queued, subscription.overrun, subscription.dropped) == (10, 7, 0)
        assert bus.stats().overrun == 7
        gate.open()
        await bus.drain()
        assert_at_rest(bus)
    assert gate.numbers == list(range(10))


async def test_a_stream_too_goes_past_its_bound() -> None:
    async with EventBus() as bus:
        await publish(bus, *[("a.b", f"c{n}") for n in range(5)])
        async with bus.stream("a.b", queue_size=3, replay_last=True) as stream:
            assert bus.stats().overrun == 2
            assert [(await anext(stream)).field("n") for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_a_publisher_waits_while_what_was_replayed_is_more_than_the_queue_holds() -> None:
    gate = Gate()
    async with EventBus() as bus, anyio.create_task_group() as group:
        await publish(bus, *[("a.b", f"c{n}") for n in range(3)])
        bus.subscribe("a.b", gate, queue_size=2, replay_last=True)
        group.start_soon(bus.publish, "a.b", {"n": "new"})
        await all_tasks_blocked()
        assert bus.stats().total_events == 3
        gate.open()
    assert gate.numbers == [0, 1, 2, "new"]


@pytest.mark.parametrize(
    ("overflow", "heard"), [("drop_oldest", [3, 4]), ("drop_newest", [0, 1]), ("error", [0, 1, 2, 3, 4])]
)
async def test_a_queue_that_drops_drops_and_one_that_refuses_has_nobody_to_refuse_to(
    overflow: Any, heard: list[int]
) -> None:
    recorder, dropped = Recorder(), Recorder()
    async with EventBus() as bus:
        bus.subscribe("event.dropped", dropped)
        events = await publish(bus, *[("a.b", f"c{n}") for n in range(5)])
        subscription = bus.subscribe("a.b", recorder, queue_size=2, overflow=overflow, replay_last=True)
        assert subscription.dropped == 5 - len(heard)
        await bus.drain()
        assert_at_rest(bus)
    assert recorder.numbers == heard
    assert [event.data for event in dropped.events] == [
        {"type": "a.b", "id": event.id, "by": subscription.name, "reason": overflow}
        for n, event in enumerate(events)
        if n not in heard
    ]


async def test_a_stream_that_drops_what_is_replayed_tells_of_it() -> None:
    dropped = Recorder()
    async with EventBus() as bus:
        bus.subscribe("event.dropped", dropped)
        events = await publish(bus, *[("a.b", f"c{n}") for n in range(3)])
        async with bus.stream("a.b", queue_size=2, overflow="drop_oldest", replay_last=True):
            await bus.drain()
    assert [event.data["id"] for event in dropped.events] == [events[0].id]


# -- refused --


async def test_an_inline_handler_cannot_begin_with_them() -> None:
    async with EventBus() as bus:
        with pytest.raises(ValueError, match="replay_last needs a queue"):
            bus.subscribe("a.b", Recorder(), inline=True, replay_last=True)


async def test_a_bus_that_keeps_nothing_says_so_and_nobody_has_subscribed() -> None:
    async with EventBus(replay_limit=0) as bus:
        await bus.publish("a.b")
        for refused in (
            lambda: bus.subscribe("a.b", Recorder(), replay_last=True),
            lambda: bus.subscribe_batch("a.b", Recorder(), replay_last=True),  # type: ignore[arg-type]
            lambda: bus.stream("a.b", replay_last=True),
        ):
            with pytest.raises(PhasebusError, match="replay_limit is 0 on this one"):
                refused()
        with pytest.raises(PhasebusError, match="replay_limit is 0 on this one"):
            await bus.wait_for("a.b", replay_last=True)
        assert list(bus._routes) == []
        assert not bus.has_listener("a.b")


@pytest.mark.parametrize("limit", [1, -1])
def test_a_limit_too_small_to_keep_anything_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="replay_limit must be at least 2, or 0"):
        EventBus(replay_limit=limit)


# -- neither gap nor double --


@frozen
class Publish:
    event_type: str
    connection_id: str | None
    inside: bool


@frozen
class Subscribe:
    kind: str
    pattern: str
    connection_id: str | None
    queue_size: int


connections = st.sampled_from(["c", "d", None])
moves = st.lists(
    st.builds(Publish, st.sampled_from(["a.b", "a.c", "b.b", "connection.terminated"]), connections, st.booleans())
    | st.builds(Publish, st.sampled_from(["a.b", "a.c", "b.b"]), connections, st.booleans())
    | st.builds(
        Subscribe,
        st.sampled_from(["queued", "batch", "stream"]),
        st.sampled_from(["*", "a.*", "a.b"]),
        st.sampled_from([None, None, "c"]),
        st.integers(1, 3),
    )
    | st.sampled_from(["let others run", "handle one"]),
    max_size=40,
)


class Late(Recorder):
    """Who subscribed late, and what it is to hear: by scanning all that was ever published."""

    def __init__(self, asked: Subscribe, so_far: list[Event]) -> None:
        super().__init__()
        self.asked = asked
        self.begin = len(so_far)
        last: dict[tuple[str, str | None], Event] = {}
        for event in so_far:
            if event.type == "connection.terminated":
                ended = event.connection_id
                last = {key: other for key, other in last.items() if ended is None or key[1] != ended}
            else:
                last.pop((event.type, event.connection_id), None)
                last[event.type, event.connection_id] = event
        self.replayed = list(last.values())

    def expected(self, all_events: list[Event]) -> list[Event]:
        asked = self.asked
        return [
            event
            for event in [*self.replayed, *all_events[self.begin :]]
            if matches(asked.pattern, event.type) and asked.connection_id in (None, event.connection_id)
        ]

    async def handle_batch(self, events: list[Event]) -> None:
        self.events += events


class Slow(Recorder):
    """A subscriber that makes publishers wait: it needs to be told to handle an event."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[anyio.Event] = []
        self.ended = False

    async def __call__(self, event: Event) -> None:
        if not self.ended:
            self.turns.append(anyio.Event())
            await self.turns[-1].wait()

    def handle_one(self) -> None:
        if self.turns:
            self.turns.pop().set()

    def end(self) -> None:
        self.ended = True
        self.handle_one()


async def run(schedule: list[Publish | Subscribe | str]) -> None:
    late: list[Late] = []
    slow = Slow()
    async with EventBus(slow_after=None) as bus, anyio.create_task_group() as readers:
        published = bus_testing.Recorder(bus)
        bus.subscribe("a.*", slow, queue_size=1)

        async def publish(move: Publish) -> None:
            if move.inside:
                with as_handler_of(bus, Event("some.cause")):
                    await bus.publish(move.event_type, connection_id=move.connection_id)
            else:
                await bus.publish(move.event_type, connection_id=move.connection_id)

        async def read(stream: Any, into: Late) -> None:
            async for event in stream:
                into.events.append(event)

        async with anyio.create_task_group() as publishers:
            for move in schedule:
                match move:
                    case Publish():
                        publishers.start_soon(publish, move)
                    case Subscribe(kind, pattern, connection_id, queue_size):
                        new = Late(move, published.events)
                        options: dict[str, Any] = {"connection_id": connection_id, "queue_size": queue_size}
                        if kind == "queued":
                            bus.subscribe(pattern, new, replay_last=True, **options)
                        elif kind == "batch":
                            bus.subscribe_batch(pattern, new.handle_batch, queue_size, 0, replay_last=True, **options)
                        else:
                            readers.start_soon(read, bus.stream(pattern, replay_last=True, **options), new)
                        late.append(new)
                    case "let others run":
                        await all_tasks_blocked()
                    case "handle one":
                        slow.handle_one()
                        await all_tasks_blocked()
            await all_tasks_blocked()
            slow.end()
        await settled(bus)
        await all_tasks_blocked()
        await bus.aclose()
    for subscriber in late:
        assert subscriber.events == subscriber.expected(published.events)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=moves)
def test_there_is_neither_gap_nor_double_however_publishing_and_subscribing_fall_together(
    backend: str, schedule: list[Publish | Subscribe | str]
) -> None:
    anyio.run(run, schedule, backend=backend)

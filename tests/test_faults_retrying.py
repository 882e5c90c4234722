"""Faults around handlers that fail or hang: retries, time-outs, dead letters and duplicates, in every order.

The numbers are those of the list of faults that the bus must survive.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from itertools import accumulate, permutations
from typing import Any

import anyio
import pytest
from attrs import frozen

from bus import Event, EventBus, HandlerFailure
from bus.middleware import Deduplication, Middleware, Recovery, Retry, Timeout
from bus.testing import FakeClock, settled
from tests.bus_helpers import Recorder, assert_at_rest, living_tasks, settle, within

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A log record for each of so many failures would be most of the work."""
    caplog.set_level(logging.ERROR, "phasebus.bus")


# -- 5: 50 events × 100 failures with retry --


async def test_fault_05_a_hundred_failures_of_fifty_events_are_retried_exactly_when_the_policy_says() -> None:
    # Half of them succeed at the 101st try. With the highest jitter that there can be, and with the lowest.
    clock, failures = FakeClock(), Recorder()
    tried_at: dict[str, list[float]] = defaultdict(list)

    async def handle(event: Event) -> None:
        tries = tried_at[f"{event.type} {event.field('n')}"]
        tries.append(clock.now())
        if len(tries) <= 100:
            raise ValueError("it broke")

    def times(longer: float, tries: int) -> list[float]:
        waits = [min(20.0, 0.5 * 1.5**failures) * longer for failures in range(tries - 1)]
        return list(accumulate(waits, initial=0.0))

    async with within(60), EventBus(clock=clock, slow_after=None) as bus:
        fails = bus.subscribe(
            "a.fails", handle, concurrency=25, retry=Retry(100, 0.5, 1.5, 20.0, 0.25, random=lambda: 1.0)
        )
        succeeds = bus.subscribe(
            "a.succeeds", handle, concurrency=25, retry=Retry(101, 0.5, 1.5, 20.0, 0.25, random=lambda: 0.0)
        )
        bus.subscribe("handler.failed", failures)
        for n in range(25):
            await bus.publish("a.fails", {"n": n}, connection_id=f"c{n}")
            await bus.publish("a.succeeds", {"n": n}, connection_id=f"c{n}")
        await clock.advance(100 * 20 * 1.25)
        await settled(bus)
        assert (fails.handled, fails.failed, fails.retried) == (0, 25, 25 * 99)
        assert (succeeds.handled, succeeds.failed, succeeds.retried) == (25, 0, 25 * 100)
        assert_at_rest(bus)
    assert tried_at == {
        **{f"a.fails {n}": times(1.25, 100) for n in range(25)},
        **{f"a.succeeds {n}": times(0.75, 101) for n in range(25)},
    }
    assert [failed.data.tries for failed in failures.events] == [100] * 25


# -- 6: every order of retry, deduplication, time-out and dead letter --

LIMIT_S, TRIES = 30.0, 3
PARTS: dict[str, Middleware] = {
    "retry": Retry(TRIES, jitter=0.0),
    "timeout": Timeout(LIMIT_S),
    "recovery": Recovery(),
    "deduplication": Deduplication(window_s=1_000_000.0),
}
DELIVERY = ("retry", "timeout", "recovery")
ORDERS = [order for length in range(4) for order in permutations(DELIVERY, length)]
ALL_FOUR = list(permutations(PARTS))


@frozen
class Behaviour:
    """How a handler behaves: what it does when called for the first time, the second …, the last of these for ever."""

    calls: tuple[str, ...]

    def at(self, call: int) -> str:
        return self.calls[min(call, len(self.calls)) - 1]


BEHAVIOURS = [
    Behaviour(("returns",)),
    Behaviour(("raises",)),
    Behaviour(("hangs",)),
    Behaviour(("raises", "returns")),
    Behaviour(("raises", "raises", "returns")),
    Behaviour(("raises", "raises", "raises", "returns")),
    Behaviour(("hangs", "returns")),
    Behaviour(("hangs", "raises", "returns")),
    Behaviour(("raises", "hangs")),
]


class Case:
    """One bus with middleware in some order, one handler with some behaviour, and what came of publishing once."""

    def __init__(self, order: tuple[str, ...], behaviour: Behaviour, inline: bool) -> None:
        self.order = order
        self.behaviour = behaviour
        self.inline = inline
        self.clock = FakeClock()
        self.calls: list[str] = []
        self.raised: list[BaseException] = []
        self.letters: list[HandlerFailure] = []

    def __str__(self) -> str:
        return f"{' > '.join(self.order)}, {'inline' if self.inline else 'queued'}, {', '.join(self.behaviour.calls)}"

    async def handle(self, event: Event) -> None:
        does = self.behaviour.at(len(self.calls) + 1)
        self.calls.append(does)
        if does == "raises":
            raise ValueError("it broke")
        if does == "hangs":
            await anyio.sleep_forever()

    async def publish(self, bus: EventBus) -> None:
        """Publish the event with its own id, as a web-hook does, and let all time pass that it could take."""
        try:
            async with within(60), anyio.create_task_group() as group:
                group.start_soon(self._publish, bus)
                await self.clock.advance(100 * LIMIT_S)
            await settled(bus)
        finally:
            assert_at_rest(bus)

    async def _publish(self, bus: EventBus) -> None:
        try:
            await bus.publish("a.b", connection_id="c", id="wamid.1")
        except (ValueError, TimeoutError) as error:
            self.raised.append(error)

    @property
    def succeeded(self) -> bool:
        return self.calls[-1] == "returns"

    def tries_allowed(self) -> int:
        """How often the handler is called, by the book."""
        at_once = 1 if "retry" not in self.order else TRIES
        for call in range(1, at_once + 1):
            does = self.behaviour.at(call)
            hung = does == "hangs" and self._is_around("timeout", "retry")
            if does == "returns" or hung:
                return call
        return at_once

    def _is_around(self, outer: str, inner: str) -> bool:
        return inner not in self.order or self.order.index(outer) < self.order.index(inner)

    @property
    def reaches_publisher(self) -> bool:
        """An inline handler's failure does, unless recovery meets it; it never meets a time-out that is around it."""
        if not self.inline or self.succeeded:
            return False
        if "recovery" not in self.order:
            return True
        return self.calls[-1] == "hangs" and self._is_around("timeout", "recovery")


@pytest.mark.parametrize("order", [*ORDERS, *ALL_FOUR], ids=" > ".join)
@pytest.mark.parametrize("inline", [False, True], ids=["queued", "inline"])
async def test_fault_06_in_every_order_of_middleware_a_failure_is_one_and_told_once_with_its_tries(
    order: tuple[str, ...], inline: bool
) -> None:
    for behaviour in BEHAVIOURS:
        if "hangs" in behaviour.calls and "timeout" not in order:
            continue
        case = Case(order, behaviour, inline)
        async with EventBus(middleware=[PARTS[name] for name in order], clock=case.clock, slow_after=None) as bus:
            subscription = bus.subscribe("a.b", case.handle, inline=inline)
            bus.subscribe_dead_letters(case.letters.append, "a.*")
            await case.publish(bus)
            assert len(case.calls) == case.tries_allowed(), case
            assert subscription.retried == len(case.calls) - 1, case
            counted = (subscription.handled, subscription.failed)
            assert counted == ((1, 0) if case.succeeded else (0, 1)), case
        told = [(letter.event.id, letter.tries) for letter in case.letters]
        if case.succeeded:
            assert (case.raised, told) == ([], []), case
        elif case.reaches_publisher:
            assert (len(case.raised), told) == (1, []), case
        else:
            assert (case.raised, told) == ([], [("wamid.1", len(case.calls))]), case


@pytest.mark.parametrize("order", [("deduplication",), *ALL_FOUR], ids=" > ".join)
@pytest.mark.parametrize("inline", [False, True], ids=["queued", "inline"])
async def test_fault_06_an_event_is_a_duplicate_after_its_publishing_succeeded_and_not_before(
    order: tuple[str, ...], inline: bool
) -> None:
    for behaviour in BEHAVIOURS:
        if "hangs" in behaviour.calls and "timeout" not in order:
            continue
        case, dropped = Case(order, behaviour, inline), Recorder()
        async with EventBus(middleware=[PARTS[name] for name in order], clock=case.clock, slow_after=None) as bus:
            bus.subscribe("a.b", case.handle, inline=inline)
            bus.subscribe("event.dropped", dropped)
            await case.publish(bus)
            assert dropped.events == [], f"a retry is no duplicate: {case}"
            failed_to_publish, before = bool(case.raised), len(case.calls)
            await case.publish(bus)
            assert (len(case.calls) > before) == failed_to_publish, case
            assert len(dropped.events) == (0 if failed_to_publish else 1), case


@pytest.mark.parametrize("order", [("recovery",), ("retry", "recovery"), ("recovery", "retry"), ("timeout", "retry")])
@pytest.mark.parametrize("behaviour", [b for b in BEHAVIOURS if "hangs" not in b.calls], ids=lambda b: b.calls)
async def test_fault_06_a_retry_inside_a_retry_tells_every_call_of_the_handler(
    order: tuple[str, ...], behaviour: Behaviour
) -> None:
    case = Case(order, behaviour, inline=False)
    async with EventBus(middleware=[PARTS[name] for name in order], clock=case.clock, slow_after=None) as bus:
        subscription = bus.subscribe("a.b", case.handle, retry=Retry(2, jitter=0.0))
        bus.subscribe_dead_letters(case.letters.append)
        await case.publish(bus)
        assert subscription.retried == len(case.calls) - 1
        assert (subscription.handled, subscription.failed) == ((1, 0) if case.succeeded else (0, 1))
    assert [letter.tries for letter in case.letters] == ([] if case.succeeded else [len(case.calls)])


async def test_fault_06_one_event_published_twice_at_once_is_heard_once_and_forgotten_once() -> None:
    clock, heard, opened = FakeClock(), Recorder(), anyio.Event()

    async def handle(event: Event) -> None:
        await heard(event)
        await opened.wait()

    async with EventBus(middleware=[Deduplication(window_s=5.0)], clock=clock) as bus:
        bus.subscribe("a.b", handle, inline=True)
        event = Event("a.b", "c")
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(bus.publish_event, event)
            await settle()
            opened.set()
        assert len(heard.events) == 1
        await clock.advance(10)
        await bus.publish_event(event)
        assert len(heard.events) == 2


# -- 7: deduplication at the window ± 1 ms --


@pytest.mark.parametrize(("later", "passed"), [(4.999, 1), (5.0, 2), (5.001, 2)])
@pytest.mark.parametrize("fields", [{"id": "wamid.1"}, {}], ids=["by id", "by content"])
@pytest.mark.parametrize("took", [0.0, 2.0])
async def test_fault_07_the_window_ends_to_the_millisecond_after_the_publishing_succeeded(
    later: float, passed: int, fields: Any, took: float
) -> None:
    clock, heard = FakeClock(), Recorder()

    async def handle(event: Event) -> None:
        await heard(event)
        await clock.sleep(took)

    async def publish() -> None:
        await bus.publish("a.b", {"n": 0}, connection_id="c", **fields)

    async with EventBus(middleware=[Deduplication(window_s=5.0)], clock=clock) as bus:
        bus.subscribe("a.b", handle, inline=True)
        for wait in (later, 0):
            async with anyio.create_task_group() as group:
                group.start_soon(publish)
                await clock.advance(took)
            await clock.advance(wait)
    assert len(heard.events) == passed


@pytest.mark.parametrize("first", ["wamid.1", None])
async def test_fault_07_the_same_payload_with_a_new_id_passes(first: str | None) -> None:
    heard = Recorder()
    async with EventBus(middleware=[Deduplication(window_s=5.0)]) as bus:
        bus.subscribe("a.b", heard)
        for event_id in (first, "wamid.2", "wamid.3"):
            await bus.publish("a.b", {"n": 1}, connection_id="c", id=event_id)
    assert len(heard.events) == 3


async def test_fault_07_ten_thousand_events_each_have_a_window_of_their_own() -> None:
    clock, heard = FakeClock(), Recorder()
    async with EventBus(middleware=[Deduplication(window_s=5.0)], clock=clock) as bus:
        bus.subscribe("a.b", heard, queue_size=20_000)
        for round_begins in (
            0.0,
            4.999,
            9.999,
        ):  # the second is all duplicates; the third, 9.999 s after the first, none
            await clock.advance(round_begins - clock.now())
            for n in range(10_000):
                await bus.publish("a.b", {"n": n})
    assert heard.numbers == [*range(10_000)] * 2


# -- 8: a time-out really cancels --


async def test_fault_08_ten_thousand_timeouts_cancel_let_shielded_clean_up_finish_and_leave_no_task() -> None:
    cancelled = cleaned = 0

    async def stuck(event: Event) -> None:
        nonlocal cancelled, cleaned
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled += 1
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                cleaned += 1
            raise

    async with within(60), EventBus(middleware=[Timeout(0.000_001)]) as bus:
        before = living_tasks()
        subscriptions = [
            bus.subscribe("a.b", stuck, timeout=timeout, queue_size=5_000, concurrency=50)
            for timeout in (0.000_001, None)  # of its own, and by the middleware
        ]
        for n in range(5_000):
            await bus.publish("a.b", connection_id=str(n))
        await bus.drain()
        assert [subscription.failed for subscription in subscriptions] == [5_000] * 2
        assert cancelled == cleaned == 10_000
        assert living_tasks() == before + 100  # the workers, which live on
        assert_at_rest(bus)
        for subscription in subscriptions:
            assert set(subscription.running) == {None}
            subscription.cancel()
        await settle()
        assert living_tasks() == before

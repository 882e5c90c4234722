"""Events that a handler failed on for good: who hears of them, with what, and that this never goes round in circles."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from bus import Event, EventBus, HandlerFailure, InvalidEvent
from bus.causality import MAX_CAUSATION_DEPTH
from bus.middleware import Recovery, Retry
from bus.testing import FakeClock, all_tasks_blocked, settled
from tests.bus_helpers import Fails, Gate, Recorder, assert_at_rest, fill

pytestmark = pytest.mark.anyio


class Letters:
    """A handler of dead letters that keeps them; while it is shut, it waits with each."""

    def __init__(self, shut: bool = False) -> None:
        self.letters: list[HandlerFailure] = []
        self._opened = anyio.Event()
        if not shut:
            self._opened.set()

    async def __call__(self, failure: HandlerFailure) -> None:
        self.letters.append(failure)
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()

    @property
    def types(self) -> list[str]:
        return [letter.event.type for letter in self.letters]

    @property
    def numbers(self) -> list[Any]:
        return [letter.event.field("n") for letter in self.letters]


# -- what comes --


async def test_a_dead_letter_is_the_event_its_handler_the_error_and_the_number_of_tries() -> None:
    letters = Letters()
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe_dead_letters(letters)
        event = await bus.publish("a.b", {"n": 1}, connection_id="c")
    assert letters.letters == [HandlerFailure(event, "Fails", "ValueError: it broke", 1)]


async def test_it_comes_after_the_last_try_only() -> None:
    clock, letters = FakeClock(), Letters()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe("a.b", Fails(), retry=Retry(3, first_delay_s=1, jitter=0))
        bus.subscribe_dead_letters(letters)
        await bus.publish("a.b")
        await clock.advance(2.9)
        assert letters.letters == []
        await clock.advance(0.1)
        await settled(bus)
    assert [letter.tries for letter in letters.letters] == [3]


async def test_each_handler_that_fails_on_an_event_makes_one() -> None:
    letters = Letters()
    async with EventBus() as bus:
        for _ in range(3):
            bus.subscribe("a.b", Fails())
        bus.subscribe("a.b", Recorder())
        bus.subscribe_dead_letters(letters)
        event = await bus.publish("a.b")
    assert [letter.event for letter in letters.letters] == [event] * 3


@pytest.mark.parametrize("pattern", ["a.b", "a.*", "*", "b.b"])
async def test_the_pattern_is_that_of_the_event_that_failed(pattern: str) -> None:
    letters = Letters()
    async with EventBus() as bus:
        for event_type in ("a.b", "a.c", "b.b"):
            bus.subscribe(event_type, Fails())
        subscription = bus.subscribe_dead_letters(letters, pattern)
        for event_type in ("a.b", "a.c", "b.b"):
            await bus.publish(event_type)
        await bus.drain()
        assert subscription.pattern == "handler.failed"
    expected = {"a.b": ["a.b"], "a.*": ["a.b", "a.c"], "*": ["a.b", "a.c", "b.b"], "b.b": ["b.b"]}
    assert sorted(letters.types) == expected[pattern]


async def test_the_connection_is_that_of_the_event_that_failed() -> None:
    letters = Letters()
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe_dead_letters(letters, connection_id="c")
        for n, connection_id in enumerate(("c", "d", None)):
            await bus.publish("a.b", {"n": n}, connection_id=connection_id)
    assert letters.numbers == [0]


async def test_what_an_inline_handler_failed_on_is_one_where_recovery_deals_with_it() -> None:
    letters = Letters()
    async with EventBus(middleware=[Recovery()]) as bus:
        bus.subscribe("a.b", Fails(), inline=True)
        bus.subscribe_dead_letters(letters)
        await bus.publish("a.b")
    assert letters.types == ["a.b"]


async def test_what_a_handler_took_too_long_for_is_one() -> None:
    clock, letters = FakeClock(), Letters()
    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe("a.b", Gate(), timeout=5)
        bus.subscribe_dead_letters(letters)
        await bus.publish("a.b")
        await clock.advance(5)
        await settled(bus)
    assert letters.letters[0].error == "TimeoutError: Gate took longer than 5 s to handle a.b, and was cancelled"


async def test_what_other_code_reports_is_one() -> None:
    letters, event = Letters(), Event("a.b", "c")
    async with EventBus() as bus:
        bus.subscribe_dead_letters(letters)
        await bus.report_failure("the hook start_audio", event, KeyError("audio"), tries=2)
    assert letters.letters == [HandlerFailure(event, "the hook start_audio", "KeyError: 'audio'", 2)]


async def test_what_nobody_heard_or_was_cancelled_is_none() -> None:
    letters, gate = Letters(), Gate()
    async with EventBus(close_timeout=0) as bus:
        bus.subscribe_dead_letters(letters)
        subscription = bus.subscribe("a.b", gate)
        await bus.publish("nobody.listens")
        await fill(bus, "a.b", 3)
        await all_tasks_blocked()
        subscription.cancel()
        await all_tasks_blocked()
    assert letters.letters == []


async def test_somebody_elses_event_of_that_name_is_none() -> None:
    letters = Letters()
    async with EventBus() as bus:
        subscription = bus.subscribe_dead_letters(letters)
        for data in (None, {"event": {"type": "a.b"}}, "text"):
            await bus.publish("handler.failed", data)
        await bus.drain()
        assert (subscription.handled, subscription.failed) == (3, 0)
    assert letters.letters == []


# -- how it is handled --


@pytest.mark.parametrize("kind", ["plain", "async", "plain that returns a coroutine"])
async def test_every_kind_of_handler_is_called(kind: str) -> None:
    letters = Letters()
    handlers: dict[str, Any] = {
        "plain": letters.letters.append,
        "async": letters,
        "plain that returns a coroutine": lambda failure: letters(failure),
    }
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe_dead_letters(handlers[kind])
        await bus.publish("a.b")
    assert letters.types == ["a.b"]


async def test_it_is_a_subscription_by_the_name_of_its_handler() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())

        @bus.subscribe_dead_letters
        def keep(failure: HandlerFailure) -> None:
            kept.append(failure)

        kept: list[HandlerFailure] = []
        await bus.publish("a.b")
        await bus.drain()
        assert len(kept) == 1
        assert keep.name.endswith("<locals>.keep")
        keep.cancel()
        await bus.publish("a.b")
        await bus.drain()
    assert len(kept) == 1


async def test_a_dead_letter_may_be_published_again() -> None:
    heard: list[Any] = []

    def handle(event: Event) -> None:
        heard.append(event)
        if len(heard) == 1:
            raise ValueError("it broke")

    async def again(failure: HandlerFailure) -> None:
        await bus.publish_event(failure.event)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle)
        bus.subscribe_dead_letters(again)
        event = await bus.publish("a.b", {"n": 1})
        await bus.drain()
        assert_at_rest(bus)
    assert [(other.id, other.data) for other in heard] == [(event.id, {"n": 1})] * 2


async def test_a_dead_letter_published_again_and_again_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "phasebus.bus")

    async def again(failure: HandlerFailure) -> None:
        await bus.publish_event(failure.event)

    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        subscription = bus.subscribe_dead_letters(again)
        await bus.publish("a.b")
        with anyio.fail_after(10):
            await bus.drain()
        assert subscription.failed == 1
        assert bus.stats().events_by_type["a.b"] <= MAX_CAUSATION_DEPTH
        assert_at_rest(bus)


# -- when the handler of dead letters fails itself --


@pytest.mark.parametrize("inline", [True, False])
async def test_a_failing_handler_of_dead_letters_is_logged_and_makes_no_dead_letter(
    inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    letters = Letters()

    def keep(failure: HandlerFailure) -> None:
        raise KeyError("no room to keep it")

    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        failing = bus.subscribe_dead_letters(keep, inline=inline)
        bus.subscribe_dead_letters(letters)
        await fill(bus, "a.b", 3)
        await bus.drain()
        assert failing.failed == 3
        assert bus.stats().events_by_type == {"a.b": 3, "handler.failed": 3}
        assert_at_rest(bus)
    assert letters.numbers == [0, 1, 2]
    assert "KeyError" in caplog.text


async def test_a_handler_of_dead_letters_may_be_retried() -> None:
    clock, kept = FakeClock(), list[float]()

    def keep(failure: HandlerFailure) -> None:
        kept.append(clock.now())
        if len(kept) < 3:
            raise ConnectionError("the database does not answer")

    async with EventBus(clock=clock, slow_after=None) as bus:
        bus.subscribe("a.b", Fails())
        subscription = bus.subscribe_dead_letters(keep, retry=Retry(5, first_delay_s=1, jitter=0))
        await bus.publish("a.b")
        await clock.advance(3)
        await settled(bus)
        assert (subscription.handled, subscription.retried) == (1, 2)
    assert kept == [0, 1, 3]


async def test_a_slow_handler_of_dead_letters_holds_up_nobody() -> None:
    letters, heard = Letters(shut=True), Recorder()

    async def handle(event: Event) -> None:
        await heard(event)
        raise ValueError("it broke")

    async with EventBus() as bus:
        bus.subscribe("a.b", handle)
        bus.subscribe_dead_letters(letters, queue_size=2)
        await fill(bus, "a.b", 50)
        await all_tasks_blocked()
        assert heard.numbers == list(range(50))
        letters.open()


# -- when there are too many --


async def test_more_than_the_queue_holds_go_past_its_bound_and_are_counted() -> None:
    letters = Letters(shut=True)
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        subscription = bus.subscribe_dead_letters(letters, queue_size=2)
        await bus.publish("a.b", {"n": 0})
        await all_tasks_blocked()
        for n in range(1, 10):
            await bus.publish("a.b", {"n": n})
        await all_tasks_blocked()
        assert (subscription.queued, subscription.overrun, subscription.dropped) == (9, 7, 0)
        letters.open()
    assert letters.numbers == list(range(10))


@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop_oldest", [0, 8, 9]), ("drop_newest", [0, 1, 2]), ("error", [0, 1, 2])]
)
async def test_a_queue_that_drops_counts_and_tells_of_what_it_dropped_and_others_get_all(
    overflow: Any, kept: list[int]
) -> None:
    letters, others, dropped = Letters(shut=True), Letters(), Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        subscription = bus.subscribe_dead_letters(letters, queue_size=2, overflow=overflow)
        bus.subscribe_dead_letters(others)
        bus.subscribe("event.dropped", dropped)
        await bus.publish("a.b", {"n": 0})
        await all_tasks_blocked()
        for n in range(1, 10):
            await bus.publish("a.b", {"n": n})
        await all_tasks_blocked()
        assert (subscription.queued, subscription.dropped, subscription.overrun) == (2, 7, 0)
        letters.open()
    assert letters.numbers == kept
    assert others.numbers == list(range(10))
    assert [event.field("type") for event in dropped.events] == ["handler.failed"] * 7


async def test_the_last_bound_of_all_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.inbox.OVERRUN_FACTOR", 3)
    letters = Letters(shut=True)
    async with EventBus() as bus:
        failing = bus.subscribe("a.b", Fails())
        subscription = bus.subscribe_dead_letters(letters, queue_size=2)
        await bus.publish("a.b", {"n": 0})
        await all_tasks_blocked()
        await fill(bus, "a.b", 10)
        await all_tasks_blocked()
        assert (subscription.queued, subscription.overrun, subscription.dropped) == (6, 4, 4)
        assert failing.failed == 11
        letters.open()


# -- refused --


async def test_what_is_no_handler_and_what_is_no_pattern_is_refused() -> None:
    async with EventBus() as bus:
        with pytest.raises(TypeError, match="a function of a HandlerFailure, not 5"):
            bus.subscribe_dead_letters(5)  # type: ignore[arg-type]
        with pytest.raises(InvalidEvent, match="not an event name or pattern"):
            bus.subscribe_dead_letters(Letters(), "wrong pattern")
        with pytest.raises(ValueError, match="queue_size must be at least 1"):
            bus.subscribe_dead_letters(Letters(), queue_size=0)
        assert bus.stats().active_handlers == 0

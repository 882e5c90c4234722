"""What a handler has failed on for good goes to those who subscribed to dead letters."""

from __future__ import annotations

import anyio
import pytest

from bus import Event, EventBus, HandlerFailure, InvalidEvent, Retry
from bus.middleware import Recovery
from bus.testing import FakeClock
from tests.bus_helpers import Fails, settle

pytestmark = pytest.mark.anyio


class Letters:
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.failures: list[HandlerFailure] = []

    async def __call__(self, failure: HandlerFailure) -> None:
        self.failures.append(failure)

    @property
    def types(self) -> list[str]:
        return [failure.event.type for failure in self.failures]


async def test_a_letter_has_the_event_the_handler_the_error_and_the_tries() -> None:
    letters, clock = Letters(), FakeClock()
    async with EventBus(clock=clock) as bus:
        bus.subscribe_dead_letters(letters)
        bus.subscribe("a.b", Fails(), retry=Retry(max_tries=3, first_delay_s=1, jitter=0))
        event = await bus.publish("a.b", {"n": 1}, connection_id="c")
        await clock.advance(2.9)
        assert letters.failures == []  # one more try is to come
        await clock.advance(0.1)
    (letter,) = letters.failures
    assert (letter.event, letter.handler, letter.tries) == (event, "Fails", 3)
    assert letter.error == "ValueError: it broke"


@pytest.mark.parametrize("middleware", [(), (Recovery(),)])
async def test_recovery_makes_no_difference(middleware: tuple[Recovery, ...]) -> None:
    letters = Letters()
    async with EventBus(middleware=middleware) as bus:
        bus.subscribe_dead_letters(letters)
        bus.subscribe("a.b", Fails())
        await bus.publish("a.b")
        await bus.drain()
    assert letters.types == ["a.b"]


async def test_the_pattern_is_that_of_the_event_that_was_failed_on() -> None:
    calls, one, all_of_them = Letters(), Letters(), Letters()
    async with EventBus() as bus:
        bus.subscribe_dead_letters(calls, "call.*")
        bus.subscribe_dead_letters(one, "bill.sent")
        bus.subscribe_dead_letters(all_of_them)
        bus.subscribe("*", _fail_on_ours)
        for event_type in ("call.started", "bill.sent", "call.ended"):
            await bus.publish(event_type)
        await bus.drain()
        with pytest.raises(InvalidEvent):
            bus.subscribe_dead_letters(calls, "Call.*")
    assert calls.types == ["call.started", "call.ended"]
    assert one.types == ["bill.sent"]
    assert all_of_them.types == ["call.started", "bill.sent", "call.ended"]


def _fail_on_ours(event: Event) -> None:
    if event.type.startswith(("call.", "bill.")):
        raise ValueError


async def test_only_of_one_connection() -> None:
    letters = Letters()
    async with EventBus() as bus:
        bus.subscribe_dead_letters(letters, connection_id="c")
        bus.subscribe("a.b", Fails())
        for name in ("b", "c", "d"):
            await bus.publish("a.b", connection_id=name)
        await bus.drain()
    assert [letter.event.connection_id for letter in letters.failures] == ["c"]


async def test_each_of_several_handlers_that_fail_has_a_letter_of_its_own() -> None:
    letters = Letters()
    async with EventBus() as bus:
        bus.subscribe_dead_letters(letters)
        for _ in range(3):
            bus.subscribe("a.b", Fails())
        await bus.publish("a.b")
        await bus.drain()
    assert letters.types == ["a.b"] * 3


async def test_a_handler_of_letters_that_fails_is_not_written_about() -> None:
    async with EventBus() as bus:
        letters = bus.subscribe_dead_letters(lambda failure: 1 / 0)
        bus.subscribe("a.b", Fails())
        await bus.publish("a.b")
        await bus.drain()
        assert letters.failed == 1
        assert bus.stats().events_by_type == {"a.b": 1, "handler.failed": 1}


async def test_letters_that_find_no_room_are_dropped_and_counted() -> None:
    go = anyio.Event()

    async def wait(failure: HandlerFailure) -> None:
        await go.wait()

    async with EventBus() as bus:
        letters = bus.subscribe_dead_letters(wait, queue_size=1, overflow="drop_newest")
        bus.subscribe("a.b", Fails())
        for _ in range(5):
            await bus.publish("a.b")
        await settle()
        go.set()
        await bus.drain()
    assert (letters.handled, letters.dropped) == (2, 3)


async def test_an_event_may_be_published_again_from_its_letter() -> None:
    tries: list[str] = []

    async def flaky(event: Event) -> None:
        tries.append(event.id)
        if len(tries) == 1:
            raise ConnectionError

    async with EventBus() as bus:

        async def again(failure: HandlerFailure) -> None:
            await bus.publish_event(failure.event)

        bus.subscribe_dead_letters(again)
        bus.subscribe("a.b", flaky)
        event = await bus.publish("a.b")
        await bus.drain()
    assert tries == [event.id, event.id]

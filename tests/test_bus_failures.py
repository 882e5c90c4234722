"""What a failing handler does, and whom it harms."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from bus import CausalityLoop, Event, EventBus, EventType, HandlerFailure, InvalidEvent
from bus.causality import MAX_CAUSATION_DEPTH, as_handler_of
from bus.middleware import Recovery
from tests.bus_helpers import Fails, Gate, Recorder, assert_at_rest, fill, settle

pytestmark = pytest.mark.anyio

with_or_without_recovery = pytest.mark.parametrize("middleware", [(), (Recovery(),)], ids=["bare", "recovery"])


@with_or_without_recovery
async def test_a_queued_handler_that_raises_becomes_handler_failed(middleware: tuple[Recovery, ...]) -> None:
    failures = Recorder()
    async with EventBus(middleware=middleware) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe(EventType.HANDLER_FAILED, failures)
        event = await bus.publish("a.b", connection_id="c", call_id="call", tenant_id="t")
        await bus.drain()
        assert (bus.stats().handled, bus.stats().failed) == (1, 1)
    (failed,) = failures.events
    assert failed.data == HandlerFailure(event, "Fails", "ValueError: it broke", 1)
    assert (failed.connection_id, failed.call_id, failed.tenant_id) == ("c", "call", "t")
    assert failed.is_error
    assert isinstance(failed.error, ValueError)
    assert failed.causation_id == event.id


async def test_an_inline_handler_that_raises_raises_to_the_publisher() -> None:
    failures = Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails(), inline=True)
        bus.subscribe("handler.failed", failures)
        with pytest.raises(ValueError, match="it broke"):
            await bus.publish("a.b")
        assert bus.stats().failed == 1
    assert failures.events == []


async def test_with_recovery_an_inline_handler_does_not_raise_to_the_publisher() -> None:
    failures = Recorder()
    async with EventBus(middleware=[Recovery()]) as bus:
        bus.subscribe("a.b", Fails(), inline=True)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
    assert [event.field("handler") for event in failures.events] == ["Fails"]


async def test_several_inline_handlers_that_raise_raise_together() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails(), inline=True)
        bus.subscribe("a.b", heard, inline=True)
        bus.subscribe("a.b", Fails(), inline=True)
        with pytest.raises(ExceptionGroup, match=r"inline handlers of a\.b failed") as raised:
            await bus.publish("a.b")
    assert [type(error) for error in raised.value.exceptions] == [ValueError, ValueError]
    assert len(heard.events) == 1


async def test_a_failing_handler_of_handler_failed_never_recurses(caplog: pytest.LogCaptureFixture) -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", Fails())
        bus.subscribe("handler.failed", Fails(), inline=True)
        await bus.publish("a.b")
        await bus.drain()
        assert bus.stats().events_by_type == {"a.b": 1, "handler.failed": 1}
        assert_at_rest(bus)


async def test_reports_that_cause_reports_end() -> None:
    # Each failure on a drop is reported, each report is dropped, each drop makes the handler fail again.
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("handler.failed", gate, queue_size=1, overflow="drop_newest")
        bus.subscribe("event.dropped", Fails())
        bus.subscribe("a.b", Fails())
        await fill(bus, "a.b", 3)
        with anyio.fail_after(10):
            while bus.pending.count > 2:
                await settle()
        assert bus.stats().events_by_type["event.dropped"] <= MAX_CAUSATION_DEPTH
        gate.open()


async def test_a_full_queue_that_refuses_events_keeps_no_report_from_the_others() -> None:
    failures, gate = Recorder(), Gate()
    async with EventBus() as bus:
        refusing = bus.subscribe("*", gate, queue_size=1, overflow="error")
        bus.subscribe("handler.failed", failures)
        await bus.publish("x.y")
        await settle()
        await bus.publish("x.y")
        await bus.report_failure("some hook", Event("a.b", "c"), ValueError("it broke"))
        await settle()
        assert refusing.dropped == 2  # handler.failed, and the event.dropped that tells of it
        gate.open()
    assert len(failures.events) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@with_or_without_recovery
@pytest.mark.parametrize("inline", [True, False])
async def test_a_handler_that_awaits_something_cancelled_fails_and_its_worker_goes_on(
    middleware: tuple[Recovery, ...], inline: bool
) -> None:
    failures, heard = Recorder(), Recorder()

    async def handle(event: Event) -> None:
        if event.field("n") == 0:
            task = asyncio.ensure_future(anyio.sleep_forever())
            await settle()
            task.cancel()
            await task
        await heard(event)

    async with EventBus(middleware=middleware) as bus:
        bus.subscribe("handler.failed", failures)
        subscription = bus.subscribe("a.b", handle, inline=inline)
        try:
            await bus.publish("a.b", {"n": 0})
        except asyncio.CancelledError:
            assert inline
            assert not middleware
        await bus.publish("a.b", {"n": 1})
        await bus.drain()
        assert (subscription.handled, subscription.failed) == (1, 1)
    assert heard.numbers == [1]
    assert len(failures.events) == (0 if inline and not middleware else 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_worker_that_is_itself_cancelled_ends() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate)
        await bus.publish("a.b")
        await settle()
        (worker,) = (task for task in asyncio.all_tasks() if "Gate" in task.get_name())
        worker.cancel()
        await settle()
        assert worker.done()


async def test_a_failed_call_is_reported_and_counted_once_even_with_two_recoveries() -> None:
    failures = Recorder()
    async with EventBus(middleware=[Recovery(), Recovery()]) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
        await bus.drain()
        assert bus.stats().failed == 1
    assert len(failures.events) == 1


async def test_failures_of_handlers_of_the_same_name_are_all_heard() -> None:
    failures = Recorder()
    async with EventBus() as bus:
        for _ in range(3):
            bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
    assert len({event.id for event in failures.events}) == 3


@pytest.mark.parametrize("how", ["publish", "publish_event", "the same event again", "naming its cause"])
async def test_a_chain_of_causes_without_end_is_cut(how: str) -> None:
    failures = Recorder()

    async def again(event: Event) -> None:
        if how == "publish":
            await bus.publish("a.b", connection_id="c")
        elif how == "publish_event":
            await bus.publish_event(Event("a.b", "c"))
        elif how == "naming its cause":
            await bus.publish("a.b", connection_id="c", causation_id=event.id)
        else:
            await bus.publish_event(event)

    async with EventBus() as bus:
        bus.subscribe("a.b", again)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b", connection_id="c")
        with anyio.fail_after(10):
            await bus.drain()
        assert bus.stats().events_by_type["a.b"] == MAX_CAUSATION_DEPTH + 1
    (failed,) = failures.events
    assert isinstance(failed.error, CausalityLoop)


async def test_the_error_of_an_endless_chain_says_what_to_do() -> None:
    cause = Event("a.b", causation_depth=MAX_CAUSATION_DEPTH)
    async with EventBus() as bus:
        told = pytest.raises(CausalityLoop, match=r"a\.b is the 1000th event in a chain of causes.*stop publishing")
        with as_handler_of(bus, cause), told:
            await bus.publish("a.c")


async def test_what_a_handler_publishes_is_linked_to_its_cause() -> None:
    heard = Recorder()

    async def answer(event: Event) -> None:
        await bus.publish("b.b")
        await bus.publish_event(Event("b.b"))
        await bus.publish("b.b", causation_id="known better")

    async with EventBus() as bus:
        bus.subscribe("a.b", answer)
        bus.subscribe("b.b", heard)
        cause = await bus.publish("a.b")
    assert [event.causation_id for event in heard.events] == [cause.id, cause.id, "known better"]
    assert [event.causation_depth for event in heard.events] == [1, 1, 1]


async def test_an_event_passed_on_to_another_bus_keeps_its_identity() -> None:
    heard = Recorder()
    async with EventBus() as there, EventBus() as here:
        there.subscribe("*", heard)
        here.subscribe("*", there.publish_event)
        event = await here.publish("a.b")
        await here.drain()
        await there.drain()
    assert [(other.id, other.causation_id) for other in heard.events] == [(event.id, None)]


async def test_an_unknown_field_is_refused_by_name() -> None:
    async with EventBus() as bus:
        with pytest.raises(
            InvalidEvent, match=r"invalid event a\.b: got an unexpected keyword argument 'conection_id'"
        ):
            await bus.publish("a.b", conection_id="c")  # type: ignore[call-arg]


async def test_a_waiter_whose_condition_raises_harms_only_itself() -> None:
    heard = Recorder()
    errors: list[Exception] = []

    def broken(event: Event) -> bool:
        raise KeyError("no such field")

    async def wait() -> None:
        try:
            await bus.wait_for("a.b", where=broken)
        except KeyError as error:
            errors.append(error)

    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", heard)
        group.start_soon(wait)
        await settle()
        await bus.publish("a.b")
    assert len(errors) == len(heard.events) == 1

"""Which events a subscription gets, and how its handler is called."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from bus import Event, EventBus, EventType, InvalidEvent, Subscription, WebRTCEventData, matches
from bus.names import is_event_name
from bus.routing import MAX_TYPES
from tests.bus_helpers import Gate, Recorder, assert_at_rest, fill, settle

anyio_test = pytest.mark.anyio


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ("a.b", ["a.b"]),
        ("a.*", ["a.b", "a.b.c"]),
        ("a.b.*", ["a.b.c"]),
        ("*", ["a.b", "a.b.c", "ab.c"]),
    ],
)
@anyio_test
async def test_a_pattern_gets_what_it_matches(pattern: str, heard: list[str]) -> None:
    recorder = Recorder()
    async with EventBus() as bus:
        bus.subscribe(pattern, recorder)
        for event_type in ("a.b", "a.b.c", "ab.c"):
            await bus.publish(event_type)
            assert matches(pattern, event_type) == (event_type in heard)
    assert recorder.types == heard


@pytest.mark.parametrize("pattern", ["", "Ready", "ready", "a.", ".a", "a.*.b", "a*", "**", "a.B", "a..b", "a.b\n"])
@anyio_test
async def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    async with EventBus() as bus:
        with pytest.raises(InvalidEvent, match="not an event name or pattern"):
            bus.subscribe(pattern, Recorder())
        assert not is_event_name(pattern)


@anyio_test
async def test_the_decorator_subscribes() -> None:
    heard: list[Event] = []
    async with EventBus() as bus:

        @bus.subscribe(EventType.CONNECTION_READY, connection_id="c")
        async def start(event: Event) -> None:
            heard.append(event)

        assert isinstance(start, Subscription)
        await bus.publish(EventType.CONNECTION_READY, connection_id="c")
        await bus.publish(EventType.CONNECTION_READY, connection_id="d")
        await bus.drain()
        start.cancel()
        await bus.publish(EventType.CONNECTION_READY, connection_id="c")
    assert [event.type for event in heard] == ["connection.ready"]


@anyio_test
async def test_a_subscription_of_a_connection_gets_only_its_events() -> None:
    heard = Recorder()
    async with EventBus() as bus:
        bus.subscribe("a.*", heard, connection_id="c")
        for connection_id in ("c", "d", None):
            await bus.publish("a.b", {"n": connection_id}, connection_id=connection_id)
        await bus.publish("b.b", {"n": "other type"}, connection_id="c")
    assert heard.numbers == ["c"]


@anyio_test
async def test_the_connection_may_be_named_by_the_payload() -> None:
    async with EventBus() as bus:
        by_class = await bus.publish("a.b", WebRTCEventData(connection_id="c"))
        by_mapping = await bus.publish("a.b", {"connection_id": "c"})
        by_field = await bus.publish("a.b", {"connection_id": "c"}, connection_id="d")
    assert [event.connection_id for event in (by_class, by_mapping, by_field)] == ["c", "c", "d"]


@pytest.mark.parametrize("timeout", [None, 60])
@pytest.mark.parametrize("inline", [True, False])
@anyio_test
async def test_a_cancelled_subscription_receives_nothing_more(timeout: float | None, inline: bool) -> None:
    heard, others = Recorder(), Recorder()
    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", heard, timeout=timeout, inline=inline)
        bus.subscribe("a.b", others)
        await fill(bus, "a.b", 1)
        await bus.drain()
        subscription.cancel()
        await fill(bus, "a.b", 5)
    assert len(heard.events) == 1
    assert len(others.events) == 6


@anyio_test
async def test_cancelling_discards_what_is_queued_and_lets_the_running_call_finish() -> None:
    gate, finished = Gate(), Recorder()

    async def handle(event: Event) -> None:
        await gate(event)
        await finished(event)

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", handle)
        await fill(bus, "a.b", 5)
        await settle()
        subscription.cancel()
        assert repr(subscription).endswith("to 'a.b', cancelled>")
        gate.open()
        await bus.drain()
        assert_at_rest(bus)
    assert finished.numbers == [0]


@pytest.mark.parametrize("inline", [True, False])
@anyio_test
async def test_a_handler_may_cancel_its_own_subscription(inline: bool) -> None:
    heard = Recorder()

    async def once(event: Event) -> None:
        subscription.cancel()
        await heard(event)

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", once, inline=inline)
        await fill(bus, "a.b", 5)
    assert heard.numbers == [0]


@anyio_test
async def test_a_handler_may_subscribe_and_the_new_one_hears_only_later_events() -> None:
    heard = Recorder()

    async with EventBus() as bus:

        async def add(event: Event) -> None:
            if event.field("n") == 0:
                bus.subscribe("a.b", heard, inline=True)

        bus.subscribe("a.b", add, inline=True)
        await fill(bus, "a.b", 3)
    assert heard.numbers == [1, 2]


@anyio_test
async def test_handlers_may_be_plain_functions_partials_methods_and_objects() -> None:
    heard: list[object] = []

    class Listener:
        async def method(self, event: Event) -> None:
            heard.append("method")

        def __call__(self, event: Event) -> None:
            heard.append("object")

    async def coroutine_function(tag: str, event: Event) -> None:
        heard.append(tag)

    async with EventBus() as bus:
        names = [
            bus.subscribe("a.b", handler, inline=True).name.rpartition(".")[2]
            for handler in (
                lambda _: heard.append("plain"),
                partial(coroutine_function, "partial"),
                lambda event: coroutine_function("returned coroutine", event),
                Listener().method,
                Listener(),
            )
        ]
        await bus.publish("a.b")
    assert heard == ["plain", "partial", "returned coroutine", "method", "object"]
    assert names == ["<lambda>", "coroutine_function", "<lambda>", "method", "Listener"]


@anyio_test
async def test_a_handlers_name_never_tells_its_arguments() -> None:
    def call_back(phone_number: str, event: Event) -> None: ...

    async with EventBus() as bus:
        subscription = bus.subscribe("a.b", partial(call_back, "+4930123456"))
        assert "+4930123456" not in subscription.name + repr(subscription)


@anyio_test
async def test_a_task_that_a_plain_handler_starts_is_not_waited_for() -> None:
    gate, heard = Gate(), Recorder()
    async with EventBus() as bus, anyio.create_task_group() as group:
        bus.subscribe("a.b", lambda event: group.start_soon(gate, event))
        bus.subscribe("a.b", heard)
        await fill(bus, "a.b", 3)
        await bus.drain()
        assert bus.stats().handled == 6
        gate.open()


@anyio_test
async def test_a_subscription_handles_one_event_at_a_time() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate)
        for n in range(3):
            await bus.publish("a.b", {"n": n}, connection_id=f"c{n}")
        await settle()
        assert gate.numbers == [0]
        gate.open()


@anyio_test
async def test_with_concurrency_any_free_worker_takes_any_connection_that_is_not_busy() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.b", gate, concurrency=8)
        for n in range(2):
            for connection in range(8):
                await bus.publish("a.b", {"n": (connection, n)}, connection_id=f"c{connection}")
        await settle()
        assert sorted(gate.numbers) == [(connection, 0) for connection in range(8)]
        gate.open()


@anyio_test
async def test_with_concurrency_a_slow_connection_holds_up_no_other() -> None:
    gate, heard = Gate(), Recorder()

    async def handle(event: Event) -> None:
        await (gate if event.connection_id == "slow" else heard)(event)

    async with EventBus() as bus:
        bus.subscribe("a.b", handle, concurrency=2)
        await fill(bus, "a.b", 3, "slow")
        for connection in range(100):
            await fill(bus, "a.b", 2, f"c{connection}")
        await settle()
        await settle()
        assert len(heard.events) == 200
        assert gate.numbers == [0]
        gate.open()
    assert gate.numbers == [0, 1, 2]


@pytest.mark.parametrize("inline", [True, False])
@anyio_test
async def test_a_timeout_cancels_the_handler_and_says_whose(inline: bool) -> None:
    failures, cancelled = Recorder(), Recorder()

    async def stuck(event: Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await settle()
                await cancelled(event)

    async with EventBus() as bus:
        bus.subscribe("handler.failed", failures)
        bus.subscribe("a.b", stuck, timeout=0.001, inline=inline)
        if inline:
            with pytest.raises(
                TimeoutError, match=r"stuck took longer than 0\.001 s to handle a\.b, and was cancelled"
            ):
                await bus.publish("a.b")
        else:
            await bus.publish("a.b")
            await bus.drain()
            assert isinstance(failures.events[0].error, TimeoutError)
    assert len(cancelled.events) == 1


@pytest.mark.parametrize("timeout", [0, -1])
@anyio_test
async def test_a_timeout_that_no_handler_can_keep_is_refused(timeout: float) -> None:
    async with EventBus() as bus:
        with pytest.raises(ValueError, match="timeout must be more than 0 seconds"):
            bus.subscribe("a.b", Recorder(), timeout=timeout)


@anyio_test
async def test_what_is_no_function_is_no_handler() -> None:
    async with EventBus() as bus:
        with pytest.raises(TypeError, match="a handler is a function of one event, not 5"):
            bus.subscribe("a.b", 5)  # type: ignore[call-overload]


@anyio_test
async def test_has_listener_knows_subscriptions_streams_and_waits() -> None:
    async with EventBus() as bus:
        assert not bus.has_listener("a.b", "c")
        bus.subscribe("b.*", Recorder())
        own = bus.subscribe("a.b", Recorder(), connection_id="c")
        assert bus.has_listener("b.b")
        assert bus.has_listener("a.b", "c")
        assert not bus.has_listener("a.b", "d")
        own.cancel()
        async with bus.stream("a.*"):
            assert bus.has_listener("a.b", "d")
        assert not bus.has_listener("a.b", "c")


@anyio_test
async def test_names_from_outside_do_not_fill_the_routes() -> None:
    async with EventBus() as bus:
        bus.subscribe("*", lambda _: None)
        for number in range(MAX_TYPES + 5):
            await bus.publish(f"a.b{number}")
        assert len(list(bus._fan_out.topics)) <= MAX_TYPES


@anyio_test
async def test_a_reactor_hears_each_event_before_publish_returns_and_until_it_is_detached() -> None:
    class Reactor:
        def __init__(self) -> None:
            self.received: list[str] = []
            self.carried_out: list[str] = []
            self.taken_over: list[str] = []

        def names(self, event_type: str) -> bool:
            return event_type == "a.b"

        def receive(self, event: Event) -> bool:
            self.received.append(event.type)
            return event.type != "a.quiet"

        async def carry_out(self, event: Event) -> None:
            if event.type == "a.slow":
                await anyio.sleep_forever()
            self.carried_out.append(event.type)

        def take_over(self, event: Event) -> None:
            self.taken_over.append(event.type)

    first, second = Reactor(), Reactor()
    async with EventBus() as bus:
        detach = bus.attach(first)
        bus.attach(second)
        assert bus.has_listener("a.b")
        await bus.publish("a.b")
        with anyio.move_on_after(0):
            await bus.publish("a.slow")
        await bus.publish("a.quiet")  # nothing follows from it
        detach()
        await bus.publish("a.b")
    assert (first.received, first.carried_out, first.taken_over) == (["a.b", "a.slow", "a.quiet"], ["a.b"], ["a.slow"])
    assert (second.received, second.carried_out, second.taken_over) == (
        ["a.b", "a.slow", "a.quiet", "a.b"],
        ["a.b"] * 2,
        ["a.slow"],
    )

"""OpenTelemetry: a trace goes the way of the event, and what the bus counts can be read."""

from __future__ import annotations

import gc
import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from bus import Event, EventBus
from bus.cloudevents import event_from_cloudevent, event_to_cloudevent
from bus.integrations import opentelemetry as integration
from bus.integrations.opentelemetry import Tracing, extract, inject, observe
from bus.middleware import Recovery, Retry
from statemachines import ConnectionLifecycle, parse_definition
from tests.bus_helpers import Fails, Gate, Recorder, fill, settle

pytestmark = pytest.mark.anyio


class Traces:
    """A tracer provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        [span] = [span for span in self.spans if span.name == name]
        return span

    def way_to(self, name: str) -> list[str]:
        """The names of a span's ancestors and its own, the root first."""
        by_id = {span.context.span_id: span for span in self.spans if span.context is not None}
        span: ReadableSpan | None = self.named(name)
        names: list[str] = []
        while span is not None:
            names.insert(0, span.name)
            span = None if span.parent is None else by_id[span.parent.span_id]
        return names


@pytest.fixture
def traces() -> Traces:
    return Traces()


@asynccontextmanager
async def traced_bus(traces: Traces) -> AsyncIterator[EventBus]:
    async with EventBus(middleware=[Recovery(), *Tracing(traces.provider)]) as bus:
        yield bus


class Current:
    """A handler that keeps the span it runs in; it may be called in a thread."""

    def __init__(self) -> None:
        self.spans: list[trace.Span] = []

    def __call__(self, given: object) -> None:
        self.spans.append(trace.get_current_span())


# -- whose child a span is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"inline": True}, {"thread": True}, {"concurrency": 3}, {"timeout": 30}])
async def test_a_handler_runs_in_a_span_below_that_of_its_publisher(traces: Traces, options: dict[str, object]) -> None:
    current = Current()
    async with traced_bus(traces) as bus:
        bus.subscribe("a.b", current, **options)  # type: ignore[call-overload]
        with traces.tracer.start_as_current_span("request"):
            await bus.publish("a.b")
        await bus.drain()
    assert traces.way_to("process a.b") == ["request", "publish a.b", "process a.b"]
    assert current.spans[0].get_span_context() == traces.named("process a.b").context


async def test_a_batch_is_handled_below_the_publishing_of_its_last_event_and_linked_to_all(traces: Traces) -> None:
    current = Current()
    async with traced_bus(traces) as bus:
        bus.subscribe_batch("a.*", current, max_size=2)
        for event_type in ("a.b", "a.c"):
            await bus.publish(event_type)
        await bus.drain()
    assert traces.way_to("process a.*") == ["publish a.c", "process a.*"]
    published = [traces.named(f"publish {event_type}").context for event_type in ("a.b", "a.c")]
    assert [link.context for link in traces.named("process a.*").links] == published
    assert (traces.named("process a.*").attributes or {})["messaging.batch.message_count"] == 2
    assert current.spans[0].get_span_context() == traces.named("process a.*").context


async def test_what_only_calls_itself_a_batch_is_an_event_like_any_other(traces: Traces) -> None:
    async with traced_bus(traces) as bus:
        bus.subscribe("event.batch", Current(), inline=True)
        event = await bus.publish("event.batch")
    span = traces.named("process event.batch")
    assert span.links == ()
    assert (span.attributes or {})["messaging.message.id"] == event.id


async def test_what_a_handler_publishes_is_below_its_own_span(traces: Traces) -> None:
    async with traced_bus(traces) as bus:

        @bus.subscribe("a.b")
        async def publish_again(event: Event) -> None:
            await bus.publish("c.d")

        bus.subscribe("c.d", Recorder())
        await bus.publish("a.b")
        await bus.drain()
    assert traces.way_to("process c.d") == ["publish a.b", "process a.b", "publish c.d", "process c.d"]


async def test_what_a_lifecycle_publishes_belongs_to_the_trace_of_its_cause(traces: Traces) -> None:
    definition = parse_definition(
        "name: lamp\nstates:\n  dark: {initial: true, transitions: [{event: lamp.switched, target: bright}]}\n"
        "  bright: {transitions: [{event: lamp.switched, target: dark}]}\n"
    )
    async with traced_bus(traces) as bus, ConnectionLifecycle(bus, definition) as lifecycle:
        bus.subscribe("connection.phase_changed", Recorder())
        await lifecycle.register_connection("c1")
        with traces.tracer.start_as_current_span("request"):
            await bus.publish("lamp.switched", connection_id="c1")
        await bus.drain()
    assert traces.way_to("process connection.phase_changed")[:2] == ["request", "publish lamp.switched"]


async def test_a_hook_runs_in_the_trace_of_the_event_that_led_to_it(traces: Traces) -> None:
    definition = parse_definition(
        "name: lamp\nstates:\n"
        "  dark: {initial: true, transitions: [{event: lamp.switched, target: bright}], enter: [{call: say}]}\n"
        "  bright: {transitions: [{event: lamp.switched, target: dark}], enter: [{call: say}]}\n"
    )
    current = Current()
    async with traced_bus(traces) as bus, ConnectionLifecycle(bus, definition) as lifecycle:
        lifecycle.hook("say", current)
        await lifecycle.register_connection("c1")
        await bus.drain()
        for number in range(2):
            with traces.tracer.start_as_current_span(f"request {number}"):
                await bus.publish("lamp.switched", connection_id="c1")
                await bus.drain()
    requests = [traces.named(f"request {number}").context for number in range(2)]
    found = [span.get_span_context().trace_id for span in current.spans[1:]]
    assert found == [request.trace_id for request in requests if request is not None]


async def test_publishers_at_the_same_time_are_not_mixed_up(traces: Traces) -> None:
    async def request(number: int) -> None:
        with traces.tracer.start_as_current_span(f"request {number}"):
            await bus.publish(f"a.b{number}")

    async with traced_bus(traces) as bus:
        bus.subscribe("*", Recorder())
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(request, number)
        await bus.drain()
    for number in range(5):
        assert traces.way_to(f"process a.b{number}")[0] == f"request {number}"


async def test_publishing_leaves_the_current_span_as_it_was(traces: Traces) -> None:
    async with traced_bus(traces) as bus:
        bus.subscribe("a.b", Recorder(), inline=True)
        await bus.publish("a.b")
        assert trace.get_current_span() is trace.INVALID_SPAN


# -- what a span says --------------------------------------------------------------------------------------------------


async def test_spans_keep_to_the_conventions_for_messaging(traces: Traces) -> None:
    async with traced_bus(traces) as bus:
        bus.subscribe("a.*", Recorder())
        event = await bus.publish("a.b", connection_id="c1")
        await bus.drain()
    both = {
        "messaging.system": "phasebus",
        "messaging.destination.name": "a.b",
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": "c1",
    }
    published, processed = traces.named("publish a.b"), traces.named("process a.b")
    assert (published.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert published.attributes == {
        **both,
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
    }
    assert processed.attributes == {
        **both,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.subscription.name": "a.*",
        "phasebus.handler": "Recorder",
    }


async def test_spans_carry_neither_payloads_nor_the_texts_of_errors(traces: Traces) -> None:
    def complain(event: Event) -> None:
        raise ValueError(f"cannot call {event.field('phone')}")

    async with traced_bus(traces) as bus:
        bus.subscribe("a.b", complain)
        await bus.publish("a.b", {"phone": "+12025550142"})
        await bus.drain()
    assert len(traces.spans) == 2
    assert "2025550142" not in json.dumps([span.to_json() for span in traces.spans])


async def test_an_event_that_nobody_hears_has_a_span(traces: Traces) -> None:
    async with traced_bus(traces) as bus:
        await bus.publish("a.b")
    assert [span.name for span in traces.spans] == ["publish a.b"]


async def test_news_of_the_bus_itself_is_only_received(traces: Traces) -> None:
    async with traced_bus(traces) as bus:
        bus.subscribe("a.b", Fails())
        bus.subscribe("handler.failed", Recorder())
        await bus.publish("a.b")
        await bus.drain()
    assert traces.way_to("process handler.failed")[0] == "publish a.b"
    assert "publish handler.failed" not in [span.name for span in traces.spans]


# -- failure -----------------------------------------------------------------------------------------------------------


def failure_of(span: ReadableSpan) -> object:
    """What class of error a span tells of; None if of none."""
    failed = span.status.status_code is StatusCode.ERROR
    error_type = (span.attributes or {}).get("error.type")
    assert failed == (error_type is not None)
    return error_type


async def test_an_error_is_told_by_its_class_and_is_not_the_publishers(traces: Traces) -> None:
    async with traced_bus(traces) as bus:
        bus.subscribe("a.b", Fails())
        await bus.publish("a.b")
        await bus.drain()
    assert failure_of(traces.named("process a.b")) == "ValueError"
    assert failure_of(traces.named("publish a.b")) is None


async def test_an_inline_error_that_reaches_the_publisher_is_told_of_in_both_spans(traces: Traces) -> None:
    async with EventBus(middleware=[*Tracing(traces.provider)]) as bus:
        bus.subscribe("a.b", Fails(), inline=True)
        with pytest.raises(ValueError, match="it broke"):
            await bus.publish("a.b")
    assert [failure_of(span) for span in traces.spans] == ["ValueError", "ValueError"]


async def test_an_error_that_recovery_dealt_with_further_in_is_still_one(traces: Traces) -> None:
    async with EventBus(middleware=[*Tracing(traces.provider), Recovery()]) as bus:
        bus.subscribe("a.b", Fails())
        await bus.publish("a.b")
        await bus.drain()
    assert failure_of(traces.named("process a.b")) == "_OTHER"


async def test_a_call_that_takes_too_long_failed(traces: Traces) -> None:
    async with traced_bus(traces) as bus:
        bus.subscribe("a.b", Gate(), timeout=0.001)
        await bus.publish("a.b")
        await bus.drain()
    assert failure_of(traces.named("process a.b")) == "TimeoutError"


async def test_each_try_has_a_span(traces: Traces) -> None:
    tries: list[Event] = []

    def fail_once(event: Event) -> None:
        tries.append(event)
        if len(tries) == 1:
            raise ConnectionError("not yet")

    async with traced_bus(traces) as bus:
        bus.subscribe("a.b", fail_once, retry=Retry(first_delay_s=0))
        await bus.publish("a.b")
        await bus.drain()
    tried = [span for span in traces.spans if span.name == "process a.b"]
    assert [failure_of(span) for span in tried] == ["ConnectionError", None]
    assert {span.parent.span_id for span in tried if span.parent} == {traces.named("publish a.b").context.span_id}


async def test_a_handler_that_is_cut_off_when_the_bus_closes_failed(traces: Traces) -> None:
    async with EventBus(middleware=[*Tracing(traces.provider)], close_timeout=0) as bus:
        bus.subscribe("a.b", Gate())
        await bus.publish("a.b")
        await settle()
    assert failure_of(traces.named("process a.b")) in ("CancelledError", "Cancelled")


# -- providers ---------------------------------------------------------------------------------------------------------


async def test_without_an_sdk_events_go_their_way() -> None:
    recorder = Recorder()
    async with EventBus(middleware=[*Tracing()]) as bus:
        bus.subscribe("a.b", recorder)
        await fill(bus, "a.b", 3)
        await bus.drain()
    assert recorder.numbers == [0, 1, 2]


async def test_what_is_not_sampled_is_not_recorded() -> None:
    traces, current = Traces(), Current()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    async with EventBus(middleware=[*Tracing(provider)]) as bus:
        bus.subscribe("a.b", current)
        await bus.publish("a.b")
        await bus.drain()
    assert not current.spans[0].is_recording()
    assert traces.spans == []


async def test_it_can_be_added_to_a_bus_that_runs(traces: Traces) -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder())
        for middleware in Tracing(traces.provider):
            bus.use(middleware)
        await bus.publish("a.b")
        await bus.drain()
    assert traces.way_to("process a.b") == ["publish a.b", "process a.b"]


# -- beyond the process ------------------------------------------------------------------------------------------------


async def test_a_trace_goes_on_in_another_process(traces: Traces) -> None:
    sent: list[dict[str, object]] = []
    async with traced_bus(traces) as here:
        here.subscribe("a.b", lambda event: sent.append(inject(event_to_cloudevent(event))))
        await here.publish("a.b", {"n": 1}, connection_id="c1")
        await here.drain()
    async with traced_bus(traces) as there:
        event = event_from_cloudevent(json.loads(json.dumps(sent[0])) | {"type": "c.d"})
        with extract(event):
            await there.publish_event(event)
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert traces.way_to("publish c.d") == ["publish a.b", "process a.b", "publish c.d"]


@pytest.mark.parametrize("data", [{}, {"cloudevent": {"traceparent": "00-nonsense"}}, {"cloudevent": 7}, b"bytes"])
async def test_an_event_that_names_no_span_changes_nothing(traces: Traces, data: object) -> None:
    with traces.tracer.start_as_current_span("request") as request, extract(Event("a.b", "c1", data)):
        assert trace.get_current_span() is request


def test_nothing_is_injected_where_no_span_is() -> None:
    assert inject({"type": "a.b"}) == {"type": "a.b"}


# -- metrics -----------------------------------------------------------------------------------------------------------


class Reading:
    """A meter provider, and what its instruments say when asked."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def __call__(self) -> dict[str, dict[tuple[object, ...], float]]:
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: {tuple((point.attributes or {}).values()): point.value for point in metric.data.data_points}  # type: ignore[union-attr]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def reading() -> Iterator[Reading]:
    reading = Reading()
    yield reading
    reading.provider.shutdown()


async def test_instruments_tell_what_the_bus_counts(reading: Reading) -> None:
    gate = Gate()
    async with EventBus() as bus:
        observe(bus, reading.provider)
        bus.subscribe("a.*", gate)
        bus.subscribe("a.b", Fails())
        await fill(bus, "a.b", 3)
        await bus.publish("nobody.listens")
        await settle()
        values = reading()
        gate.open()
    assert values["phasebus.event.published"] == {("a.b",): 3, ("nobody.listens",): 1, ("handler.failed",): 3}
    assert values["phasebus.event.queued"] == {("Gate", "a.*"): 2, ("Fails", "a.b"): 0}
    assert values["phasebus.call.in_flight"] == {("Gate", "a.*"): 1, ("Fails", "a.b"): 0}
    assert values["phasebus.call.failed"] == {("Gate", "a.*"): 0, ("Fails", "a.b"): 3}
    assert values["phasebus.delivery.time"]["Fails", "a.b"] > 0


async def test_each_reading_is_of_its_own_moment(reading: Reading) -> None:
    async with EventBus() as bus:
        observe(bus, reading.provider)
        for number in range(3):
            assert reading().get("phasebus.event.published", {}).get(("a.b",), 0) == number
            await bus.publish("a.b")


async def test_one_reading_of_all_instruments_looks_at_the_bus_once(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with EventBus() as bus:
        observe(bus, reading.provider)
        bus.subscribe("a.b", Recorder())
        looks = []
        stats = bus.stats
        monkeypatch.setattr(bus, "stats", lambda: looks.append(1) or stats())  # type: ignore[func-returns-value]
        assert len(reading()) == 10
        assert len(looks) == 1


async def test_an_old_look_is_given_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(integration, "monotonic", lambda: now[0])
    async with EventBus() as bus:
        looks = integration._Looks(bus)
        first = looks.take("event.queued")
        now[0] += integration.SNAPSHOT_S
        assert looks.take("call.failed") is first
        now[0] += 0.1
        assert looks.take("call.handled") is not first


async def test_two_buses_are_told_apart_by_prefix(reading: Reading) -> None:
    async with EventBus() as one, EventBus() as other:
        observe(one, reading.provider)
        observe(other, reading.provider, prefix="calls")
        await one.publish("a.b")
        await other.publish("c.d")
        values = reading()
    assert (values["phasebus.event.published"], values["calls.event.published"]) == ({("a.b",): 1}, {("c.d",): 1})


async def test_instruments_do_not_keep_a_bus_alive(reading: Reading) -> None:
    bus = EventBus()
    observe(bus, reading.provider)
    await bus.aclose()
    del bus
    gc.collect()
    assert reading() == {}


# -- the package -------------------------------------------------------------------------------------------------------


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "bus.integrations.opentelemetry")
    with pytest.raises(ImportError, match=r"pip install 'phasebus\[opentelemetry\]'"):
        importlib.import_module("bus.integrations.opentelemetry")

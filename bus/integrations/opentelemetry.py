"""Traces and metrics of a bus, for OpenTelemetry: ``pip install 'phasebus[opentelemetry]'``.

    from bus.integrations.opentelemetry import Tracing, observe

    async with EventBus(middleware=[*default_chain(), *Tracing()]) as bus:
        observe(bus)

A trace goes the way of the event: whatever span is current where an event is published, then ``publish a.b`` (a
producer), then below it ``process a.b`` of each handler (consumers), and below such a one what the handler publishes
and does, inline, queued or in a thread. This needs no header: a queued handler runs in a copy of its publisher's
context. The time between the two spans is the time that the event waited in the queue.

Every publishing has its span, heard or not, for an event that nobody hears may be just what one looks for; how many
are kept is for the sampler to say. News that the bus itself publishes (``handler.failed``) goes past the publishing
middleware and has consumers only. A span has the event's names and ids, never its payload; neither has it an error's
text or traceback, which may quote the payload, but its class.

What it costs: publishing an event and handling it (4 µs) takes three times as long without an SDK, five times with one
that samples nothing, and twenty times, 80 µs, when both spans are recorded. Nearly all of that is the SDK's. Metrics
cost an event nothing: they are read when asked for.

A batch is below the publishing of its last event, and has links to that of each.

Weak spots: streams and ``wait_for`` are read by tasks of your own, which no span follows. What a lifecycle's timers
publish begins a trace of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal
from weakref import ref

from attrs import define, field, frozen

from bus.batch import BatchBacklog
from bus.bus import EventBus
from bus.causality import handling
from bus.cloudevents import KEPT
from bus.event import Event, Events, events_of
from bus.integrations.by_handler import HandlerCounts, by_handler
from bus.middleware.base import Middleware, Next

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ImportError(
        "bus.integrations.opentelemetry needs the package opentelemetry-api: pip install 'phasebus[opentelemetry]'"
    ) from error

if TYPE_CHECKING:
    from bus.subscription import Subscription

_SCOPE = "phasebus"
_W3C = TraceContextTextMapPropagator()

# -- traces ------------------------------------------------------------------------------------------------------------


@frozen
class Tracing:
    """Two middlewares, around publishing and around delivery: ``EventBus(middleware=[*default_chain(), *Tracing()])``.

    Last in the chain, they see what validation has let through, and a handler's error before recovery has dealt with
    it. (Elsewhere they learn from the bus that it failed, but not of which class the error was.) With a subscription's
    ``retry`` each try has a span.

    :param tracer_provider: the process's own by default, set by then or later
    """

    tracer_provider: TracerProvider | None = None

    def __iter__(self) -> Iterator[Middleware]:
        tracer = trace.get_tracer(_SCOPE, tracer_provider=self.tracer_provider)
        return iter((PublishTracing(tracer), DeliveryTracing(tracer)))


@frozen
class PublishTracing:
    """A producer span around the publishing of each event."""

    tracer: Tracer
    kind: Literal["publish"] = field(default="publish", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain inside a span."""
        start_span = self.tracer.start_span

        async def trace_publishing(event: Event) -> None:
            about = _about(event, event.type)
            about["messaging.operation.name"] = "publish"
            about["messaging.operation.type"] = "send"
            span = start_span(f"publish {event.type}", kind=SpanKind.PRODUCER, attributes=about)
            token = context.attach(trace.set_span_in_context(span))
            try:
                await call_next(event)
            except BaseException as error:
                _fail(span, type(error).__qualname__)
                raise
            finally:
                context.detach(token)
                span.end()

        return trace_publishing


@frozen
class DeliveryTracing:
    """A consumer span around each call of a handler."""

    tracer: Tracer
    kind: Literal["delivery"] = field(default="delivery", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain inside a span."""
        assert subscription is not None
        start_span, handler, pattern = self.tracer.start_span, subscription.name, subscription.pattern

        async def trace_delivery(event: Event) -> None:
            is_batch = event.data.__class__ is Events
            destination = _destination_of(event, pattern) if is_batch else event.type
            about = _about(event, destination)
            about["messaging.operation.name"] = about["messaging.operation.type"] = "process"
            about["messaging.destination.subscription.name"] = pattern
            about["phasebus.handler"] = handler
            links = _links_of(subscription) if is_batch else []
            span = start_span(f"process {destination}", kind=SpanKind.CONSUMER, attributes=about, links=links)
            token = context.attach(trace.set_span_in_context(span))
            try:
                await call_next(event)
                call = handling.get()
                if call is not None and call.failed:
                    _fail(span, "_OTHER")  # recovery has dealt with the error before it came here
            except BaseException as error:
                _fail(span, type(error).__qualname__)
                raise
            finally:
                context.detach(token)
                span.end()

        return trace_delivery


def _destination_of(batch: Event, pattern: str) -> str:
    """The type of a batch's events, if they are all of one."""
    types = {event.type for event in events_of(batch)}
    return types.pop() if len(types) == 1 else pattern


def _links_of(subscription: Subscription) -> list[Link]:
    """Links to the publishing of each event of the batch that is handled now."""
    assert isinstance(subscription.backlog, BatchBacklog)
    # A copy, since one cannot enter a context twice, and this runs in that of the last.
    spans = (published_in.copy().run(trace.get_current_span) for published_in in subscription.backlog.contexts)
    return [Link(span.get_span_context()) for span in spans if span.get_span_context().is_valid]


def _about(event: Event, destination: str) -> dict[str, str | int]:
    """What both spans say of an event, by the semantic conventions for messaging."""
    about: dict[str, str | int] = {"messaging.system": "phasebus", "messaging.destination.name": destination}
    if event.data.__class__ is Events:
        about["messaging.batch.message_count"] = len(event.data)
    else:
        about["messaging.message.id"] = event.id
    if event.connection_id is not None:
        about["messaging.message.conversation_id"] = event.connection_id
    return about


def _fail(span: Span, error_type: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", error_type)


# -- traces beyond the process -----------------------------------------------------------------------------------------


def inject(cloudevent: Mapping[str, Any]) -> dict[str, Any]:
    """A CloudEvent that also names the current span, by its extension for distributed tracing (``traceparent``).

    >>> inject({"type": "call.started"})  # no span is current here
    {'type': 'call.started'}
    """
    names: dict[str, str] = {}
    _W3C.inject(names)
    return {**cloudevent, **names}


@contextmanager
def extract(event: Event) -> Iterator[None]:
    """A block in which the span that an event from outside names is the current one, so that its trace goes on.

    With an event that names none, nothing changes.

    >>> event = event_from_cloudevent(received)                             # doctest: +SKIP
    >>> with extract(event):                                                # doctest: +SKIP
    ...     await bus.publish_event(event)
    """
    named = event.field(KEPT)
    token = context.attach(_W3C.extract(named if isinstance(named, Mapping) else {}, context.get_current()))
    try:
        yield
    finally:
        context.detach(token)


# -- metrics -----------------------------------------------------------------------------------------------------------

SNAPSHOT_S = 1.0
"""Instruments that are read within so many seconds share one look at the bus, unless one of them is read again."""

Read = Callable[[HandlerCounts], float]

_SUMS: dict[str, tuple[str, str, Read]] = {
    "call.handled": ("{call}", "Calls of the handler that returned.", lambda counts: counts.handled),
    "call.failed": ("{call}", "Calls that raised or took too long, after the last try.", lambda counts: counts.failed),
    "call.retried": ("{call}", "Further tries of failed calls.", lambda counts: counts.retried),
    "call.slow": ("{call}", "Calls that took longer than slow_after.", lambda counts: counts.slow),
    "event.dropped": ("{event}", "Events that an overflow policy threw away.", lambda counts: counts.dropped),
    "event.overrun": ("{event}", "Events that went past the bound of a queue.", lambda counts: counts.overrun),
    "delivery.time": ("s", "From being queued until handled, of all calls together.", lambda c: c.latency_sum_s),
}
_LEVELS: dict[str, tuple[str, str, Read]] = {
    "subscription.active": ("{subscription}", "Subscriptions in force.", lambda counts: counts.subscriptions),
    "event.queued": ("{event}", "Events that wait in queues.", lambda counts: counts.queued),
    "call.in_flight": ("{call}", "Calls of the handler that have not returned.", lambda counts: counts.in_flight),
}


def observe(bus: EventBus, meter_provider: MeterProvider | None = None, *, prefix: str = "phasebus") -> None:
    """Export what the bus counts, by instruments that read it when they are asked: an event costs nothing more.

    ``phasebus.event.published`` is by type (``messaging.destination.name``). All others are by handler and pattern
    (``phasebus.handler``, ``messaging.destination.subscription.name``), subscriptions to single connections added up:
    counters ``phasebus.call.handled``, ``.failed``, ``.retried``, ``.slow``, ``phasebus.event.dropped``, ``.overrun``
    and ``phasebus.delivery.time`` (seconds; divided by the calls, the mean), up-and-down counters
    ``phasebus.event.queued``, ``phasebus.call.in_flight`` and ``phasebus.subscription.active``. OpenTelemetry has no
    histogram that is read when asked: take latencies from the traces, or from :mod:`bus.integrations.prometheus`.

    They end with the bus, which they do not keep alive.

    :param meter_provider: the process's own by default, set by then or later
    :param prefix: what the names begin with. Each bus of a process needs its own: of two instruments with one name
        the SDK reads the first, and does not say so
    """
    meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
    looks = _Looks(bus)

    def published(_: CallbackOptions) -> Iterator[Observation]:
        for event_type, count in looks.take("event.published").events_by_type.items():
            yield Observation(count, {"messaging.destination.name": str(event_type)})

    def reading(
        name: str, read: Callable[[HandlerCounts], float]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed(_: CallbackOptions) -> Iterator[Observation]:
            for (handler, pattern), counts in looks.take(name).handlers.items():
                labels = {"phasebus.handler": handler, "messaging.destination.subscription.name": pattern}
                yield Observation(read(counts), labels)

        return observed

    meter.create_observable_counter(
        f"{prefix}.event.published", [published], "{event}", "Events published, heard or not."
    )
    for name, (unit, meaning, read) in _SUMS.items():
        meter.create_observable_counter(f"{prefix}.{name}", [reading(name, read)], unit, meaning)
    for name, (unit, meaning, read) in _LEVELS.items():
        meter.create_observable_up_down_counter(f"{prefix}.{name}", [reading(name, read)], unit, meaning)


@define
class _Look:
    """The bus, as it stood at ``at`` (monotonic seconds), and which instruments have reported it."""

    at: float
    events_by_type: Mapping[str, int]
    handlers: Mapping[tuple[str, str], HandlerCounts]
    taken_by: set[str] = field(factory=set)


class _Looks:
    """One look at the bus for all instruments that are read together: it is the looking that costs.

    Two readers may share a look too; none of them is given what is older than :data:`SNAPSHOT_S`.
    """

    def __init__(self, bus: EventBus) -> None:
        self._bus = ref(bus)
        self._last = _Look(float("-inf"), {}, {})

    def take(self, instrument: str) -> _Look:
        """What an instrument is to report; nothing if there is no bus any more."""
        look, now = self._last, monotonic()
        if instrument in look.taken_by or now - look.at > SNAPSHOT_S:
            look = self._last = self._look(now)
        look.taken_by.add(instrument)
        return look

    def _look(self, now: float) -> _Look:
        bus = self._bus()
        if bus is None:
            return _Look(now, {}, {})
        statistics = bus.stats()
        return _Look(now, statistics.events_by_type, by_handler(statistics))

"""Prometheus: what the bus counts, in the text that is scraped."""

from __future__ import annotations

import importlib
import math
import sys

import pytest
from anyio import to_thread
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from bus import EventBus
from bus.integrations.prometheus import BusCollector, buckets_of
from bus.latency import BUCKETS
from bus.middleware import Retry
from tests.bus_helpers import Fails, Gate, Recorder, fill, settle

pytestmark = pytest.mark.anyio


def registry_of(bus: EventBus) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(BusCollector(bus))
    return registry


def scrape(bus: EventBus) -> str:
    return generate_latest(registry_of(bus)).decode()


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a name, by the values of their labels in alphabetical order of the labels."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_events_are_counted_by_type_heard_or_not() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder())
        await fill(bus, "a.b", 3)
        await bus.publish("nobody.listens")
        assert values(scrape(bus), "phasebus_events_total") == {("a.b",): 3, ("nobody.listens",): 1}


async def test_each_handler_has_its_counts() -> None:
    gate = Gate()
    async with EventBus() as bus:
        bus.subscribe("a.*", gate, queue_size=2, overflow="drop_newest")
        bus.subscribe("a.b", Fails(), retry=Retry(max_tries=2, first_delay_s=0))
        await bus.publish("a.b")
        await settle()
        await fill(bus, "a.b", 4)
        await settle()
        text = scrape(bus)
        gate.open()
    assert {
        name: (values(text, f"phasebus_{name}")["Gate", "a.*"], values(text, f"phasebus_{name}")["Fails", "a.b"])
        for name in (
            "subscriptions",
            "events_queued",
            "calls_in_flight",
            "calls_handled_total",
            "calls_failed_total",
            "calls_retried_total",
            "calls_slow_total",
            "events_dropped_total",
            "events_overrun_total",
        )
    } == {
        "subscriptions": (1, 1),
        "events_queued": (2, 0),
        "calls_in_flight": (1, 0),
        "calls_handled_total": (0, 0),
        "calls_failed_total": (0, 5),
        "calls_retried_total": (0, 5),
        "calls_slow_total": (0, 0),
        "events_dropped_total": (2, 0),
        "events_overrun_total": (0, 0),
    }


async def test_subscriptions_to_single_connections_are_added_up_and_never_named() -> None:
    recorder = Recorder()
    async with EventBus() as bus:
        for number in range(5):
            bus.subscribe("a.b", recorder, connection_id=f"conn_{number}")
            await bus.publish("a.b", connection_id=f"conn_{number}")
        await bus.drain()
        text = scrape(bus)
    assert values(text, "phasebus_subscriptions") == {("Recorder", "a.b"): 5}
    assert values(text, "phasebus_calls_handled_total") == {("Recorder", "a.b"): 5}
    assert values(text, "phasebus_delivery_duration_seconds_count") == {("Recorder", "a.b"): 5}
    assert "conn_" not in text


async def test_counters_never_fall_when_a_subscription_is_cancelled() -> None:
    recorder = Recorder()
    async with EventBus() as bus:
        subscriptions = [bus.subscribe("a.b", recorder, connection_id=f"c{number}") for number in range(3)]
        for number in range(3):
            await bus.publish("a.b", connection_id=f"c{number}")
        await bus.drain()
        subscriptions[0].cancel()
        text = scrape(bus)
    assert values(text, "phasebus_subscriptions") == {("Recorder", "a.b"): 2}
    assert values(text, "phasebus_calls_handled_total") == {("Recorder", "a.b"): 3}
    assert values(text, "phasebus_delivery_duration_seconds_count") == {("Recorder", "a.b"): 3}


async def test_the_histogram_is_cumulative_and_its_sum_exact() -> None:
    async with EventBus() as bus:
        for number in range(2):
            bus.subscribe("a.b", Recorder(), connection_id=f"c{number}")
            await fill(bus, "a.b", 10, f"c{number}")
        await bus.drain()
        text, statistics = scrape(bus), bus.stats()
    buckets = values(text, "phasebus_delivery_duration_seconds_bucket")
    counts = [count for (_, _, _), count in sorted(buckets.items(), key=lambda item: float(item[0][1]))]
    assert counts == sorted(counts)
    assert counts[-1] == 20
    [total] = values(text, "phasebus_delivery_duration_seconds_sum").values()
    assert total == sum(subscription.latency.sum_s for subscription in statistics.subscriptions)


@pytest.mark.parametrize("nanoseconds", [0, 1, 1023, 1025, 5_000, 2**20 + 1, 10**9, 2**34 - 1, 2**34 + 1, 10**15])
def test_a_duration_is_in_every_bucket_that_bounds_it(nanoseconds: int) -> None:
    counts = [0] * BUCKETS
    counts[nanoseconds.bit_length()] = 1
    for bound, count in buckets_of(counts):
        assert count == (nanoseconds / 1e9 <= float(bound))


def test_buckets_go_from_a_microsecond_to_above_a_quarter_of_a_minute() -> None:
    bounds = [float(bound) for bound, _ in buckets_of([0] * BUCKETS)]
    assert bounds[0] == pytest.approx(1e-6, rel=0.03)
    assert bounds[-2] > 15
    assert bounds[-1] == math.inf


async def test_a_scrape_from_another_thread_is_as_good() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder())
        await fill(bus, "a.b", 3)
        await bus.drain()
        text = await to_thread.run_sync(scrape, bus)
    assert values(text, "phasebus_calls_handled_total") == {("Recorder", "a.b"): 3}


async def test_openmetrics_parses_too() -> None:
    async with EventBus() as bus:
        bus.subscribe("a.b", Recorder())
        await fill(bus, "a.b", 3)
        text = openmetrics.generate_latest(registry_of(bus)).decode()  # type: ignore[no-untyped-call]
    families = openmetrics_families(text)  # type: ignore[no-untyped-call]
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}


async def test_buses_in_one_registry_need_names_of_their_own() -> None:
    async with EventBus() as one, EventBus() as other:
        registry = registry_of(one)
        with pytest.raises(ValueError, match="uplicate"):
            registry.register(BusCollector(other))
        registry.register(BusCollector(other, prefix="calls"))
        await other.publish("a.b")
        text = generate_latest(registry).decode()
    assert values(text, "calls_events_total") == {("a.b",): 1}
    assert values(text, "phasebus_events_total") == {}


async def test_a_closed_bus_can_still_be_read() -> None:
    async with EventBus() as bus:
        await bus.publish("a.b")
    assert values(scrape(bus), "phasebus_events_total") == {("a.b",): 1}


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    monkeypatch.delitem(sys.modules, "bus.integrations.prometheus")
    with pytest.raises(ImportError, match=r"pip install 'phasebus\[prometheus\]'"):
        importlib.import_module("bus.integrations.prometheus")

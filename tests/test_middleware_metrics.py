"""Metrics: what each handler did, by event type."""

from __future__ import annotations

import pytest

from bus import EventBus
from bus.middleware import Metrics, Recovery, metrics
from tests.bus_helpers import Fails, Recorder, fill

pytestmark = pytest.mark.anyio


async def test_calls_are_counted_and_timed_by_type_and_handler() -> None:
    measured = Metrics()
    async with EventBus(middleware=[Recovery(), measured]) as bus:
        bus.subscribe("*", Recorder())
        bus.subscribe("a.b", Fails())
        await fill(bus, "a.b", 3)
        await fill(bus, "c.d", 2)
    counts = {key: (series.handled, series.failed) for key, series in measured.series.items()}
    assert counts == {
        ("a.b", "Recorder"): (3, 0),
        ("a.b", "Fails"): (0, 3),
        ("c.d", "Recorder"): (2, 0),
        ("handler.failed", "Recorder"): (3, 0),
    }
    assert all(0 < series.longest_s <= series.seconds for series in measured.series.values())


async def test_names_from_outside_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_SERIES", 3)
    measured = Metrics()
    async with EventBus(middleware=[measured]) as bus:
        for _ in range(2):
            bus.subscribe("*", Recorder())
        for number in range(10):
            await bus.publish(f"a.b{number}")
    assert {key[0]: series.handled for key, series in measured.series.items()} == {
        "a.b0": 2,
        "a.b1": 2,
        "a.b2": 2,
        "*": 14,
    }

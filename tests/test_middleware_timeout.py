"""Timeout: a handler that takes too long is cancelled."""

from __future__ import annotations

import anyio
import pytest

from bus import EventBus
from bus.middleware import Timeout
from tests.bus_helpers import Gate, Recorder

pytestmark = pytest.mark.anyio


async def test_a_handler_that_takes_too_long_is_cancelled_and_fails() -> None:
    failures, gate = Recorder(), Gate()
    async with EventBus(middleware=[Timeout(0.001)]) as bus:
        bus.subscribe("a.b", gate)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
        await bus.drain()
        assert bus.stats().failed == 1
    assert failures.events[0].field("error") == (
        "TimeoutError: Gate took longer than 0.001 s to handle a.b, and was cancelled"
    )


async def test_the_worker_goes_on_after_a_timeout() -> None:
    heard = Recorder()

    async def stuck_once(event: object) -> None:
        if not heard.events:
            heard.events.append(event)  # type: ignore[arg-type]
            await anyio.sleep_forever()
        heard.events.append(event)  # type: ignore[arg-type]

    async with EventBus(middleware=[Timeout(0.001)]) as bus:
        bus.subscribe("a.b", stuck_once)
        for n in range(3):
            await bus.publish("a.b", {"n": n})
    assert heard.numbers == [0, 1, 2]


async def test_a_subscriptions_own_timeout_comes_first() -> None:
    failures = Recorder()
    async with EventBus(middleware=[Timeout(1000)]) as bus:
        bus.subscribe("a.b", Gate(), timeout=0.001)
        bus.subscribe("handler.failed", failures)
        await bus.publish("a.b")
    assert "longer than 0.001 s" in failures.events[0].field("error")


async def test_a_longer_timeout_of_a_subscription_is_kept() -> None:
    async with EventBus(middleware=[Timeout(0.000_001)]) as bus:
        subscription = bus.subscribe("a.b", lambda event: anyio.sleep(0.01), timeout=1000)
        await bus.publish("a.b")
        await bus.drain()
        assert subscription.handled == 1


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_that_no_handler_can_keep_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="limit_s"):
        Timeout(limit)

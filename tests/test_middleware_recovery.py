"""Recovery: what a handler raises becomes an event. (Both ways, with and without it: ``test_bus_failures.py``.)"""

from __future__ import annotations

import anyio
import pytest

from bus import Event, EventBus, delivery_middleware
from bus.middleware import Middleware, Recovery
from bus.middleware.base import Next
from tests.bus_helpers import Fails, Gate, Recorder

pytestmark = pytest.mark.anyio


async def test_what_is_outside_of_recovery_sees_no_error() -> None:
    errors: list[Exception] = []

    @delivery_middleware
    async def look(event: Event, call_next: Next) -> None:
        try:
            await call_next(event)
        except Exception as error:
            errors.append(error)
            raise

    chains: list[tuple[list[Middleware], int]] = [([look, Recovery()], 0), ([Recovery(), look], 1)]
    for chain, seen in chains:
        errors.clear()
        async with EventBus(middleware=chain) as bus:
            bus.subscribe("a.b", Fails(), inline=True)
            await bus.publish("a.b")
        assert len(errors) == seen


async def test_recovery_lets_a_cancellation_through() -> None:
    failures = Recorder()
    async with EventBus(middleware=[Recovery()]) as bus:
        bus.subscribe("a.b", Gate(), inline=True)
        bus.subscribe("handler.failed", failures)
        with anyio.move_on_after(0) as scope:
            await bus.publish("a.b")
        assert scope.cancelled_caught
    assert failures.events == []

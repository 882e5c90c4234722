"""Fixtures for tests of what uses a bus. Put ``pytest_plugins = ["bus.pytest_plugin"]`` into the root ``conftest.py``.

They run on asyncio and trio by anyio's own plugin: mark the tests with ``pytest.mark.anyio``.

    @pytest.mark.anyio
    async def test_an_accepted_call_is_greeted(event_bus, event_recorder):
        event_bus.subscribe("call.accepted", greet)
        await event_bus.publish("call.accepted", connection_id="c1")
        await settled(event_bus)
        assert event_recorder.published("call.greeted")
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bus.bus import EventBus
from bus.testing import FakeClock, Recorder


@pytest.fixture
def fake_clock() -> FakeClock:
    """The clock of ``event_bus``: it stands still until the test moves it."""
    return FakeClock()


@pytest.fixture
async def event_bus(anyio_backend: object, fake_clock: FakeClock) -> AsyncIterator[EventBus]:
    """A running bus without middleware. What is left undone when the test ends is cancelled."""
    async with EventBus(clock=fake_clock, close_timeout=0) as bus:
        yield bus


@pytest.fixture
async def event_recorder(event_bus: EventBus) -> Recorder:
    """Everything published on ``event_bus``."""
    return Recorder(event_bus)

"""The fixtures for tests of what uses a bus, as a project of somebody else's uses them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bus

ROOT = Path(bus.__file__).parent.parent

TESTS = """
import pytest
from bus.testing import settled

pytestmark = pytest.mark.anyio


async def test_an_accepted_call_is_greeted(event_bus, event_recorder):
    async def greet(event):
        await event_bus.publish("call.greeted")

    event_bus.subscribe("call.accepted", greet)
    await event_bus.publish("call.accepted", connection_id="c1")
    await settled(event_bus)
    assert event_recorder.published("call.greeted")


async def test_the_clock_is_that_of_the_bus(event_bus, event_recorder, fake_clock):
    async def slow(event):
        await event_bus.clock.sleep(60)

    event_bus.subscribe("call.accepted", slow, timeout=30)
    await event_bus.publish("call.accepted")
    await fake_clock.advance(30)
    assert event_recorder.published("handler.failed")


async def test_what_is_left_undone_is_cancelled(event_bus):
    async def hang(event):
        await event_bus.clock.sleep(1_000)

    event_bus.subscribe("call.accepted", hang)
    await event_bus.publish("call.accepted")


async def test_nothing_is_left_of_another_test(event_bus, event_recorder):
    assert event_recorder.events == []
    assert event_bus.stats().total_events == 0
"""


def test_the_fixtures_work_on_asyncio_and_trio(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["bus.pytest_plugin"]\n')
    (tmp_path / "test_calls.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # anyio's plugin runs each on asyncio, asyncio with uvloop where that is there, and trio
    assert "8 passed" in done.stdout

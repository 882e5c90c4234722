"""The fixtures that ``bus.pytest_plugin`` gives to the tests of others, tried out by running such tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CONFTEST = """
import pytest

pytest_plugins = ["bus.pytest_plugin"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
"""

TESTS = """
import anyio
import pytest

from bus import EventBus, Retry
from bus.testing import FakeClock, settled

buses = []


@pytest.mark.anyio
async def test_an_accepted_call_is_greeted(event_bus, event_recorder):
    async def greet(event):
        await event_bus.publish("call.greeted")

    event_bus.subscribe("call.accepted", greet)
    await event_bus.publish("call.accepted", connection_id="c1")
    await settled(event_bus)
    assert event_recorder.published("call.greeted")
    assert event_recorder.types == ["call.accepted", "call.greeted"]


@pytest.mark.anyio
async def test_the_bus_goes_by_the_fake_clock(event_bus, event_recorder, fake_clock):
    def fail(event):
        raise ValueError("it broke")

    event_bus.subscribe("call.ended", fail, retry=Retry(3, first_delay_s=3600, max_delay_s=3600, jitter=0))
    await event_bus.publish("call.ended")
    await fake_clock.advance(7199)
    assert not event_recorder.published("handler.failed")
    await fake_clock.advance(1)
    assert event_recorder.published("handler.failed")


@pytest.mark.anyio
@pytest.mark.parametrize("time", [1, 2])
async def test_each_test_has_a_bus_of_its_own(event_bus, event_recorder, fake_clock, time):
    assert event_bus not in buses
    buses.append(event_bus)
    assert event_recorder.events == []
    assert event_bus.stats().total_events == 0
    assert fake_clock.now() == 0
    await event_bus.publish("a.b")
    await fake_clock.advance(5)


@pytest.mark.anyio
async def test_what_is_left_undone_holds_up_nothing(event_bus, fake_clock):
    async def hang(event):
        await anyio.sleep_forever()

    async def sleep(event):
        await fake_clock.sleep(1)

    event_bus.subscribe("a.b", hang)
    event_bus.subscribe("a.b", sleep)
    event_bus.subscribe_batch("a.b", hang, max_wait=3600)
    for _ in range(3):
        await event_bus.publish("a.b")


def test_that_is_not_async_may_have_a_clock(fake_clock):
    assert isinstance(fake_clock, FakeClock)


def test_that_is_not_async_may_have_a_bus(event_bus):
    assert isinstance(event_bus, EventBus)
    assert event_bus.stats().total_events == 0


@pytest.mark.anyio
async def test_that_fails_shows_its_own_error(event_bus, event_recorder):
    await event_bus.publish("a.b")
    assert event_recorder.published("b.b"), event_recorder.types
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of such tests, with every warning an error."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_calls.py").write_text(TESTS)
    arguments = ["-m", "pytest", "-v", "-W", "error", "-p", "no:cacheprovider", "--strict-markers"]
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "150"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run.stdout + run.stderr


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "test",
    [
        "test_an_accepted_call_is_greeted[{}]",
        "test_the_bus_goes_by_the_fake_clock[{}]",
        "test_each_test_has_a_bus_of_its_own[{}-1]",
        "test_each_test_has_a_bus_of_its_own[{}-2]",
        "test_what_is_left_undone_holds_up_nothing[{}]",
        "test_that_is_not_async_may_have_a_bus[{}]",
    ],
)
def test_the_fixtures_serve(output: str, test: str, backend: str) -> None:
    assert re.search(rf"::{re.escape(test.format(backend))} PASSED", output), output


def test_the_clock_alone_needs_no_event_loop(output: str) -> None:
    assert "::test_that_is_not_async_may_have_a_clock PASSED" in output


def test_a_test_that_fails_fails_with_its_own_error_alone(output: str) -> None:
    assert "AssertionError: ['a.b']" in output
    assert "ExceptionGroup" not in output
    assert re.search(r"2 failed, 13 passed", output), output

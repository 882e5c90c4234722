"""Asynchronous tests run on asyncio and on trio; property tests as often as their profile says.

``HYPOTHESIS_PROFILE=soak`` looks at ten thousand examples of each property that does not name a number of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.cli_helpers import Command
    from tests.page_helpers import Pages

pytest.register_assert_rewrite("bus.transports.suite")

settings.register_profile("test", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("test"), max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def phasebus(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command, run inside the test."""
    from tests.cli_helpers import Command

    return Command(monkeypatch, capfd)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One headless Chromium for all tests of a module, since starting it takes a second.

    Not of a process: as long as it lives, its driver has an event loop running, in which no other can begin.
    """
    from tests.chromium import launched

    with launched() as browser:
        yield browser


@pytest.fixture
def pages(chromium: Browser, tmp_path: Path) -> Iterator[Pages]:
    """Opens pages; at the end, nothing went wrong in them, and nothing was asked of a network."""
    from tests.page_helpers import Pages

    opened = Pages(chromium, tmp_path)
    yield opened
    opened.close()
    assert opened.wrong == []

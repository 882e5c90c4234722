"""Asynchronous tests run on asyncio and on trio."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("bus.transports.suite")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)

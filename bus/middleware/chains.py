"""The two chains that ship, the first middleware outermost."""

from __future__ import annotations

from bus.middleware.base import Middleware
from bus.middleware.deduplication import Deduplication
from bus.middleware.logging import Logging
from bus.middleware.metrics import Metrics
from bus.middleware.rate_limit import RateLimit
from bus.middleware.recovery import Recovery
from bus.middleware.timeout import Timeout
from bus.middleware.validation import Validation


def default_chain() -> list[Middleware]:
    """Recovery, validation, logging, metrics, deduplication (5 s): for development and small services."""
    return [Recovery(), Validation(), Logging(), Metrics(), Deduplication(window_s=5.0)]


def production_chain() -> list[Middleware]:
    """Recovery, validation, timeout (30 s), rate limit (100/s a connection), deduplication (5 s), metrics, logging."""
    return [
        Recovery(),
        Validation(),
        Timeout(limit_s=30.0),
        RateLimit(rate_per_s=100.0, per="connection"),
        Deduplication(window_s=5.0),
        Metrics(),
        Logging(),
    ]

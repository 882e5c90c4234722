"""Middleware: around publishing (once an event) and around delivery (once a handler's call)."""

from bus.middleware.base import FunctionMiddleware, Middleware, Next, delivery_middleware, publish_middleware
from bus.middleware.chains import default_chain, production_chain
from bus.middleware.circuit_breaker import CircuitBreaker
from bus.middleware.deduplication import Deduplication
from bus.middleware.logging import Logging
from bus.middleware.metrics import Metrics
from bus.middleware.rate_limit import RateLimit
from bus.middleware.recovery import Recovery
from bus.middleware.retry import Retry
from bus.middleware.timeout import Timeout
from bus.middleware.validation import Validation

__all__ = [
    "CircuitBreaker",
    "Deduplication",
    "FunctionMiddleware",
    "Logging",
    "Metrics",
    "Middleware",
    "Next",
    "RateLimit",
    "Recovery",
    "Retry",
    "Timeout",
    "Validation",
    "default_chain",
    "delivery_middleware",
    "production_chain",
    "publish_middleware",
]

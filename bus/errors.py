"""The errors of the bus, and the base that all of phasebus shares. Time-outs are the built-in ``TimeoutError``."""

from __future__ import annotations


class PhasebusError(Exception):
    """Anything that phasebus raises on purpose; catch this to catch them all."""


class BusClosed(PhasebusError):
    """The bus is not running: it was closed, or never entered with ``async with``."""


class InvalidEvent(PhasebusError):
    """A publisher's event was refused; nobody has received it.

    ``event_type`` and ``field`` name what is wrong (``field`` is None when the event as a whole is).
    """

    def __init__(self, event_type: str, field: str | None, problem: str) -> None:
        where = f"{event_type}: {field}" if field else event_type
        super().__init__(f"invalid event {where}: {problem}")
        self.event_type = event_type
        self.field = field
        self.problem = problem


class QueueFull(PhasebusError):
    """A bounded queue has no room, and its overflow policy says that this is an error."""


class RateLimitExceeded(PhasebusError):
    """A publisher sent faster than the rate limit allows, and the limit's policy is ``error``."""


class CausalityLoop(PhasebusError):
    """A chain of events each caused by the one before grew too long: handlers or lifecycles feed each other."""


class CircuitOpen(PhasebusError):
    """A handler was not called, because it failed too often; see :class:`bus.middleware.CircuitBreaker`.

    ``retry_in_s`` are the seconds until it may be tried again, 0 while the call that tries it has not returned.
    """

    def __init__(self, handler: str, retry_in_s: float) -> None:
        when = f"it is tried again in {retry_in_s:.3g} s" if retry_in_s > 0 else "one call is trying it again"
        super().__init__(f"{handler} was not called, because it failed too often: {when}")
        self.handler = handler
        self.retry_in_s = retry_in_s

"""Counts and times of deliveries, by event type and handler, in plain slots. Delivery."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from bus.event import Event
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription

MAX_SERIES = 10_000
"""Names may come from outside: beyond so many pairs of type and handler, ``*`` counts the rest of the types."""


@define
class Series:
    """What one handler did with events of one type. ``seconds`` is the sum over all calls, failed ones included."""

    handled: int = 0
    failed: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0


@frozen
class Metrics:
    """Counts what each handler does; read :attr:`series`, by (event type, handler), whenever you like."""

    series: dict[tuple[str, str], Series] = field(factory=dict, init=False)
    kind: Literal["delivery"] = field(default="delivery", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain with a clock around it."""
        assert subscription is not None
        handler = subscription.name
        own: dict[str, Series] = {}

        async def measure(event: Event) -> None:
            series = own.get(event.type)
            if series is None:
                series = self._series(event.type, handler)
                if len(own) < MAX_SERIES:
                    own[event.type] = series
            started = perf_counter()
            try:
                await call_next(event)
            except BaseException:
                series.failed += 1
                raise
            else:
                series.handled += 1
            finally:
                seconds = perf_counter() - started
                series.seconds += seconds
                if seconds > series.longest_s:
                    series.longest_s = seconds

        return measure

    def _series(self, event_type: str, handler: str) -> Series:
        if (event_type, handler) not in self.series and len(self.series) >= MAX_SERIES:
            event_type = "*"
        return self.series.setdefault((event_type, handler), Series())

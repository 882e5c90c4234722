"""No more than so many events a second from one connection, tenant or bus: a token bucket. Publishing."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

import anyio
from attrs import define, field, frozen, validators

from bus.clock import Clock
from bus.errors import RateLimitExceeded
from bus.event import Event
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription

Per = Literal["connection", "tenant", "bus"]
Excess = Literal["delay", "drop", "error"]

_ONE = 1 - 1e-9
"""A token, but for the rounding of its parts: ten tenths of a second at one a second must be enough."""


@define
class _Bucket:
    tokens: float
    filled_at: float
    line: anyio.Lock = field(factory=anyio.Lock)

    def refill(self, now: float, rate: float, burst: float) -> None:
        self.tokens = min(burst, self.tokens + (now - self.filled_at) * rate)
        self.filled_at = now


@frozen
class RateLimit:
    """Lets through ``rate_per_s`` events a second and bursts of ``burst`` (default: one second's worth).

    :param per: what has a bucket of its own: each ``connection`` (default), each ``tenant``, or the ``bus``
    :param excess: what happens to an event too many: ``delay`` its publisher (default; order is kept), ``drop`` it
        (counted and reported as ``event.dropped``), or raise :class:`~bus.RateLimitExceeded` (``error``)

    A bucket that has filled up is forgotten; at most ``max_buckets`` are kept, those used last.
    """

    rate_per_s: float = field(default=100.0, validator=validators.gt(0))
    burst: float | None = None
    per: Per = "connection"
    excess: Excess = "delay"
    max_buckets: int = 100_000
    kind: Literal["publish"] = field(default="publish", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain behind the bucket."""
        buckets: OrderedDict[str | None, _Bucket] = OrderedDict()
        burst = max(1.0, self.burst if self.burst is not None else self.rate_per_s)

        async def limit(event: Event) -> None:
            now = bus.clock.now()
            bucket = self._bucket(buckets, event, now, burst)
            if bucket.tokens >= _ONE and not bucket.line.locked():
                bucket.tokens -= 1
            elif self.excess == "delay":
                # The line keeps the order of the delayed; what comes meanwhile stands behind them. It is left before
                # the event goes on, because a handler may publish for the same connection.
                async with bucket.line:
                    await self._wait_for_token(bucket, burst, bus.clock)
            elif self.excess == "drop":
                await bus.report_dropped(event, "rate limit", f"more than {self.rate_per_s:g} a second")
                return
            else:
                raise RateLimitExceeded(
                    f"{event.type}: more than {self.rate_per_s:g} events a second from this {self.per}"
                )
            await call_next(event)

        return limit

    def _bucket(self, buckets: OrderedDict[str | None, _Bucket], event: Event, now: float, burst: float) -> _Bucket:
        key = event.connection_id if self.per == "connection" else event.tenant_id if self.per == "tenant" else None
        bucket = buckets.pop(key, None)
        if bucket is None:
            self._forget_full(buckets, now, burst)
            bucket = _Bucket(burst, now)
        buckets[key] = bucket
        bucket.refill(now, self.rate_per_s, burst)
        return bucket

    def _forget_full(self, buckets: OrderedDict[str | None, _Bucket], now: float, burst: float) -> None:
        """Forget buckets from the one longest unused on, as long as they must have filled up since, or are too many."""
        while buckets:
            key = next(iter(buckets))
            bucket = buckets[key]
            full = now - bucket.filled_at >= burst / self.rate_per_s and not bucket.line.locked()
            if not full and len(buckets) < self.max_buckets:
                return
            del buckets[key]

    async def _wait_for_token(self, bucket: _Bucket, burst: float, clock: Clock) -> None:
        bucket.refill(clock.now(), self.rate_per_s, burst)
        while bucket.tokens < _ONE:
            await clock.sleep((1 - bucket.tokens) / self.rate_per_s)
            bucket.refill(clock.now(), self.rate_per_s, burst)
        bucket.tokens -= 1

"""One log record a delivery: what, for whom, by which handler, how long. No payloads unless asked for. Delivery."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from bus.event import Event
from bus.interchange import payload_to_plain
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription


@frozen
class Logging:
    """Logs each delivery to ``logger`` at ``level``, with the fields also in ``extra`` for structured logs.

    ``payloads=True`` adds what the event carries, which may be personal data such as phone numbers.
    """

    logger: logging.Logger = field(factory=lambda: logging.getLogger("phasebus.events"))
    level: int = logging.INFO
    payloads: bool = False
    kind: Literal["delivery"] = field(default="delivery", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain with a log record after it."""
        assert subscription is not None
        handler = subscription.name

        async def log(event: Event) -> None:
            started = perf_counter()
            outcome = "failed"
            try:
                await call_next(event)
                outcome = "handled"
            finally:
                self._record(event, handler, outcome, perf_counter() - started)

        logger, level = self.logger, self.level

        def log_if_wanted(event: Event) -> Coroutine[Any, Any, None]:
            return log(event) if logger.isEnabledFor(level) else call_next(event)

        return log_if_wanted

    def _record(self, event: Event, handler: str, outcome: str, seconds: float) -> None:
        extra = {
            "event_type": event.type,
            "event_id": event.id,
            "connection_id": event.connection_id,
            "handler": handler,
            "outcome": outcome,
            "duration_ms": round(seconds * 1000, 3),
        }
        if self.payloads:
            extra["payload"] = payload_to_plain(event.data)
        self.logger.log(
            self.level,
            "%s of %s %s by %s in %.3f ms" + (" %s" if self.payloads else ""),
            event.type,
            event.connection_id,
            outcome,
            handler,
            seconds * 1000,
            *([extra["payload"]] if self.payloads else []),
            extra=extra,
        )

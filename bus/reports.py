"""News of the bus itself: a handler failed or was slow, an event was dropped.

They go past the publishing middleware, never wait and never fail whoever they are about; a failing handler of such news
is only logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bus.causality import MAX_CAUSATION_DEPTH, as_handler_of
from bus.event import Event
from bus.names import EventType
from bus.payloads import HandlerFailure

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.fan_out import FanOut

logger = logging.getLogger("phasebus.bus")


class Reports:
    """Publishes and logs what the bus has to say about itself."""

    def __init__(self, bus: EventBus, fan_out: FanOut, stopped: Callable[[], bool]) -> None:
        self._bus = bus
        self._fan_out = fan_out
        self._stopped = stopped

    async def failure(self, handler: str, event: Event, error: BaseException, tries: int) -> None:
        """Publish ``handler.failed``."""
        logger.warning("%s failed on %s of %s: %s", handler, event.type, event.connection_id, type(error).__name__)
        failure = HandlerFailure(event, handler, f"{type(error).__name__}: {error}", tries)
        await self._publish(EventType.HANDLER_FAILED, event, failure, error)

    async def dropped(self, event: Event, by: str, reason: str) -> None:
        """Publish ``event.dropped``, unless the dropped event is one itself."""
        logger.warning("%s dropped %s of %s (%s)", by, event.type, event.connection_id, reason)
        news = {"type": event.type, "id": event.id, "by": by, "reason": reason}
        await self._publish(EventType.EVENT_DROPPED, event, news)

    def slow(self, handler: str, event: Event, seconds: float) -> None:
        """Warn of a handler that took long."""
        logger.warning("%s took %.3g s to handle %s of %s", handler, seconds, event.type, event.connection_id)

    def still_running(self, handler: str, event: Event, seconds: float) -> None:
        """Warn of a handler that has not returned yet."""
        logger.warning(
            "%s has been handling %s of %s for more than %.3g s", handler, event.type, event.connection_id, seconds
        )

    async def _publish(self, news: EventType, about: Event, data: Any, error: BaseException | None = None) -> None:
        if about.type == news or self._stopped() or about.causation_depth > MAX_CAUSATION_DEPTH:
            return
        try:
            with as_handler_of(self._bus, about):
                event = Event(
                    news,
                    about.connection_id,
                    data,
                    call_id=about.call_id,
                    tenant_id=about.tenant_id,
                    error=error,
                    causation_id=about.id,
                    causation_depth=about.causation_depth + 1,
                )
                if self._fan_out.has_listener(news, about.connection_id):
                    await self._fan_out.send_news(event)
                else:
                    self._fan_out.pass_unheard(news, about.connection_id, lambda: event)
        except Exception:
            logger.exception("could not publish %s", news)

"""A failing handler harms nobody: its error becomes ``handler.failed``. Delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from bus.causality import handling
from bus.event import Event
from bus.handlers import is_failure
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription


@frozen
class Recovery:
    """Turns what a handler raises into a ``handler.failed`` event with the original event and the error.

    A queued handler's error becomes that event with or without this; an inline handler's reaches the publisher without.
    Where failures are retried, that is after the last try, whether this stands inside or outside of the retrying.
    """

    kind: Literal["delivery"] = field(default="delivery", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain, from which no error comes out."""
        assert subscription is not None

        async def recover(event: Event) -> None:
            try:
                await call_next(event)
            except BaseException as error:
                call = handling.get()
                assert call is not None
                if not is_failure(error) or (call.attempt is not None and call.attempt.will_follow(error)):
                    raise
                call.failed = True
                await bus.report_failure(subscription.name, event, error, call.tries)

        return recover

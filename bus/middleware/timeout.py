"""A handler that takes too long is cancelled. Delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import field, frozen, validators

from bus.handlers import with_timeout
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription


@frozen
class Timeout:
    """Cancels a handler's call after ``limit_s`` seconds; it then failed with a ``TimeoutError``.

    A subscription with a ``timeout`` of its own keeps that one.
    """

    limit_s: float = field(default=30.0, validator=validators.gt(0))
    kind: Literal["delivery"] = field(default="delivery", init=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain with the time limit around it."""
        assert subscription is not None
        if subscription.options.timeout is not None:
            return call_next
        return with_timeout(call_next, self.limit_s, subscription.name, bus.clock)

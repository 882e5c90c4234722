"""A chain of middleware around a last step, built once and able to grow."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from bus.event import Event

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.middleware.base import Middleware
    from bus.subscription import Subscription

Step = Callable[[Event], Coroutine[Any, Any, None]]


class Chain:
    """Middleware around a last step. It can grow at its inner end; what is there stays, and so keeps what it remembers.

    :ivar call: the whole, from the outermost inwards
    """

    __slots__ = ("_end", "call")

    def __init__(self, last: Step, around: Sequence[Middleware], bus: EventBus, subscription: Subscription | None):
        self._end = _End(last)
        self.call: Step = last
        self.extend(around, bus, subscription)

    def extend(self, around: Sequence[Middleware], bus: EventBus, subscription: Subscription | None) -> None:
        """Put these inside those there are, the first outermost."""
        if not around:
            return
        end = _End(self._end.next)
        call: Step = end
        for middleware in reversed(around):
            call = middleware.wrap(call, bus, subscription)
        if self.call is self._end.next:
            self.call = call
        self._end.next = call
        self._end = end


class _End:
    """The inner end of a chain: passes on to the last step, until a middleware comes between."""

    __slots__ = ("next",)

    def __init__(self, step: Step) -> None:
        self.next = step

    def __call__(self, event: Event) -> Coroutine[Any, Any, None]:
        return self.next(event)

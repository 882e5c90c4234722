"""A handler that fails is called again, later and later. Delivery.

Most subscribers want it for themselves: ``bus.subscribe(pattern, handler, retry=Retry(max_tries=5))``. Then each try
goes through the bus's delivery middleware anew: a time-out limits one try, metrics and logging see each.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen, validators

from bus.causality import handling
from bus.event import Event
from bus.handlers import is_failure
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription


@frozen
class Retry:
    """Calls a failed handler again, ``max_tries`` times in all; then the failure is what it would have been at once.

    The wait before a further try is ``first_delay_s``, multiplied by ``factor`` each time, ``max_delay_s`` at most, and
    up to ``jitter`` (a part of 1) longer or shorter, so that what failed together does not return together. Only errors
    of the classes in ``retry_on`` are worth another try.

    While it waits, later events of the same connection wait behind it: order is kept. Those of other connections too,
    unless the subscription has ``concurrency`` to spare.
    """

    max_tries: int = field(default=5, validator=validators.ge(1))
    first_delay_s: float = field(default=0.1, validator=validators.ge(0))
    factor: float = field(default=2.0, validator=validators.ge(1))
    max_delay_s: float = field(default=30.0, validator=validators.ge(0))
    jitter: float = field(default=0.1, validator=[validators.ge(0), validators.le(1)])
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    random: Callable[[], float] = field(default=random.random, repr=False)
    """A number from 0 to 1, for the jitter."""
    kind: Literal["delivery"] = field(default="delivery", init=False, repr=False)

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures, 1 or more."""
        try:
            plain = min(self.max_delay_s, self.first_delay_s * self.factor ** (failures - 1))
        except OverflowError:
            plain = self.max_delay_s if self.first_delay_s else 0.0
        return plain * (1 + self.jitter * (2 * self.random() - 1)) if self.jitter else plain

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain, tried again."""
        assert subscription is not None

        async def try_again(event: Event) -> None:
            call = handling.get()
            assert call is not None
            around = call.attempt
            attempt = call.attempt = Attempt(self, around)
            try:
                while True:
                    try:
                        await call_next(event)
                    except BaseException as error:
                        if not is_failure(error) or not attempt.has_another(error):
                            raise
                    else:
                        if not call.failed:
                            call.attempt = around
                        return
                    await bus.clock.sleep(self.delay_s(attempt.number))
                    attempt.number += 1
                    attempt.calls += 1
                    subscription.retried += 1
            finally:
                attempt.over = True
                if around is not None:
                    around.calls += attempt.calls - 1
                    call.attempt = around

        return try_again


class Attempt:
    """Which try of an event this is.

    :ivar number: 1 for the first
    :ivar over: the handler is not called again: it succeeded, failed for good, or was cancelled by something outside
    :ivar calls: how often the handler has been called since the first; more than that, if one inside tries again, too
    """

    __slots__ = ("_around", "_policy", "calls", "number", "over")

    def __init__(self, policy: Retry, around: Attempt | None) -> None:
        self._policy = policy
        self._around = around
        self.number = self.calls = 1
        self.over = False

    @property
    def calls_in_all(self) -> int:
        """How often the handler has been called with the event, at earlier tries of those around this too."""
        return self.calls if self._around is None else self.calls + self._around.calls_in_all - 1

    def has_another(self, error: BaseException) -> bool:
        """Whether the handler is called again after this error."""
        return not self.over and self.number < self._policy.max_tries and isinstance(error, self._policy.retry_on)

    def will_follow(self, error: BaseException) -> bool:
        """The same, by this retry or by one around it: who deals with failures for good (recovery) waits until not."""
        return self.has_another(error) or (self._around is not None and self._around.will_follow(error))

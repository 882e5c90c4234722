"""A handler that fails again and again is left alone for a while. Delivery.

Each subscription has a circuit of its own. In a state, a result or the coming of a call leads to the next state; what
the table does not name changes nothing:

    state       a call                   what happens                          next state
    closed      is made                  it fails, the last of max_failures    open
    open        fails with CircuitOpen   a call comes after reset_after_s      half-open, for that call: the trial
    half-open   fails with CircuitOpen   the trial succeeds                    closed
                                         the trial fails                       open, for reset_after_s
                                         the trial ends without a result       open, with the next call as the trial

A call has no result if it was cancelled, or raised what is not in ``count``. So half-open always means that a trial is
running, and whatever ends it ends the state. A call that began before the last change of state says nothing about now:
its result is not looked at. Weak spot: a trial that never returns leaves the circuit half-open, so give the handler a
time-out.

Where it stands in the chain:

- Outside of a ``Timeout``: a call that a time-out outside of this cancels has no result here. The ``timeout`` of a
  subscription is always inside, and counts.
- Inside or outside of ``Recovery``: a failure counts that recovery has dealt with. But an inline handler's CircuitOpen
  reaches the publisher unless recovery is outside.
- Inside of ``Retry`` (as with ``subscribe(retry=...)``), each try is a call, and one that the circuit refuses is a
  failed try. Outside, all tries are one call, which fails when the last has failed.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen, validators

from bus.causality import handling
from bus.errors import CircuitOpen
from bus.event import Event
from bus.handlers import is_failure
from bus.middleware.base import Next

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription

logger = logging.getLogger("phasebus.circuit_breaker")


class State(Enum):
    """What a circuit does with a call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Signal(Enum):
    """What changes the state of a circuit; the words are for the log."""

    FAILED_TOO_OFTEN = "it failed too often"
    TIME_IS_OVER = "one call is to try it"
    TRIAL_SUCCEEDED = "the call that tried it succeeded"
    TRIAL_FAILED = "the call that tried it failed"
    TRIAL_WITHOUT_RESULT = "the call that tried it had no result"


TRANSITIONS: dict[State, dict[Signal, State]] = {
    State.CLOSED: {Signal.FAILED_TOO_OFTEN: State.OPEN},
    State.OPEN: {Signal.TIME_IS_OVER: State.HALF_OPEN},
    State.HALF_OPEN: {
        Signal.TRIAL_SUCCEEDED: State.CLOSED,
        Signal.TRIAL_FAILED: State.OPEN,
        Signal.TRIAL_WITHOUT_RESULT: State.OPEN,
    },
}

Result = Literal["succeeded", "failed", "none"]
_END_OF_TRIAL: dict[Result, Signal] = {
    "succeeded": Signal.TRIAL_SUCCEEDED,
    "failed": Signal.TRIAL_FAILED,
    "none": Signal.TRIAL_WITHOUT_RESULT,
}


@frozen
class CircuitBreaker:
    """After ``max_failures`` failures of a handler in a row, its calls fail at once with :class:`~bus.CircuitOpen`.

    After ``reset_after_s`` seconds one call is let through to try it; meanwhile the others still fail at once. If it
    succeeds, all is as before; if it fails, the circuit stays open for another ``reset_after_s``. A call that is not
    made is a failed one like any other: ``handler.failed`` is published for its event. Each change is logged.

    :param count: only errors of these classes count; any other says neither that the handler works nor that it does
        not. A failure that a ``Recovery`` inside of this has dealt with counts, whatever it was
    """

    max_failures: int = field(default=5, validator=validators.ge(1))
    reset_after_s: float = field(default=30.0, validator=validators.gt(0))
    count: tuple[type[BaseException], ...] = (BaseException,)
    kind: Literal["delivery"] = field(default="delivery", init=False, repr=False)

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain behind a circuit of its own."""
        assert subscription is not None
        circuit = _Circuit(self, bus, subscription.name)

        async def guard(event: Event) -> None:
            period = circuit.admit()
            call = handling.get()
            assert call is not None
            result: Result = "none"
            try:
                await call_next(event)
                result = "failed" if call.failed else "succeeded"
            except BaseException as error:
                if is_failure(error) and isinstance(error, self.count):
                    result = "failed"
                raise
            finally:
                circuit.record(result, period)

        return guard


class _Circuit:
    """The state for one subscription.

    :ivar period: grows with each change of state, so that the calls begun before are known
    """

    __slots__ = ("_clock", "_failures", "_handler", "_policy", "_reset_at", "period", "state")

    def __init__(self, policy: CircuitBreaker, bus: EventBus, handler: str) -> None:
        self._policy = policy
        self._clock = bus.clock
        self._handler = handler
        self._failures = 0
        self._reset_at = 0.0
        self.state = State.CLOSED
        self.period = 0

    def admit(self) -> int:
        """Let a call begin; returns the period that it belongs to.

        :raises CircuitOpen: it must not
        """
        if self.state is not State.CLOSED:
            left_s = self._reset_at - self._clock.now()
            if self.state is State.HALF_OPEN or left_s > 0:
                raise CircuitOpen(self._handler, max(0.0, left_s))
            self._change(Signal.TIME_IS_OVER)
        return self.period

    def record(self, result: Result, period: int) -> None:
        """A call of this period has ended."""
        if period != self.period:
            return
        if self.state is State.HALF_OPEN:
            self._change(_END_OF_TRIAL[result])
        elif result == "succeeded":
            self._failures = 0
        elif result == "failed":
            self._failures += 1
            if self._failures >= self._policy.max_failures:
                self._change(Signal.FAILED_TOO_OFTEN)

    def _change(self, signal: Signal) -> None:
        self.state = TRANSITIONS[self.state][signal]
        self.period += 1
        if signal is Signal.TRIAL_SUCCEEDED:
            self._failures = 0
        elif signal in (Signal.FAILED_TOO_OFTEN, Signal.TRIAL_FAILED):
            self._reset_at = self._clock.now() + self._policy.reset_after_s
        level = logging.WARNING if self.state is State.OPEN else logging.INFO
        logger.log(level, "the circuit of %s is %s: %s", self._handler, self.state.value, signal.value)

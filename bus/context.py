"""Running coroutines each in a context of its own, inside one task.

A handler sees the context variables that its publisher had set (a request id, a trace), though it runs in a worker that
was started long before, and what it sets itself stays with it. A task per event would do that too, for twenty times the
cost; so would sending to each coroutine by hand, for three times.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, Final, Protocol

from bus.causality import Handling, handling

DONE: Final = object()
"""What :attr:`Runner.send` returns when the coroutine has ended rather than wait for something."""


class Called(Protocol):
    """Whatever has the function to run: it is looked up anew each time, since middleware may be added."""

    call: Callable[[Any], Coroutine[Any, Any, Any]]


class Runner:
    """Runs ``target.call`` for one argument after the other.

    ``context.run(runner.send, argument)`` runs it until it waits for the first time, and returns what for, or ``DONE``.
    ``await runner.rest(context, trap)`` runs the rest. Then ``error`` is what it raised, if it did; whoever looks takes
    it away.
    """

    __slots__ = ("_closing", "_generator", "_target", "error", "send")

    def __init__(self, target: Called) -> None:
        self.error: BaseException | None = None
        self._target = target
        self._closing = False
        self._generator: Any = self._run()
        self._generator.send(None)
        self.send = self._generator.send

    @coroutine
    def rest(self, context: Context, trap: Any) -> Generator[Any, Any, None]:
        """Run on in ``context``; ``trap`` is what the coroutine waits for.

        Each wait is handed to the event loop as it is, and what the loop answers (a cancellation included) is handed
        back: so this is the same on asyncio and on trio.
        """
        while trap is not DONE:
            step: Any = self.send
            answer: Any = None
            try:
                answer = yield trap
            except GeneratorExit:
                self._closing = True
                context.run(self._generator.close)
                raise
            except BaseException as error:
                step, answer = self._generator.throw, error
            trap = context.run(step, answer)

    @coroutine
    def _run(self) -> Generator[Any, Any, None]:
        target = self._target
        while True:
            argument = yield DONE
            try:
                yield from target.call(argument)
            except BaseException as error:
                if self._closing:
                    raise
                self.error = error


class HandlerRunner(Runner):
    """The same for handlers: it is sent a :class:`Handling`, which code in ``context`` then sees itself in."""

    __slots__ = ()

    @coroutine
    def _run(self) -> Generator[Any, Any, None]:
        target, enter = self._target, handling.set
        while True:
            call: Handling = yield DONE
            enter(call)
            try:
                yield from target.call(call.event)
            except BaseException as error:
                if self._closing:
                    raise
                self.error = error


@coroutine
def in_context(context: Context, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, None]:
    """Run one coroutine in ``context``; a :class:`Runner` is for those that come all the time."""
    step: Any = work.send
    answer: Any = None
    while True:
        try:
            trap = context.run(step, answer)
        except StopIteration:
            return
        try:
            answer = yield trap
            step = work.send
        except GeneratorExit:
            context.run(work.close)
            raise
        except BaseException as error:
            step, answer = work.throw, error

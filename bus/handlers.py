"""What subscribers give, made callable in one way: plain, async, in a thread, with a limit."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

import anyio
from anyio import to_thread

from bus.clock import Clock
from bus.event import Event
from bus.names import matches
from bus.options import Options
from bus.payloads import HandlerFailure

Handler = Callable[[Event], Any]
"""What a subscriber gives: a function of one event, ``async`` or plain."""
FailureHandler = Callable[[HandlerFailure], Any]
"""A function of what another handler failed on, ``async`` or plain."""
AsyncHandler = Callable[[Event], Coroutine[Any, Any, None]]


def callable_of(handler: Handler, options: Options, clock: Clock, name: str) -> AsyncHandler:
    """The handler as a coroutine function that keeps to the options.

    :raises TypeError: an async handler asks for a thread
    """
    call = in_thread(handler, options.concurrency) if options.thread else as_async(handler)
    return call if options.timeout is None else with_timeout(call, options.timeout, name, clock)


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling the handler gives a coroutine."""
    return iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004


def as_async(handler: Handler) -> AsyncHandler:
    """``handler`` as an async function; a plain function is called where it stands.

    A coroutine that a plain function returns is awaited, a task that it started is not: the handler has returned.
    """
    if is_async(handler):
        return handler

    async def call(event: Event) -> None:
        result = handler(event)
        if isinstance(result, Coroutine):
            await result

    return call


def of_failures(handler: FailureHandler, pattern: str) -> Handler:
    """A handler of ``handler.failed`` that calls ``handler`` with the failure, if it is on an event of ``pattern``."""
    if not callable(handler):
        raise TypeError(f"a handler of dead letters is a function of a HandlerFailure, not {handler!r}")

    def means(data: Any) -> bool:
        return isinstance(data, HandlerFailure) and matches(pattern, data.event.type)

    hear: Handler
    if is_async(handler):

        async def hear(event: Event) -> None:
            if means(event.data):
                await handler(event.data)
    else:

        def hear(event: Event) -> Any:
            return handler(event.data) if means(event.data) else None

    hear.__qualname__ = name_of(handler)
    return hear


def in_thread(handler: Handler, threads: int) -> AsyncHandler:
    """``handler``, called in a worker thread, ``threads`` at most at once.

    A thread cannot be stopped from outside: a time-out or cancellation waits for it to return. A long one asks now and
    then with :func:`anyio.from_thread.check_cancelled`, which raises when it is no longer wanted.
    """
    if is_async(handler):
        raise TypeError(f"{name_of(handler)} is async: thread=True is for plain functions that block")
    limiter: anyio.CapacityLimiter | None = None

    def blocking(event: Event) -> None:
        result = handler(event)
        if isinstance(result, Coroutine):
            result.close()
            raise TypeError(f"{name_of(handler)} returned a coroutine: thread=True is for plain functions that block")

    async def call(event: Event) -> None:
        nonlocal limiter
        if limiter is None:
            limiter = anyio.CapacityLimiter(threads)
        await to_thread.run_sync(blocking, event, limiter=limiter)

    return call


def with_timeout(call: AsyncHandler, timeout_s: float, name: str, clock: Clock) -> AsyncHandler:
    """``call``, cancelled after ``timeout_s`` seconds; then a ``TimeoutError`` that names the handler."""

    async def limited(event: Event) -> None:
        with clock.move_on_after(timeout_s) as scope:
            await call(event)
        if scope.cancelled_caught:
            raise TimeoutError(f"{name} took longer than {timeout_s:g} s to handle {event.type}, and was cancelled")

    return limited


def is_failure(error: BaseException) -> bool:
    """Whether a handler failed with this, rather than being cancelled itself or interrupted.

    On asyncio, awaiting a task or future that was cancelled raises what looks like a cancellation of one's own.
    """
    if isinstance(error, Exception):
        return True
    import asyncio

    if not isinstance(error, asyncio.CancelledError):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:  # on trio it cancels nobody
        return True
    cancelled = task is not None and task.cancelling() > 0
    return not cancelled and anyio.current_effective_deadline() != float("-inf")


def name_of(handler: Callable[..., Any]) -> str:
    """What a handler is called in logs and events. Never its arguments, which may be anybody's phone number."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__qualname__", None) or type(handler).__qualname__

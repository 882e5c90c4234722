"""What a middleware is: code around publishing (once an event) or around delivery (once a handler's call).

One's own is a plain async function with a decorator that says which of the two it means:

    @delivery_middleware
    async def timed(event, call_next):
        started = time.perf_counter()
        await call_next(event)
        print(event.type, time.perf_counter() - started)

    bus.use(timed)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import frozen

from bus.event import Event

if TYPE_CHECKING:
    from bus.bus import EventBus
    from bus.subscription import Subscription

Next = Callable[[Event], Coroutine[Any, Any, None]]
"""The rest of the chain, down to the fan-out or to the handler."""
Kind = Literal["publish", "delivery"]
MiddlewareFunction = Callable[[Event, Next], Awaitable[None]]


@runtime_checkable
class Middleware(Protocol):
    """Wraps the rest of the chain, once: for ``publish`` when it is used, for ``delivery`` per subscription."""

    @property
    def kind(self) -> Kind:
        """Where it acts."""

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain with this around it. ``subscription`` is None for ``publish``."""


@frozen
class FunctionMiddleware:
    """A plain async function of the event and the rest of the chain."""

    function: MiddlewareFunction
    kind: Kind = "delivery"

    def wrap(self, call_next: Next, bus: EventBus, subscription: Subscription | None) -> Next:
        """The chain with the function around it."""
        function = self.function

        async def around(event: Event) -> None:
            await function(event, call_next)

        return around


def publish_middleware(function: MiddlewareFunction) -> FunctionMiddleware:
    """Make a function run once an event, before it fans out. Not calling ``call_next`` drops the event."""
    return FunctionMiddleware(function, "publish")


def delivery_middleware(function: MiddlewareFunction) -> FunctionMiddleware:
    """Make a function run around each call of a handler."""
    return FunctionMiddleware(function, "delivery")


def as_middleware(given: Middleware | MiddlewareFunction) -> Middleware:
    """A middleware as it is; an undecorated function is one around delivery."""
    if isinstance(given, Middleware):
        return given
    if callable(given):
        return FunctionMiddleware(given, getattr(given, "kind", "delivery"))
    raise TypeError(f"a middleware is an async function of (event, call_next) or has kind and wrap, not {given!r}")


def middleware_name(middleware: Middleware) -> str:
    """What a middleware is called in descriptions: its class, or its function."""
    if isinstance(middleware, FunctionMiddleware):
        return getattr(middleware.function, "__qualname__", type(middleware.function).__qualname__)
    return type(middleware).__qualname__

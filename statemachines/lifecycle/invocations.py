"""What runs while a state is active: the coroutines that ``invoke`` names.

An invocation is noted in the step that enters its state and begins when the step's other effects are done. Leaving the
state cancels it at once, begun or not; one that was cancelled publishes nothing, whatever it had come to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any

import anyio

from bus.bus import EventBus
from bus.causality import as_handler_of
from bus.event import Event
from bus.handlers import is_failure
from bus.workers import Workers
from statemachines.table.layout import InvokeSpec
from statemachines.table.step import Step

logger = logging.getLogger("phasebus.lifecycle")

Hook = Callable[[Event], Any]


class Invocation:
    """One run of one ``invoke`` for one connection."""

    __slots__ = ("event", "scope", "spec", "step")

    def __init__(self, spec: InvokeSpec, step: Step, event: Event) -> None:
        self.spec = spec
        self.step = step
        self.event = event
        self.scope: anyio.CancelScope | None = None
        """What it runs in, once it has begun."""


class Invocations:
    """All invocations of one lifecycle, by connection and what is invoked."""

    def __init__(self, bus: EventBus, lifecycle: str, hooks: Mapping[str, Hook]) -> None:
        self._bus = bus
        self._lifecycle = lifecycle
        self._hooks = hooks
        self._workers: Workers | None = None
        self._missing: set[str] = set()
        self._current: dict[tuple[str, InvokeSpec], Invocation] = {}

    def __len__(self) -> int:
        return len(self._current)

    def run_in(self, workers: Workers) -> None:
        """Let invocations be tasks of ``workers``."""
        self._workers = workers

    def note(self, step: Step, event: Event) -> None:
        """Cancel those of the states that a step has left, and note those of the states that it has entered."""
        connection_id = step.after.connection_id
        for state in step.outcome.cancels:
            for spec in step.layout.invokes_of[state]:
                self._cancel((connection_id, spec))
        for spec in step.outcome.invokes:
            self._current[connection_id, spec] = Invocation(spec, step, event)

    def begin(self, step: Step, spec: InvokeSpec) -> None:
        """Start the coroutine that a step noted, unless its state was left meanwhile, or even entered again."""
        invocation = self._current.get((step.after.connection_id, spec))
        if invocation is None or invocation.step is not step or self._workers is None:
            return
        if spec.invoke.call not in self._hooks:
            # Somebody outside may be doing it, and tell by the same events how it went.
            self._warn(spec.invoke.call)
        else:
            invocation.scope = anyio.CancelScope()
            self._workers.start_soon(
                self._run, invocation, invocation.scope, name=f"phasebus: invoked {spec.invoke.call}"
            )

    def cancel_all(self) -> None:
        """Cancel every one."""
        for key in list(self._current):
            self._cancel(key)

    def _cancel(self, key: tuple[str, InvokeSpec]) -> None:
        invocation = self._current.pop(key, None)
        if invocation is not None and invocation.scope is not None:
            invocation.scope.cancel()

    def _warn(self, name: str) -> None:
        if name not in self._missing:
            self._missing.add(name)
            logger.warning("%s invokes '%s', but none is registered: lifecycle.hook('%s')", self._lifecycle, name, name)

    async def _run(self, invocation: Invocation, scope: anyio.CancelScope) -> None:
        invoke = invocation.spec.invoke
        result: Any = None
        error: BaseException | None = None
        with scope:
            try:
                result = await self._call(invocation)
            except BaseException as raised:
                if not is_failure(raised):
                    raise
                error = raised
        if scope.cancel_called:
            return
        key = (invocation.step.after.connection_id, invocation.spec)
        if self._current.get(key) is invocation:
            del self._current[key]
        if error is not None:
            await self._bus.report_failure(f"invoke {invoke.call}", invocation.event, error)
        event_type = invoke.done if error is None else invoke.failed
        if event_type is not None:
            await self._publish(invocation, event_type, result, error)

    async def _call(self, invocation: Invocation) -> Any:
        hook = self._hooks[invocation.spec.invoke.call]
        # What it publishes is linked to its cause; but it may be made to wait for a queue: nobody waits for it.
        with as_handler_of(self._bus, invocation.event) as call:
            call.bus = None
            result = hook(invocation.event)
            return await result if isawaitable(result) else result

    async def _publish(self, invocation: Invocation, event_type: str, result: Any, error: BaseException | None) -> None:
        identity = invocation.step.after.identity
        if error is not None:
            data: Any = {"error": f"{type(error).__name__}: {error}"}
        else:
            data = dict(result) if isinstance(result, Mapping) else {} if result is None else {"result": result}
        with as_handler_of(self._bus, invocation.event):
            try:
                await self._bus.publish(
                    event_type,
                    data,
                    connection_id=identity.connection_id,
                    call_id=identity.call_id,
                    tenant_id=identity.tenant_id,
                    error=error,
                )
            except Exception as refused:
                await self._bus.report_failure(f"lifecycle {self._lifecycle}", invocation.event, refused)

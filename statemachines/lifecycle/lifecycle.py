"""The live lifecycle: connections on a bus and a clock, as callers use it. What happens behind it is in ``engine``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, overload

from anyio.lowlevel import checkpoint
from attrs import frozen

from bus.bus import EventBus
from bus.causality import handling, inside_handler_of
from bus.errors import PhasebusError
from bus.event import Event
from bus.workers import Workers
from statemachines.connections.reaction import Reaction
from statemachines.connections.state import ConnectionState, state_of
from statemachines.connections.waiting import Waiting, why
from statemachines.errors import ConnectionEnded, LifecycleClosed, UnknownHook, UnknownPhase, suggestion
from statemachines.language.definition import Call, Definition
from statemachines.lifecycle.clock import Clock, SystemClock
from statemachines.lifecycle.engine import Engine, Hook, Observer
from statemachines.lifecycle.watching import ChangeInbox, Changes, PhaseWaiter

logger = logging.getLogger("phasebus.lifecycle")


@frozen
class LifecycleStatistics:
    """What a lifecycle has done so far.

    :ivar processed: events, timers and marks that were steps of a connection, ignored ones included
    :ivar ignored: of these, the ones that changed nothing
    :ivar early: events that were kept for a connection not yet registered
    :ivar expired: early events that nobody came for, or that had to go for others
    :ivar unknown: events of connections that nobody registered, and that the definition does not name
    :ivar foreign: events of another tenant than the connection's
    :ivar finished: events of connections that had ended
    :ivar deferred: events that had to wait for another state of their connection
    :ivar refused: events that would have waited so, but for too many others
    :ivar connections: connections known now, ended ones that are retained included
    :ivar hits: steps that the table knew
    :ivar misses: steps that python-statemachine was asked for
    :ivar cases: paths through guards that the table holds now; there is a limit
    :ivar evicted: paths that were given up to make room for others
    :ivar unevaluated: guards and values that could not be evaluated
    """

    processed: int
    ignored: int
    early: int
    expired: int
    unknown: int
    foreign: int
    finished: int
    deferred: int
    refused: int
    connections: int
    hits: int
    misses: int
    cases: int
    evicted: int
    unevaluated: int


class ConnectionLifecycle:
    """Runs a definition for any number of connections on a bus.

    Use it as ``async with ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle``, inside the bus's
    own ``async with``.

    :param store: where connections are kept durably; only None, which means in memory, is supported by this version
    :param clock: the real one by default; a :class:`~statemachines.VirtualClock` for tests
    """

    def __init__(
        self, bus: EventBus, definition: Definition, *, store: None = None, clock: Clock | None = None
    ) -> None:
        if store is not None:
            raise PhasebusError("this version of phasebus keeps connections in memory only: leave store out")
        self.definition = definition
        self._bus = bus
        self._clock = clock or SystemClock()
        self._engine = Engine(bus, definition, self._clock)
        self._connections = self._engine.connections
        self._layout = self._engine.layout
        self._workers: Workers | None = None
        self._detach: Callable[[], None] = lambda: None
        self._closed = False
        self._stopped = False

    # -- life --

    async def __aenter__(self) -> Self:
        if self._workers is not None or self._closed:
            raise LifecycleClosed("a lifecycle can be entered only once")
        self._workers = await Workers().__aenter__()
        try:
            await self._engine.start(self._workers)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        self._detach = self._bus.attach(self._engine)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._workers is not None
        try:
            if exc_type is None:
                await self.aclose()
        finally:
            self._stop()
            swallowed = await self._workers.__aexit__(exc_type, exc, traceback)
        return swallowed

    async def aclose(self) -> None:
        """Hear no more events; let effects and hooks that have begun end (as long as the bus would), then stop.

        Idempotent. Called by a hook or handler, which cannot wait for itself, it returns at once and the rest happens
        afterwards.
        """
        self._closed = True
        self._detach()
        self._engine.close()
        if self._workers is None:
            self._stop()
        elif not self._stopped:
            if inside_handler_of(self._bus):
                self._workers.start_soon(self._finish, name=f"phasebus: closing {self.definition.name}")
            else:
                await self._finish()

    async def _finish(self) -> None:
        try:
            with self._bus.clock.move_on_after(self._bus.close_timeout) as scope:
                await self._engine.quiet()
            if scope.cancelled_caught:
                logger.warning("the lifecycle %s was closed with effects or hooks undone", self.definition.name)
        finally:
            self._stop()

    # -- connections --

    async def register_connection(
        self,
        connection_id: str,
        *,
        call_id: str | None = None,
        tenant_id: str | None = None,
        dependencies: Iterable[str] | None = None,
        timeouts: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> ConnectionState:
        """Register a connection, publish ``connection.created``, and process what came for it early.

        :param dependencies: which of the declared ones this connection requires; by default those with
            ``required: true``
        :param timeouts: seconds for named timeouts of the definition, for this connection
        :param metadata: kept with the connection; an entry named like a remembered fact is its first value
        :raises DuplicateConnection: the id is registered or retained, or a living connection holds the call id
        :raises UnknownDependency: the definition does not declare such a dependency
        :raises UnknownTimeout: the definition has no such timeout
        """
        self._refuse_closed()
        at, now = self._engine.times()
        reactions = self._connections.register(
            connection_id,
            call_id=call_id,
            tenant_id=tenant_id,
            dependencies=dependencies,
            timeouts=timeouts,
            metadata=metadata,
            at=at,
            now=now,
            cause=_cause(),
        )
        registered = reactions[0]
        self._engine.react(reactions, None)
        await self._engine.carry_out_for(connection_id)
        if registered.error is not None:
            raise registered.error
        assert registered.step is not None
        record = self._connections.records.get(connection_id, registered.step.after)
        return state_of(record, self._layout)

    async def mark_dependency_ready(self, connection_id: str, name: str) -> None:
        """Make a dependency ready by hand.

        :raises UnknownConnection: nobody of that id
        :raises UnknownDependency: the definition does not declare it
        :raises StepNeverSettles: transitions without an event would go in a circle; nothing has changed
        """
        self._refuse_closed()
        at, now = self._engine.times()
        await self._by_hand(self._connections.mark(connection_id, name, at=at, now=now, cause=_cause()))

    async def terminate_connection(self, connection_id: str, reason: str | None = None) -> None:
        """End a connection in one step to the first final state; ``data.reason`` is the reason. Ended ones stay so.

        :raises UnknownConnection: nobody of that id
        """
        self._refuse_closed()
        at, now = self._engine.times()
        await self._by_hand(self._connections.terminate(connection_id, reason, at=at, now=now, cause=_cause()))

    async def wait_until(self, connection_id: str, phase: str, timeout: float | None = None) -> ConnectionState:
        """Wait until a connection, registered or not yet, is in a phase (a state's id); returns how it stood then.

        :raises TimeoutError: after ``timeout`` seconds; it says what the connection waits for
        :raises ConnectionEnded: the connection ended without reaching the phase
        :raises UnknownPhase: the definition has no such state
        """
        self._refuse_closed()
        if phase not in self._layout.index:
            raise UnknownPhase(f"{self.definition.name} has no state '{phase}'{suggestion(phase, self._layout.ids)}")
        waiter = PhaseWaiter(phase)
        record = self._connections.records.get(connection_id)
        if record is not None and waiter.see(record, lambda: self.get_connection_state(connection_id)):
            await checkpoint()
        else:
            self._engine.watchers.add_waiter(connection_id, waiter)
        try:
            with self._bus.clock.move_on_after(timeout):
                return await waiter.wait()
            if waiter.done:
                return await waiter.wait()
            raise TimeoutError(f"{phase} not reached within {timeout:g} s: {self.why(connection_id)}")
        except ConnectionEnded:
            raise ConnectionEnded(f"{phase} not reached: {self.why(connection_id)}") from None
        finally:
            self._engine.watchers.remove_waiter(connection_id, waiter)

    # -- queries: none of them waits --

    def get_connection_state(self, connection_id: str) -> ConnectionState:
        """A connection as it stands, or :class:`~statemachines.UnknownConnection`."""
        return self._connections.state(connection_id)

    def get_all_connections(self) -> dict[str, ConnectionState]:
        """Every connection by its id, ended ones that are retained included."""
        return {
            connection_id: state_of(record, self._layout) for connection_id, record in self._connections.records.items()
        }

    def phases(self) -> dict[str, int]:
        """How many connections are in each phase."""
        return dict(Counter(record.situation.phase for record in self._connections.records.values()))

    def starts_on(self, event: Event) -> bool:
        """Whether this event registers a connection that is not yet known."""
        return self._connections.starts_on(event)

    def why(self, connection_id: str) -> Waiting:
        """What a connection waits for; ``str()`` of it is one sentence. One never registered waits for that."""
        return why(self._connections, connection_id, at=self._clock.time(), now=self._clock.monotonic())

    def changes(self, connection_id: str | None = None) -> Changes:
        """The present state of each connection (or of one), then each change of phase, configuration or dependencies.

        Begins with this call: nothing between is missed, nothing comes twice.
        """
        self._refuse_closed()
        records = self._connections.records
        if connection_id is None:
            present = [state_of(record, self._layout) for record in records.values()]
        else:
            present = [state_of(records[connection_id], self._layout)] if connection_id in records else []

        def leave(inbox: ChangeInbox) -> None:
            self._engine.watchers.remove_changes(connection_id, inbox)

        changes = Changes(present, leave)
        if connection_id in records and records[connection_id].ended:
            changes.inbox.close()
        else:
            self._engine.watchers.add_changes(connection_id, changes.inbox)
        return changes

    @overload
    def hook(self, name: str, function: Hook) -> Hook: ...

    @overload
    def hook(self, name: str, function: None = None) -> Callable[[Hook], Hook]: ...

    def hook(self, name: str, function: Hook | None = None) -> Hook | Callable[[Hook], Hook]:
        """Register what an action ``call: name`` calls: a function of the event that led to it; also a decorator.

        Hooks of one connection run one after the other, outside the step. One that fails publishes ``handler.failed``.

        :raises UnknownHook: no action of the definition calls it
        """
        if function is None:
            return lambda given: self.hook(name, given)
        called = {action.name for action in self.definition.actions() if isinstance(action, Call)}
        called |= {invoke.call for state in self.definition.walk() for invoke in state.invoke}
        if name not in called:
            raise UnknownHook(
                f"{self.definition.name} calls no hook '{name}'{suggestion(name, called)}; "
                f"it calls {', '.join(sorted(called)) or 'none'}"
            )
        self._engine.hooks[name] = function
        return function

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer`` with every :class:`Reaction`, as it happens; returns how to stop. It must not raise."""
        self._engine.observers.append(observer)
        return lambda: self._engine.observers.remove(observer)

    def stats(self) -> LifecycleStatistics:
        """What happened so far."""
        counts, table = self._connections.counts, self._connections.steps.table
        return LifecycleStatistics(
            processed=counts.processed,
            ignored=counts.ignored,
            early=counts.early,
            expired=counts.expired,
            unknown=counts.unknown,
            foreign=counts.foreign,
            finished=counts.finished,
            deferred=counts.deferred,
            refused=counts.refused,
            connections=len(self._connections.records),
            hits=table.hits,
            misses=table.misses,
            cases=len(table),
            evicted=table.evicted,
            unevaluated=table.compiler.failures,
        )

    async def _by_hand(self, reactions: list[Reaction]) -> None:
        self._engine.react(reactions, None)
        first = reactions[0]
        await self._engine.carry_out_for(first.connection_id or "")
        if first.error is not None:
            raise first.error

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LifecycleClosed(f"the lifecycle {self.definition.name} is closed")
        if self._workers is None:
            raise LifecycleClosed(f"the lifecycle {self.definition.name} is not running: enter it with 'async with'")

    def _stop(self) -> None:
        self._closed = self._stopped = True
        self._detach()
        self._engine.stop()
        if self._workers is not None:
            self._workers.stop()


def _cause() -> Event | None:
    """The event whose handler or hook this is called from: what follows is linked to it."""
    call = handling.get()
    return None if call is None else call.event

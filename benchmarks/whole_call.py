"""A whole call: beside the same call written by hand with ``transitions``, and with xstate-statemachine.

Registered, three services report ready in turn, others are told and audio starts, the call is ended and closed; then
the next one. Every side must have logged the same of every call. phasebus also publishes and hears all this on a bus,
arms two timers, and keeps the ended call for a while; see :mod:`benchmarks.by_hand` for what the others leave out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

import anyio
from xstate_statemachine import Interpreter, SyncInterpreter

from benchmarks.by_hand import (
    EVENTS,
    READY,
    HandWrittenAsyncCall,
    HandWrittenCall,
    Log,
    expected,
    transitions_machine,
    xstate_machine,
)
from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventBus
from statemachines import ConnectionLifecycle, load_definition

Call = Callable[[str], Awaitable[None]]


def reports(scale: Scale) -> list[Report]:
    """One comparison: seconds a call."""
    calls = scale(300, 10)

    def side(name: str, make: Callable[[int], Awaitable[float]]) -> Side:
        return Side(name, lambda: anyio.run(make, calls))

    comparison = Comparison(
        "whole_call",
        "one call from registration to its end: five events, audio started and stopped",
        "seconds",
        side("phasebus", _phasebus),
        (
            side("transitions AsyncMachine, by hand", partial(_transitions, _asynchronous)),
            side("transitions Machine, by hand", partial(_transitions, _synchronous)),
            side("xstate-statemachine Interpreter", partial(_xstate, _interpreter)),
            side("xstate-statemachine SyncInterpreter", partial(_xstate, _sync_interpreter)),
        ),
    )
    # xstate-statemachine warns and transitions informs about every step; nobody would leave that on.
    logging.disable(logging.WARNING)
    try:
        return [measure(comparison, scale(9, 2))]
    finally:
        logging.disable(logging.NOTSET)


async def _phasebus(calls: int) -> float:
    log: Log = []

    async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:

        def note(what: str) -> Callable[[Event], Awaitable[None]]:
            async def act(event: Event) -> None:
                log.append((str(event.connection_id), what))

            return act

        bus.subscribe("connection.ready", note("ready"), inline=True)
        bus.subscribe("connection.terminated", note("terminated"), inline=True)
        lifecycle.hook("start_audio", note("start_audio"))
        lifecycle.hook("stop_audio", note("stop_audio"))

        async def call(connection_id: str) -> None:
            await lifecycle.register_connection(connection_id, call_id=f"call of {connection_id}")
            for event_type, data in EVENTS[:READY]:
                await bus.publish(event_type, data, connection_id=connection_id)
            await lifecycle.wait_until(connection_id, "ready", timeout=30)
            for event_type, data in EVENTS[READY:]:
                await bus.publish(event_type, data, connection_id=connection_id)
            await bus.drain()

        return await _timed(call, calls, log)


async def _transitions(make: Callable[[Log], Call], calls: int) -> float:
    log: Log = []
    return await _timed(make(log), calls, log)


def _asynchronous(log: Log) -> Call:
    machine = transitions_machine(asynchronous=True)

    async def run(connection_id: str) -> None:
        call: Any = HandWrittenAsyncCall(connection_id, f"call of {connection_id}", log)
        machine.add_model(call)
        for event_type, data in EVENTS[:READY]:
            call.learn(event_type, data)
            await call.advance()
        await call.hang_up()
        await call.close()
        machine.remove_model(call)

    return run


def _synchronous(log: Log) -> Call:
    machine = transitions_machine(asynchronous=False)

    async def run(connection_id: str) -> None:
        call: Any = HandWrittenCall(connection_id, f"call of {connection_id}", log)
        machine.add_model(call)
        for event_type, data in EVENTS[:READY]:
            call.learn(event_type, data)
            call.advance()
        call.hang_up()
        call.close()
        machine.remove_model(call)

    return run


async def _xstate(make: Callable[[Any], Call], calls: int) -> float:
    log: Log = []
    return await _timed(make(xstate_machine(log)), calls, log)


def _interpreter(machine: Any) -> Call:
    async def run(connection_id: str) -> None:
        interpreter = await Interpreter(machine, input=connection_id).start()
        for event_type, data in EVENTS:
            await interpreter.send(event_type, wait=True, **data)
        await interpreter.stop()

    return run


def _sync_interpreter(machine: Any) -> Call:
    async def run(connection_id: str) -> None:
        interpreter = SyncInterpreter(machine, input=connection_id).start()
        for event_type, data in EVENTS:
            interpreter.send(event_type, **data)
        interpreter.stop()

    return run


async def _timed(call: Call, calls: int, log: Log) -> float:
    """Seconds a call, one after the other, after a first one; all must have been visible alike."""
    await call("first")
    began = perf_counter()
    for number in range(calls):
        await call(f"conn_{number}")
    took = perf_counter() - began
    ids = ["first", *(f"conn_{number}" for number in range(calls))]
    assert sorted(log) == sorted(line for connection_id in ids for line in expected(connection_id))
    return took / calls

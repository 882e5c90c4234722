"""What a registered connection weighs: beside a state machine object each.

The same call on every side, in the middle of its set-up, with its id and call id. phasebus's has also a running timer,
a tenant, its place in every index, and what it needs to say why it waits.
"""

from __future__ import annotations

import logging
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from attrs import evolve
from xstate_statemachine import SyncInterpreter

from benchmarks.by_hand import EVENTS, HandWrittenCall, Log, transitions_machine, xstate_machine
from benchmarks.measuring import Comparison, Limit, Report, Scale, Side, measure
from benchmarks.table_step import plain_machines, token
from bus import Event
from statemachines import load_definition
from statemachines.connections.connections import Connections
from statemachines.table.step import Steps

LIVE_AT_MOST = 400.0
FIRST, DATA = EVENTS[0]
"""The event that each call has had."""


def reports(scale: Scale) -> list[Report]:
    """Bytes a connection, by tracemalloc."""
    number, fewer = scale(10_000, 200), scale(1_000, 50)

    def side(name: str, make: Callable[[int], Any], number: int) -> Side:
        return Side(name, lambda: _weigh(make, number))

    comparison = Comparison(
        "connection_memory",
        f"one of {number} connections of whatsapp_call in initializing (one of {fewer} of the others')",
        "bytes",
        side("phasebus connection", _connections, number),
        (
            side("python-statemachine machine each", _library_machines, fewer),
            side("transitions Machine each", _transitions_machines, fewer),
            side("transitions model, one Machine", _transitions_models, fewer),
            side("xstate-statemachine SyncInterpreter each", _interpreters, fewer),
        ),
    )
    logging.disable(logging.WARNING)
    try:
        report = measure(comparison, scale(3, 1))
        ids = sum(map(sys.getsizeof, next(_ids(1))))
        limit = Limit("a live connection with its timer, beyond its two ids", report.cost - ids, LIVE_AT_MOST, "bytes")
        return [evolve(report, limits=(limit,))]
    finally:
        logging.disable(logging.NOTSET)


def _weigh(make: Callable[[int], Any], number: int) -> float:
    make(2)  # what is shared by all is there before
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make(number)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return (after - before) / number


def _ids(number: int) -> Iterator[tuple[str, str]]:
    for index in range(number):
        yield f"conn_{index:08}", f"call_{index:08}"


@cache
def _steps() -> Steps:
    return Steps(load_definition("whatsapp_call"))


def _connections(number: int) -> Any:
    connections = Connections(_steps().definition, _steps())
    for connection_id, call_id in _ids(number):
        connections.register(connection_id, call_id=call_id, tenant_id="tenant", at=0.0, now=0.0)
        connections.receive(Event(FIRST, connection_id, DATA), at=1.0, now=1.0)
    return connections


@cache
def _library() -> Callable[[], tuple[Any, Any]]:
    return plain_machines(load_definition("whatsapp_call"))


def _library_machines(number: int) -> Any:
    machines = {}
    for connection_id, call_id in _ids(number):
        machine, model = _library()()
        model.call_id = call_id
        machine.send(token(FIRST))
        machines[connection_id] = machine
    return machines


def _transitions_machines(number: int) -> Any:
    log: Log = []
    calls = {}
    for connection_id, call_id in _ids(number):
        call: Any = HandWrittenCall(connection_id, call_id, log)
        call.machine = transitions_machine(asynchronous=False, model=call)
        call.learn(FIRST, DATA)
        call.advance()
        calls[connection_id] = call
    return calls


def _transitions_models(number: int) -> Any:
    log: Log = []
    machine, calls = transitions_machine(asynchronous=False), {}
    for connection_id, call_id in _ids(number):
        call: Any = HandWrittenCall(connection_id, call_id, log)
        machine.add_model(call)
        call.learn(FIRST, DATA)
        call.advance()
        calls[connection_id] = call
    return machine, calls


def _interpreters(number: int) -> Any:
    machine, calls = xstate_machine([]), {}
    for connection_id, call_id in _ids(number):
        interpreter = SyncInterpreter(machine, input=(connection_id, call_id)).start()
        interpreter.send(FIRST, **DATA)
        calls[connection_id] = interpreter
    return calls

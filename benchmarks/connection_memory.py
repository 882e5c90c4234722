"""What a registered connection weighs: beside a state machine object each."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

from statemachine import State, StateMachine
from transitions import Machine

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from statemachines import load_definition
from statemachines.connections.connections import Connections


def reports(scale: Scale) -> list[Report]:
    """Bytes a connection, in the middle of its set-up, with ids, call id, tenant and a running timer."""
    number = scale(10_000, 200)
    fewer = scale(500, 50)
    comparison = Comparison(
        "connection_memory",
        "one connection of whatsapp_call in initializing: ids, facts, timer, and its share of every index",
        "bytes",
        Side("phasebus connection", lambda: _weigh(_connections, number)),
        (
            Side("python-statemachine object", lambda: _weigh(_library_machines, fewer)),
            Side("transitions object", lambda: _weigh(_transitions_machines, fewer)),
        ),
    )
    return [measure(comparison, scale(3, 1))]


def _weigh(make: Callable[[int], Any], number: int) -> float:
    make(2)  # what is shared by all is there before
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make(number)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return (after - before) / number


def _connections(number: int) -> Any:
    from bus import Event

    connections = Connections(load_definition("whatsapp_call"))
    for index in range(number):
        connection_id = f"conn_{index:08}"
        connections.register(connection_id, call_id=f"call_{index:08}", tenant_id="tenant", at=0.0, now=0.0)
        connections.receive(Event("whatsapp.call_accepted", connection_id), at=1.0, now=1.0)
    return connections


class _Call(StateMachine):
    created = State(initial=True)
    initializing = State()
    ready = State()
    ended = State(final=True)
    accept = created.to(initializing)
    finish = initializing.to(ready)
    end = created.to(ended) | initializing.to(ended) | ready.to(ended)


def _library_machines(number: int) -> Any:
    machines = []
    for _ in range(number):
        machine = _Call()
        machine.send("accept")
        machines.append(machine)
    return machines


class _Model:
    pass


def _transitions_machines(number: int) -> Any:
    machines = []
    for _ in range(number):
        model = _Model()
        machine = Machine(model, states=["created", "initializing", "ready", "ended"], initial="created")
        machine.add_transition("accept", "created", "initializing")
        machine.add_transition("finish", "initializing", "ready")
        machine.add_transition("end", "*", "ended")
        model.accept()  # type: ignore[attr-defined]
        machines.append((model, machine))
    return machines

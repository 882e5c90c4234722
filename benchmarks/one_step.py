"""One step of the smallest chart there is, beside what other libraries take for it: a turnstile, coin and push in turn.

Each peer is used as its own documentation does: a method of the model with ``transitions`` and of the machine with
Automat, ``send`` with python-statemachine and xstate-statemachine. phasebus's step is told the event's type, looks at
facts and guards, and makes a new record with the times of its changes; Automat and ``transitions`` know no event
objects, Automat no guards either. python-statemachine, ``transitions`` and xstate-statemachine look for callbacks
that are not there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from automat import TypeMachineBuilder
from statemachine import State, StateChart
from transitions import Machine
from xstate_statemachine import SyncInterpreter, create_machine

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event
from statemachines import parse_definition
from statemachines.table.record import Identity
from statemachines.table.step import CREATED, Steps

TURNSTILE = """
name: turnstile
states:
  locked: {initial: true, transitions: [{event: it.coin, target: unlocked}]}
  unlocked: {transitions: [{event: it.push, target: locked}]}
"""
PYTHON_STATEMACHINE, TRANSITIONS = "python-statemachine send", "transitions model"
XSTATE, AUTOMAT = "xstate-statemachine SyncInterpreter", "Automat TypeMachineBuilder"
TARGETS = {PYTHON_STATEMACHINE: 100, TRANSITIONS: 8, XSTATE: 8, AUTOMAT: 1}


def reports(scale: Scale) -> list[Report]:
    """Seconds a step."""
    pairs = scale(2_000, 50)
    comparison = Comparison(
        "one_step",
        "one warm step of a turnstile: no guards, no facts, no effects",
        "seconds",
        Side("phasebus Steps.event", lambda: _phasebus(pairs)),
        (
            Side(PYTHON_STATEMACHINE, lambda: _python_statemachine(max(1, pairs // 20))),
            Side(TRANSITIONS, lambda: _transitions(pairs)),
            Side(XSTATE, lambda: _xstate(pairs)),
            Side(AUTOMAT, lambda: _automat(pairs)),
        ),
        TARGETS,
    )
    logging.disable(logging.WARNING)
    try:
        return [measure(comparison, scale(25, 2))]
    finally:
        logging.disable(logging.NOTSET)


def _timed(pairs: int, coin: Callable[[], Any], push: Callable[[], Any]) -> float:
    coin()
    push()
    began = perf_counter()
    for _ in range(pairs):
        coin()
        push()
    return (perf_counter() - began) / (2 * pairs)


def _phasebus(pairs: int) -> float:
    steps = Steps(parse_definition(TURNSTILE))
    identity = Identity("c", None, None, None, {}, 0.0)
    record = steps.register(identity, 0, Event(CREATED, "c"), at=0.0, now=0.0).after
    coin, push, step = Event("it.coin", "c"), Event("it.push", "c"), steps.event
    for event in (coin, push):
        record = step(record, event, at=0.0, now=0.0).after
    began = perf_counter()
    for _ in range(pairs):
        record = step(record, coin, at=0.0, now=0.0).after
        record = step(record, push, at=0.0, now=0.0).after
    took = perf_counter() - began
    assert record.situation.phase == "locked"
    return took / (2 * pairs)


class _Turnstile(StateChart):
    locked = State(initial=True)
    unlocked = State()
    coin = locked.to(unlocked)
    push = unlocked.to(locked)


def _python_statemachine(pairs: int) -> float:
    machine = _Turnstile()
    took = _timed(pairs, lambda: machine.send("coin"), lambda: machine.send("push"))
    assert set(machine.configuration_values) == {"locked"}
    return took


def _transitions(pairs: int) -> float:
    class Model:
        state: str
        coin: Callable[[], bool]
        push: Callable[[], bool]

    model = Model()
    Machine(
        model,
        states=["locked", "unlocked"],
        transitions=[["coin", "locked", "unlocked"], ["push", "unlocked", "locked"]],
        initial="locked",
        auto_transitions=False,
    )
    took = _timed(pairs, model.coin, model.push)
    assert model.state == "locked"
    return took


def _xstate(pairs: int) -> float:
    config: Any = {
        "id": "turnstile",
        "initial": "locked",
        "states": {"locked": {"on": {"coin": "unlocked"}}, "unlocked": {"on": {"push": "locked"}}},
    }
    interpreter = SyncInterpreter(create_machine(config)).start()
    took = _timed(pairs, lambda: interpreter.send("coin"), lambda: interpreter.send("push"))
    assert interpreter.current_state_ids == {"turnstile.locked"}
    interpreter.stop()
    return took


class _Inputs(Protocol):
    def coin(self) -> None: ...

    def push(self) -> None: ...


class _Core:
    """What Automat keeps for a machine; it needs nothing here."""


def _automat(pairs: int) -> float:
    builder = TypeMachineBuilder(_Inputs, _Core)
    locked, unlocked = builder.state("locked"), builder.state("unlocked")
    locked.upon(_Inputs.coin).to(unlocked).returns(None)
    unlocked.upon(_Inputs.push).to(locked).returns(None)
    machine = builder.build()(_Core())
    return _timed(pairs, machine.coin, machine.push)

"""How late a timer of 10 ms is beside a hundred busy connections: here, and with xstate-statemachine.

One connection goes to and fro between two states, each left by a timer of 10 ms; a hundred others are sent events by a
task each, as fast as the loop lets them. Late is what a visit took beyond 10 ms: until the timer's step is made, and
until a handler has its effect, which a worker publishes a turn of the event loop later. Both run on asyncio.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter
from typing import Any

import anyio
import anyio.lowlevel
from attrs import evolve
from xstate_statemachine import Interpreter, MachineLogic, create_machine

from benchmarks.measuring import Comparison, Limit, Report, Scale, Side, measure
from bus import Event, EventBus
from statemachines import ConnectionLifecycle, Reaction, parse_definition

DELAY_S = 0.010
BUSY = 100
LATE_AT_MOST_S = 0.005
DEFINITION = """
name: ticking
states:
  busy:
    initial: true
    transitions: [{event: it.began, target: tick}, {event: it.worked, target: worked}]
  worked: {transitions: [{event: it.worked, target: busy}]}
  tick: {enter: [{publish: it.ticked}], after: {10ms: tock}, transitions: [{event: it.ended, target: gone}]}
  tock: {enter: [{publish: it.ticked}], after: {10ms: tick}}
  gone: {final: true}
"""


def reports(scale: Scale) -> list[Report]:
    """The 99th percentile of lateness."""
    ticks = scale(200, 10)

    def side(name: str, run: Callable[..., Any]) -> Side:
        return Side(name, lambda: _percentile(anyio.run(run, ticks)))

    comparison = Comparison(
        "timer_lateness",
        f"a timer of 10 ms beside {BUSY} busy connections: the 99th percentile of how late it is",
        "seconds",
        side("phasebus, until it fires", _until_it_fires),
        (
            side("phasebus, until its effect is heard", _until_heard),
            side("xstate-statemachine Interpreter, until its action runs", _xstate),
        ),
    )
    logging.disable(logging.WARNING)
    try:
        report = measure(comparison, scale(5, 1))
    finally:
        logging.disable(logging.NOTSET)
    limit = Limit("late, 99th percentile", report.cost, LATE_AT_MOST_S, "seconds")
    return [evolve(report, limits=(limit,))]


def _percentile(times: list[float]) -> float:
    late = sorted(max(1e-9, after - before - DELAY_S) for before, after in pairwise(times))
    return late[len(late) * 99 // 100]


async def _until_it_fires(ticks: int) -> list[float]:
    return await _phasebus(ticks, until_heard=False)


async def _until_heard(ticks: int) -> list[float]:
    return await _phasebus(ticks, until_heard=True)


async def _phasebus(ticks: int, *, until_heard: bool) -> list[float]:
    times: list[float] = []
    enough = anyio.Event()

    def note() -> None:
        times.append(perf_counter())
        if len(times) > ticks:
            enough.set()

    async def hear(_: Event) -> None:
        if until_heard:
            note()

    def observe(reaction: Reaction) -> None:
        if reaction.kind == "step" and reaction.connection_id == "timed" and not until_heard:
            note()

    async with EventBus() as bus, ConnectionLifecycle(bus, parse_definition(DEFINITION)) as lifecycle:
        bus.subscribe("it.ticked", hear, inline=True)
        lifecycle.observe(observe)

        async def work(connection_id: str) -> None:
            while True:
                await bus.publish("it.worked", connection_id=connection_id)
                await anyio.lowlevel.checkpoint()

        await lifecycle.register_connection("timed")
        async with anyio.create_task_group() as tasks:
            for number in range(BUSY):
                await lifecycle.register_connection(f"busy_{number}")
                tasks.start_soon(work, f"busy_{number}")
            await bus.publish("it.began", connection_id="timed")
            await enough.wait()
            tasks.cancel_scope.cancel()
    return times


async def _xstate(ticks: int) -> list[float]:
    times: list[float] = []
    enough = anyio.Event()

    def note(*_: Any) -> None:
        times.append(perf_counter())
        if len(times) > ticks:
            enough.set()

    delay = int(DELAY_S * 1000)
    config: Any = {
        "id": "ticking",
        "initial": "busy",
        "states": {
            "busy": {"on": {"began": "tick", "worked": "worked"}},
            "worked": {"on": {"worked": "busy"}},
            "tick": {"entry": "note", "after": {delay: "tock"}},
            "tock": {"entry": "note", "after": {delay: "tick"}},
        },
    }
    machine: Any = create_machine(config, logic=MachineLogic(actions={"note": note}))
    timed = await Interpreter(machine).start()
    others = [await Interpreter(machine).start() for _ in range(BUSY)]

    async def work(interpreter: Any) -> None:
        while True:
            await interpreter.send("worked", wait=True)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for other in others:
            tasks.start_soon(work, other)
        await timed.send("began", wait=True)
        await enough.wait()
        tasks.cancel_scope.cancel()
    for interpreter in (timed, *others):
        await interpreter.stop()
    return times

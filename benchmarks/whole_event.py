"""From a published event to its effects, and a registration, beside the least that a program could do by hand.

By hand is a slotted class whose ``send`` does one dictionary look-up and one assignment: no bus, no guards, no facts,
no timers, no effects. What phasebus is allowed to cost is a multiple of that, because it means the same on any machine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from time import perf_counter
from typing import Any, ClassVar

import anyio

from benchmarks.by_hand import EVENTS
from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventBus
from statemachines import ConnectionLifecycle, load_definition

BY_HAND = "a slotted class by hand"
EVENT_TARGET, REGISTER_TARGET = 1 / 25, 1 / 60


class ByHand:
    """The yardstick."""

    __slots__ = ("state",)

    table: ClassVar = {("a", "go"): "b", ("b", "go"): "a"}

    def __init__(self) -> None:
        self.state = "a"

    def send(self, event: str) -> None:
        """One look-up, one assignment."""
        self.state = self.table[self.state, event]


def reports(scale: Scale) -> list[Report]:
    """Seconds an event, with and without somebody who hears the effects; seconds a registration."""
    calls, rounds = scale(500, 10), scale(15, 2)
    hand = Side(BY_HAND, lambda: _by_hand(scale(20_000, 500)))

    def report(name: str, meaning: str, turn: Any, target: float) -> Report:
        ours = Side("phasebus", lambda: anyio.run(turn, calls))
        return measure(Comparison(name, meaning, "seconds", ours, (hand,), {BY_HAND: target}), rounds)

    logging.disable(logging.WARNING)  # no hook is registered, which is said once
    try:
        return [
            report(
                "whole_event",
                "one of the five events of a call: bus, facts, guards, step, timers, effects that nobody hears",
                _unheard,
                EVENT_TARGET,
            ),
            report(
                "whole_event, heard",
                "the same, with an inline handler of connection.ready and connection.terminated",
                _heard,
                EVENT_TARGET,
            ),
            report(
                "register",
                "one register_connection: initial states entered, connection.created that nobody hears",
                _registrations,
                REGISTER_TARGET,
            ),
        ]
    finally:
        logging.disable(logging.NOTSET)


def _by_hand(number: int) -> float:
    send = ByHand().send
    began = perf_counter()
    for _ in range(number):
        send("go")
    return (perf_counter() - began) / number


async def _unheard(calls: int) -> float:
    async with EventBus() as bus:
        return await _events(bus, calls)


async def _heard(calls: int) -> float:
    heard: list[Event] = []

    async def hear(event: Event) -> None:
        heard.append(event)

    async with EventBus() as bus:
        bus.subscribe("connection.ready", hear, inline=True)
        bus.subscribe("connection.terminated", hear, inline=True)
        took = await _events(bus, calls)
    assert len(heard) == 2 * (calls + 1)
    return took


async def _events(bus: EventBus, calls: int) -> float:
    """Seconds an event, of calls one after the other, after a first one."""
    async with ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:
        for number in range(calls + 1):
            await lifecycle.register_connection(f"conn_{number}")
        events = list(_built(calls + 1))
        publish = bus.publish_event
        for event in events[: len(EVENTS)]:
            await publish(event)
        began = perf_counter()
        for event in events[len(EVENTS) :]:
            await publish(event)
        took = perf_counter() - began
        assert lifecycle.phases() == {"terminated": calls + 1}
        return took / (calls * len(EVENTS))


def _built(calls: int) -> Iterator[Event]:
    for number in range(calls):
        for event_type, data in EVENTS:
            yield Event(event_type, f"conn_{number}", data)


async def _registrations(calls: int) -> float:
    async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:
        await lifecycle.register_connection("first")
        ids = [f"conn_{number}" for number in range(calls)]
        register = lifecycle.register_connection
        began = perf_counter()
        for connection_id in ids:
            await register(connection_id)
        return (perf_counter() - began) / calls

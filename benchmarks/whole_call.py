"""A whole call: beside the same call written by hand with ``transitions``, and with xstate-statemachine.

Register, three services report ready in turn, audio starts, the call is ended and closed. Every side must have started
and stopped the audio of every call once. phasebus also orders, bounds, keeps early events, arms timers, publishes
``connection.*`` and could say why a call waits; by hand, one writes the guards, and none of that.
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import Any

import anyio
from transitions.extensions.asyncio import AsyncMachine
from xstate_statemachine import Interpreter, MachineLogic, create_machine

from benchmarks.measuring import Comparison, Report, Scale, Side, measure
from bus import Event, EventBus
from statemachines import ConnectionLifecycle, load_definition

SERVICES = ("audio", "model", "accepted")
EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("webrtc.audio_track_ready", {"track_type": "audio"}),
    ("ai.connection_initialized", {}),
    ("whatsapp.call_accepted", {"call_id": "wa"}),
    ("whatsapp.call_terminated", {"call_id": "wa"}),
    ("whatsapp.call_closed", {"call_id": "wa"}),
)


def reports(scale: Scale) -> list[Report]:
    """One comparison: seconds a call."""
    calls = scale(300, 10)
    comparison = Comparison(
        "whole_call",
        "one call from registration to its end: five events, three phases, audio started and stopped",
        "seconds",
        Side("phasebus", lambda: anyio.run(_phasebus, calls)),
        (
            Side("transitions, by hand", lambda: asyncio.run(_transitions(calls))),
            Side("xstate-statemachine", lambda: asyncio.run(_xstate(calls))),
        ),
    )
    return [measure(comparison, scale(7, 2))]


async def _phasebus(calls: int) -> float:
    audio: list[str] = []

    async def start(event: Event) -> None:
        audio.append(f"start {event.connection_id}")

    async def stop(event: Event) -> None:
        audio.append(f"stop {event.connection_id}")

    async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:
        lifecycle.hook("start_audio", start)
        lifecycle.hook("stop_audio", stop)
        began = perf_counter()
        for number in range(calls):
            connection_id = f"c{number}"
            await lifecycle.register_connection(connection_id)
            for event_type, data in EVENTS:
                await bus.publish(event_type, data, connection_id=connection_id)
        await bus.drain()
        took = perf_counter() - began
        assert lifecycle.phases() == {"terminated": calls}
    _check(audio, calls)
    return took / calls


class _Call:
    def __init__(self, connection_id: str, audio: list[str]) -> None:
        self.connection_id = connection_id
        self.audio = audio
        self.ready = dict.fromkeys(SERVICES, False)

    async def all_ready(self) -> bool:
        return all(self.ready.values())

    async def start_audio(self) -> None:
        self.audio.append(f"start {self.connection_id}")

    async def stop_audio(self) -> None:
        self.audio.append(f"stop {self.connection_id}")


async def _transitions(calls: int) -> float:
    logging.getLogger("transitions").setLevel(logging.ERROR)
    audio: list[str] = []
    # One machine for all calls, as its documentation advises where there are many models.
    machine = AsyncMachine(
        model=None,
        states=[
            "created",
            "initializing",
            {"name": "ready", "on_enter": "start_audio", "on_exit": "stop_audio"},
            "terminating",
            "terminated",
        ],
        initial="created",
        send_event=False,
        queued=False,
    )
    machine.add_transition("report", "created", "initializing")
    machine.add_transition("check", "initializing", "ready", conditions="all_ready")
    machine.add_transition("hang_up", ["created", "initializing", "ready"], "terminating")
    machine.add_transition("close", "terminating", "terminated")
    ended = 0
    began = perf_counter()
    for number in range(calls):
        call: Any = _Call(f"c{number}", audio)
        machine.add_model(call)
        for service in SERVICES:
            call.ready[service] = True
            if call.state == "created":
                await call.report()
            await call.check()
        await call.hang_up()
        await call.close()
        ended += call.state == "terminated"
        machine.remove_model(call)
    took = perf_counter() - began
    assert ended == calls
    _check(audio, calls)
    return took / calls


async def _xstate(calls: int) -> float:
    logging.disable(logging.CRITICAL)
    audio: list[str] = []
    config = {
        "id": "call",
        "initial": "initializing",
        "context": {"ready": 0, "id": ""},
        "states": {
            "initializing": {
                "on": {
                    "SERVICE": [
                        {"target": "ready", "guard": "is_last", "actions": ["count"]},
                        {"actions": ["count"]},
                    ],
                    "HANG_UP": "terminating",
                },
            },
            "ready": {"entry": ["start_audio"], "exit": ["stop_audio"], "on": {"HANG_UP": "terminating"}},
            "terminating": {"on": {"CLOSE": "terminated"}},
            "terminated": {"type": "final"},
        },
    }

    def count(_: Any, context: dict[str, Any], *__: Any) -> None:
        context["ready"] += 1

    def start(_: Any, context: dict[str, Any], *__: Any) -> None:
        audio.append(f"start {context['id']}")

    def stop(_: Any, context: dict[str, Any], *__: Any) -> None:
        audio.append(f"stop {context['id']}")

    def is_last(context: dict[str, Any], _: Any) -> bool:
        return bool(context["ready"] == len(SERVICES) - 1)

    logic: Any = MachineLogic(
        actions={"count": count, "start_audio": start, "stop_audio": stop}, guards={"is_last": is_last}
    )
    began = perf_counter()
    for number in range(calls):
        machine = create_machine({**config, "context": {"ready": 0, "id": f"c{number}"}}, logic=logic)
        interpreter = await Interpreter(machine).start()
        for event in ("SERVICE", "SERVICE", "SERVICE", "HANG_UP", "CLOSE"):
            await interpreter.send(event)
        # It queues what it is sent and has no way to wait for the end of that: this is its users' way.
        while f"stop c{number}" not in audio[-2:]:
            await asyncio.sleep(0)
        await interpreter.stop()
    took = perf_counter() - began
    logging.disable(logging.NOTSET)
    _check(audio, calls)
    return took / calls


def _check(audio: list[str], calls: int) -> None:
    assert sorted(audio) == sorted(f"{what} c{number}" for what in ("start", "stop") for number in range(calls))

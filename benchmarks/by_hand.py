"""The call of ``whatsapp_call``, written by hand with the peers: what its users would write for the same events.

The same three dependencies, the same guard on the track's type, the same phases, the same two hooks. Left out, in
their favour: timers, losing and regaining a dependency, early events, tenants, and a bus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transitions import Machine
from transitions.extensions.asyncio import AsyncMachine
from xstate_statemachine import MachineLogic, create_machine

EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("webrtc.audio_track_ready", {"track_type": "audio"}),
    ("ai.connection_initialized", {}),
    ("whatsapp.call_accepted", {"call_id": "call"}),
    ("whatsapp.call_terminated", {"call_id": "call"}),
    ("whatsapp.call_closed", {"call_id": "call"}),
)
READY = 3
"""The call is ready after so many of these events."""
SERVICES = frozenset(event_type for event_type, _ in EVENTS[:READY])
Log = list[tuple[str, str]]
"""What is visible of calls: who did what."""


def expected(connection_id: str) -> Log:
    """What every side must have logged of a call, in any order (hooks run beside the bus)."""
    return [(connection_id, what) for what in ("ready", "start_audio", "stop_audio", "terminated")]


# -- transitions --

_STATES: list[Any] = [
    "created",
    "initializing",
    {"name": "ready", "on_enter": ["note_ready", "start_audio"], "on_exit": "stop_audio"},
    "terminating",
    {"name": "terminated", "on_enter": "note_terminated"},
]
_TRANSITIONS: list[Any] = [
    {"trigger": "advance", "source": ["created", "initializing"], "dest": "ready", "conditions": "all_ready"},
    {"trigger": "advance", "source": "created", "dest": "initializing"},
    {"trigger": "hang_up", "source": ["created", "initializing", "ready"], "dest": "terminating"},
    {"trigger": "close", "source": "terminating", "dest": "terminated"},
]


def transitions_machine(*, asynchronous: bool, model: Any = None) -> Any:
    """One for all calls, as its documentation advises where there are many, or one for ``model`` alone."""
    machine = AsyncMachine if asynchronous else Machine
    return machine(model, states=_STATES, transitions=_TRANSITIONS, initial="created", auto_transitions=False)


class HandWrittenCall:
    """A model for ``transitions``, with plain callbacks."""

    def __init__(self, connection_id: str, call_id: str, log: Log) -> None:
        self.connection_id = connection_id
        self.call_id = call_id
        self.ready: set[str] = set()
        self._log = log

    def learn(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Note that a dependency is ready."""
        if event_type != "webrtc.audio_track_ready" or data.get("track_type") == "audio":
            self.ready.add(event_type)

    def all_ready(self) -> bool:
        """Whether all three are."""
        return self.ready >= SERVICES

    def note_ready(self) -> None:
        """Tell the others."""
        self._log.append((self.connection_id, "ready"))

    def note_terminated(self) -> None:
        """Tell the others."""
        self._log.append((self.connection_id, "terminated"))

    def start_audio(self) -> None:
        """A hook."""
        self._log.append((self.connection_id, "start_audio"))

    def stop_audio(self) -> None:
        """A hook."""
        self._log.append((self.connection_id, "stop_audio"))


class HandWrittenAsyncCall(HandWrittenCall):
    """The same for ``AsyncMachine``, with the hooks that need it asynchronous."""

    async def start_audio(self) -> None:  # type: ignore[override]
        """A hook."""
        super().start_audio()

    async def stop_audio(self) -> None:  # type: ignore[override]
        """A hook."""
        super().stop_audio()


# -- xstate-statemachine --


def xstate_machine(log: Log) -> Any:
    """One for all calls; an interpreter of it for each, made with its id as input."""

    def note(what: str) -> Any:
        def act(_: Any, context: dict[str, Any], *__: Any) -> None:
            log.append((context["input"], what))

        return act

    def learn(_: Any, context: dict[str, Any], event: Any, *__: Any) -> None:
        if event.type != "webrtc.audio_track_ready" or event.payload.get("track_type") == "audio":
            context["ready"] |= 1 << sorted(SERVICES).index(event.type)

    logic: Any = MachineLogic(
        actions={"learn": learn, **{name: note(name) for name in ("ready", "start_audio", "stop_audio", "terminated")}},
        guards={"all_ready": lambda context, _: context["ready"] == (1 << READY) - 1},
    )
    hang_up, close = EVENTS[READY][0], EVENTS[READY + 1][0]
    config: dict[str, Any] = {
        "id": "call",
        "initial": "created",
        "context": {"ready": 0},
        "states": {
            "created": {
                "on": {**{name: {"target": "initializing", "actions": "learn"} for name in SERVICES}, hang_up: "ending"}
            },
            "initializing": {
                "always": {"target": "ready", "guard": "all_ready"},
                "on": {**{name: {"actions": "learn"} for name in SERVICES}, hang_up: "ending"},
            },
            "ready": {"entry": ["ready", "start_audio"], "exit": "stop_audio", "on": {hang_up: "ending"}},
            "ending": {"on": {close: "terminated"}},
            "terminated": {"type": "final", "entry": "terminated"},
        },
    }
    return create_machine(config, logic=logic)

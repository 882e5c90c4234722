"""One call from beginning to end: the outside world, the gateway, a bus and a lifecycle, put together."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TextIO
from uuid import uuid4

from anyio import create_task_group
from attrs import frozen

from bus import Event, EventBus, EventType, default_chain
from examples.webrtc_call.gateway import Call, Gateway, connection_id_of
from examples.webrtc_call.outside import Phone, Provider, speech_model
from examples.webrtc_call.peers import loopback_only
from examples.webrtc_call.recording import record
from statemachines import ConnectionLifecycle, load_definition

CALL_TAKES_AT_MOST_S = 60
NUMBER = "+12025550142"
"""One of those that are reserved for fiction."""


@frozen
class Heard:
    """An event, and the Unix seconds at which the bus passed it on."""

    at: float
    event: Event


@frozen
class CallReport:
    """What came of the call.

    :ivar timeline: all that went over the bus, in order
    :ivar ready_to_audio_s: seconds from ``connection.ready`` to the first frame of the greeting; None if there was none
    :ivar heard_by_caller: audible frames of the greeting that arrived at the phone
    :ivar heard_from_caller: audible frames that arrived at the gateway from the phone
    :ivar heard_from_model: audible frames that arrived at the gateway from the model
    """

    connection_id: str
    started_at: float
    timeline: tuple[Heard, ...]
    ready_to_audio_s: float | None
    heard_by_caller: int
    heard_from_caller: int
    heard_from_model: int

    @property
    def events(self) -> tuple[Event, ...]:
        """All that went over the bus, in order."""
        return tuple(heard.event for heard in self.timeline)

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that the connection went through after ``created``."""
        return tuple(event.data["to"] for event in self.events if event.type == EventType.CONNECTION_PHASE_CHANGED)


async def make_call(
    *, frames: int = 25, recording: TextIO | None = None, refused: bool = False, vanishing: bool = False
) -> CallReport:
    """Make a call, hear ``frames`` frames (20 ms each) of the greeting, hang up. Needs asyncio, as aiortc does.

    :param recording: an open file that gets what happened as JSON lines
    :param refused: let the provider refuse to connect the call
    :param vanishing: let the phone close its connection instead of hanging up
    :raises TimeoutError: the call has not ended in time; says what the connection waited for
    """
    call_id = f"wacid.{uuid4().hex[:12]}"
    connection_id = connection_id_of(call_id)
    started_at = time.time()
    timeline: list[Heard] = []
    ended: list[Call] = []
    phone = Phone(NUMBER, frames=frames, vanishes=vanishing)
    provider = Provider(refuses=refused)
    async with AsyncExitStack() as stack:
        stack.enter_context(loopback_only())
        stack.callback(provider.close)
        bus = await stack.enter_async_context(EventBus(middleware=default_chain()))
        bus.subscribe("*", lambda event: timeline.append(Heard(time.time(), event)), inline=True)
        if recording is not None:
            record(bus, recording)
        lifecycle = await stack.enter_async_context(ConnectionLifecycle(bus, load_definition("whatsapp_call")))
        model = await stack.enter_async_context(speech_model())
        gateway = Gateway(bus, lifecycle, provider, model, on_end=ended.append)
        async with create_task_group() as tasks:
            tasks.start_soon(gateway.serve, provider.webhooks)
            tasks.start_soon(phone.call, provider, call_id)
            await lifecycle.wait_until(connection_id, "terminated", timeout=CALL_TAKES_AT_MOST_S)
            provider.close()
        await bus.drain(CALL_TAKES_AT_MOST_S)
    (call,) = ended
    return CallReport(
        connection_id,
        started_at,
        tuple(timeline),
        _ready_to_audio_s(timeline, call.greeting.began_at),
        phone.ear.audible,
        call.caller_ear.audible,
        call.model_ear.audible,
    )


def _ready_to_audio_s(timeline: list[Heard], began_at: float | None) -> float | None:
    ready = next((heard.event for heard in timeline if heard.event.type == EventType.CONNECTION_READY), None)
    return began_at - ready.timestamp if ready is not None and began_at is not None else None

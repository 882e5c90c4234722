"""The gateway: it connects the caller and the speech model, and tells the bus what happens. Nothing waits by the clock.

Who knows what: this module knows *that* something happened and says so; the definition knows *what it means*. The
gateway never asks whether all is ready. It starts the audio when the lifecycle, entering ``ready``, calls
``start_audio``, and takes everything down when the lifecycle says that the call is ending, whoever ended it.

Rules:

* What aiortc's callbacks tell goes through ``bridge.py``: the bus hears it in the order in which it happened, and no
  callback leaves a task behind.
* Hooks and listeners are there before anything can start that they are for.
* What is open is closed by the block that opened it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from aiortc import RTCDataChannel, RTCPeerConnection, RTCRtpReceiver
from anyio import create_task_group
from anyio.abc import ObjectReceiveStream, TaskGroup

from bus import AIEventData, Event, EventBus, EventType, WebRTCEventData, WhatsAppEventData
from examples.webrtc_call.bridge import Tell, telling
from examples.webrtc_call.media import Ear, Tone
from examples.webrtc_call.outside import CallEnded, CallOffered, Model, Provider
from examples.webrtc_call.peers import (
    answer_of,
    offer_of,
    peer_connection,
    take_answer,
    take_offer,
    watch_channel,
    watch_peer,
)
from statemachines import ConnectionEnded, ConnectionLifecycle, DuplicateConnection

# Not among the well-known names; any other is as good.
CALL_CLOSED = "whatsapp.call_closed"
RESTART_FAILED = "webrtc.restart_failed"
AI_FAILED = "ai.connection_failed"


def connection_id_of(call_id: str) -> str:
    """The id under which a call is registered. Made from the provider's, so a repeated web-hook is seen as one."""
    return f"conn_{call_id.removeprefix('wacid.')}"


class Gateway:
    """Takes the provider's web-hooks, handles each call in a task of its own, and gives the lifecycle its hooks.

    :param on_end: called with each call that has ended
    """

    def __init__(
        self,
        bus: EventBus,
        lifecycle: ConnectionLifecycle,
        provider: Provider,
        model: Model,
        *,
        on_end: Callable[[Call], None],
    ) -> None:
        self._bus = bus
        self._lifecycle = lifecycle
        self._provider = provider
        self._model = model
        self._on_end = on_end
        self._calls: dict[str, Call] = {}
        for name, hook in {
            "start_audio": Call.start_audio,
            "stop_audio": Call.stop_audio,
            "restart_ice": Call.restart_ice,
        }.items():
            lifecycle.hook(name, self._of_call(hook))

    async def serve(self, webhooks: ObjectReceiveStream[CallOffered | CallEnded]) -> None:
        """Handle web-hooks until there are no more, and the calls that they began."""
        async with webhooks, create_task_group() as tasks:
            async for webhook in webhooks:
                if isinstance(webhook, CallEnded):
                    await self._end(webhook)
                elif (connection_id := connection_id_of(webhook.call_id)) not in self._calls:
                    # Known from now on: a web-hook that the provider repeats leaves the living call alone, and the
                    # hooks find the call however early they are called.
                    call = self._calls[connection_id] = Call(connection_id, webhook)
                    tasks.start_soon(self._handle, call)

    async def _handle(self, call: Call) -> None:
        try:
            await self._lifecycle.register_connection(call.connection_id, call_id=call.call_id)
            await call.run(self._bus, self._lifecycle, self._provider, self._model)
        except DuplicateConnection:
            return  # a repeated web-hook, of a call that has just ended
        finally:
            del self._calls[call.connection_id]
        self._on_end(call)

    async def _end(self, ended: CallEnded) -> None:
        # The web-hook names only the call id; the lifecycle finds the connection by it.
        await self._bus.publish(
            EventType.WHATSAPP_CALL_TERMINATED, WhatsAppEventData(call_id=ended.call_id), call_id=ended.call_id
        )

    def _of_call(self, hook: Callable[[Call], None]) -> Callable[[Event], None]:
        def call_hook(event: Event) -> None:
            if call := self._calls.get(event.connection_id or ""):
                hook(call)

        return call_hook


class Call:
    """One call at the gateway: two peer connections, and what they tell.

    :ivar greeting: what the caller hears, from the moment the connection is ready
    :ivar caller_ear: what arrives from the caller
    :ivar model_ear: what arrives from the model
    """

    _tell_bus: Tell

    def __init__(self, connection_id: str, offered: CallOffered) -> None:
        self.connection_id = connection_id
        self.call_id = offered.call_id
        self.greeting = Tone(300, on_first_frame=self._greeted)
        self.caller_ear = Ear(on_first_frame=self._caller_heard)
        self.model_ear = Ear(on_first_frame=self._model_heard)
        self._offered = offered
        self._caller: RTCRtpReceiver | None = None
        self._model: RTCRtpReceiver | None = None
        self._ending = False

    async def run(self, bus: EventBus, lifecycle: ConnectionLifecycle, provider: Provider, model: Model) -> None:
        """Be the call, from the offer until everything is closed and said."""
        async with telling(bus) as self._tell_bus:
            self._tell_call(EventType.WHATSAPP_CALL_STARTED, phone_number=self._offered.phone_number)
            async with create_task_group() as tasks, peer_connection() as to_caller, peer_connection() as to_model:
                tasks.start_soon(self._answer_caller, to_caller, provider, tasks)
                tasks.start_soon(self._open_session, to_model, model, tasks)
                with suppress(ConnectionEnded):  # at one blow, by terminate_connection
                    await lifecycle.wait_until(self.connection_id, "terminating")
                self._ending = True
                # A leg that is still being set up must not come up after the end.
                tasks.cancel_scope.cancel()
            self._tell_call(CALL_CLOSED)

    # -- what the lifecycle calls: the hooks that the definition names ------------------------------------------------

    def start_audio(self) -> None:
        """The connection is ready: let the caller hear the greeting."""
        self.greeting.begin()

    def stop_audio(self) -> None:
        """The connection is not ready any more."""
        self.greeting.stop()

    def restart_ice(self) -> None:
        """The connection is to be saved. aiortc cannot restart ICE, so this is said at once and not timed out."""
        self._tell(RESTART_FAILED, WebRTCEventData(self.connection_id))

    # -- the two legs: independent of each other, ready in whatever order ---------------------------------------------

    async def _answer_caller(self, peer: RTCPeerConnection, provider: Provider, tasks: TaskGroup) -> None:
        def has_track(receiver: RTCRtpReceiver) -> None:
            self._caller = receiver
            tasks.start_soon(self.caller_ear.listen, receiver.track)

        watch_peer(peer, ice_state=self._ice_changed, track=has_track)
        self._tell(EventType.SDP_OFFER_RECEIVED, WebRTCEventData(self.connection_id, sdp=self._offered.sdp))
        await take_offer(peer, self._offered.sdp)
        peer.addTrack(self.greeting)
        answer = await answer_of(peer)
        self._tell(EventType.SDP_ANSWER_GENERATED, WebRTCEventData(self.connection_id, sdp=answer))
        status = await provider.accept(self.call_id, answer)
        accepted = status == 200
        self._tell_call(EventType.WHATSAPP_CALL_ACCEPTED if accepted else EventType.WHATSAPP_CALL_TERMINATED)

    async def _open_session(self, peer: RTCPeerConnection, model: Model, tasks: TaskGroup) -> None:
        def has_track(receiver: RTCRtpReceiver) -> None:
            self._model = receiver
            tasks.start_soon(self.model_ear.listen, receiver.track)

        watch_peer(peer, ice_state=self._model_ice_changed, track=has_track)
        peer.addTransceiver("audio", direction="recvonly")
        channel = peer.createDataChannel("events")
        watch_channel(channel, opened=lambda: self._channel_opened(channel), message=self._model_said)
        await take_answer(peer, await model.open_session(await offer_of(peer)))

    # -- what happened, as events: called by aiortc, never waiting ----------------------------------------------------

    def _ice_changed(self, state: str) -> None:
        self._tell(EventType.ICE_CONNECTION_CHANGED, WebRTCEventData(self.connection_id, ice_state=state))
        if state == "closed" and not self._ending:
            # The caller's side closed the connection, and for this the provider has no web-hook.
            self._tell_call(EventType.WHATSAPP_CALL_TERMINATED)

    def _model_ice_changed(self, state: str) -> None:
        if state in ("closed", "failed") and not self._ending:
            self._tell(AI_FAILED, AIEventData(self.connection_id, error=f"the model's connection is {state}"))

    def _caller_heard(self) -> None:
        # An SDP promises a track; the first frame is the track, and only now its source is known.
        assert self._caller is not None
        source = next(iter(self._caller.getSynchronizationSources()), None)
        self._tell(
            EventType.AUDIO_TRACK_READY,
            WebRTCEventData(
                self.connection_id,
                track_type=self._caller.track.kind,
                track_id=self._caller.track.id,
                ssrc=source.source if source is not None else None,
            ),
        )

    def _model_heard(self) -> None:
        assert self._model is not None
        self._tell(EventType.AI_AUDIO_READY, AIEventData(self.connection_id, audio_track_id=self._model.track.id))

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        self._tell(EventType.AI_DATA_CHANNEL_READY, AIEventData(self.connection_id, data_channel_id=str(channel.id)))

    def _model_said(self, message: str) -> None:
        if json.loads(message)["type"] == "session.created":
            self._tell(EventType.AI_CONNECTION_INIT, AIEventData(self.connection_id, is_ready=True))

    def _greeted(self) -> None:
        self._tell(EventType.AI_GREETING_SENT, AIEventData(self.connection_id, greeting_sent=True))

    def _tell_call(self, type: str, *, phone_number: str | None = None) -> None:
        self._tell(type, WhatsAppEventData(self.connection_id, call_id=self.call_id, phone_number=phone_number))

    def _tell(self, type: str, data: WebRTCEventData | AIEventData | WhatsAppEventData) -> None:
        self._tell_bus(Event(type, self.connection_id, data, call_id=self.call_id))

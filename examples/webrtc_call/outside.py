"""The world around the gateway: a phone, the telephone provider, a speech model. None of it knows of phasebus.

The phone and the model are real WebRTC peers. The provider's HTTP is played in process: a web-hook is an object in a
stream, the accept request a coroutine that returns the status.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiortc import RTCDataChannel, RTCPeerConnection
from anyio import Event, create_memory_object_stream, create_task_group
from attrs import field, frozen

from examples.webrtc_call.media import Ear, Tone
from examples.webrtc_call.peers import (
    answer_of,
    offer_of,
    peer_connection,
    take_answer,
    take_offer,
    watch_channel,
    watch_peer,
)

MAX_WAITING_WEBHOOKS = 16


@frozen
class CallOffered:
    """Web-hook: somebody calls."""

    call_id: str
    phone_number: str = field(repr=False)
    sdp: str = field(repr=False)


@frozen
class CallEnded:
    """Web-hook: the call is over. As in real life it names the call as the provider knows it, and nothing else."""

    call_id: str


class Provider:
    """The telephone company between one phone and the gateway.

    :param refuses: answer the accept request with 403
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self._send, self.webhooks = create_memory_object_stream[CallOffered | CallEnded](MAX_WAITING_WEBHOOKS)
        self._refuses = refuses
        self._decided = Event()
        self._answer: str | None = None

    async def dial(self, call: CallOffered) -> str | None:
        """The phone's side: offer the call, and wait for the answer; None if there will be no call."""
        await self._send.send(call)
        await self._decided.wait()
        return self._answer

    async def hang_up(self, call_id: str) -> None:
        """The phone's side: end the call."""
        await self._send.send(CallEnded(call_id))

    async def accept(self, call_id: str, sdp: str) -> int:
        """The gateway's side: the accept request. The phone gets the answer; returns the HTTP status."""
        self._answer = None if self._refuses else sdp
        self._decided.set()
        return 403 if self._refuses else 200

    def close(self) -> None:
        """No more web-hooks."""
        self._decided.set()
        self._send.close()


class Phone:
    """Calls, listens until it has really heard ``frames`` audible frames of 20 ms, hangs up.

    :param vanishes: only close the connection at the end, as a phone that is switched off does
    """

    def __init__(self, number: str, *, frames: int, vanishes: bool = False) -> None:
        self._number = number
        self._vanishes = vanishes
        self.voice = Tone(200)
        self.ear = Ear(enough=frames)

    async def call(self, provider: Provider, call_id: str) -> None:
        """The whole call, from dialling to hanging up."""
        async with create_task_group() as tasks, peer_connection() as peer:
            watch_peer(peer, track=lambda receiver: tasks.start_soon(self.ear.listen, receiver.track))
            peer.addTrack(self.voice)
            self.voice.begin()
            answer = await provider.dial(CallOffered(call_id, self._number, await offer_of(peer)))
            if answer is None:
                return
            await take_answer(peer, answer)
            await self.ear.heard_enough()
            if not self._vanishes:
                await provider.hang_up(call_id)


class Model:
    """A speech model: answers one session's offer, says ``session.created`` on the data channel, and speaks."""

    def __init__(self, peer: RTCPeerConnection) -> None:
        self.voice = Tone(400)
        self._peer = peer
        self._peer.on("datachannel", self._greet)

    async def open_session(self, offer: str) -> str:
        """The request that opens a session: SDP in, SDP out."""
        await take_offer(self._peer, offer)
        self._peer.addTrack(self.voice)
        self.voice.begin()
        return await answer_of(self._peer)

    @staticmethod
    def _greet(channel: RTCDataChannel) -> None:
        # On this side the channel is open when it is first seen, and says so to nobody: hence watch_channel's look.
        watch_channel(channel, opened=lambda: channel.send(json.dumps({"type": "session.created"})))


@asynccontextmanager
async def speech_model() -> AsyncIterator[Model]:
    """A model that is there for as long as the block lasts."""
    async with peer_connection() as peer:
        yield Model(peer)

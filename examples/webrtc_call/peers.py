"""aiortc's peer connections, brought into structured concurrency: each thing heard once, each connection closed.

aiortc tells what happens by events, and an event reaches only those who listen at that moment: the ``open`` of a data
channel never comes on the side that did not create it (aiortc#1228), and what is said before a listener is there is
lost (aiortc#1194). Hence the rule of this module: **first listen, then look**. Each event of aiortc does no more than
make us look at the present state, we look once by ourselves too, and what was seen before is not told again.

The callbacks are plain functions: pyee runs an ``async`` one in a task that nobody owns, after later events may have
come. The weak spot is ``datachannel``: aiortc keeps no public list of channels to look at, so a listener that comes
after the handshake has started may miss one for good.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from unittest.mock import patch

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from anyio import move_on_after

CLOSING_TAKES_AT_MOST_S = 5
LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def peer_connection() -> AsyncIterator[RTCPeerConnection]:
    """A peer connection that needs no server, closed at the end, also when the end is a cancellation."""
    # One transport for all (max-bundle), and no STUN server: aiortc would ask a public one by default.
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    try:
        yield peer
    finally:
        with move_on_after(CLOSING_TAKES_AT_MOST_S, shield=True):
            await peer.close()


def watch_peer(
    peer: RTCPeerConnection,
    *,
    ice_state: Callable[[str], None] | None = None,
    track: Callable[[RTCRtpReceiver], object] | None = None,
) -> None:
    """Tell each new ICE state, and each receiver that has got a track, once, however early it happened."""
    seen: set[object] = set()
    last_state = "new"

    def look(*_: object) -> None:
        nonlocal last_state
        state = peer.iceConnectionState
        if ice_state is not None and state != last_state:
            last_state = state
            ice_state(state)
        for receiver in peer.getReceivers():
            if track is not None and receiver.track is not None and receiver not in seen:
                seen.add(receiver)
                track(receiver)

    peer.on("iceconnectionstatechange", look)
    peer.on("track", look)
    look()


def watch_channel(
    channel: RTCDataChannel, *, opened: Callable[[], None], message: Callable[[str], None] | None = None
) -> None:
    """Tell once that the channel is open, however early it opened; pass on each message that comes from now on."""
    told = False

    def look() -> None:
        nonlocal told
        if channel.readyState == "open" and not told:
            told = True
            opened()

    if message is not None:
        channel.on("message", message)
    channel.on("open", look)
    look()


async def offer_of(peer: RTCPeerConnection) -> str:
    """The SDP that offers what the peer has; candidates included."""
    await peer.setLocalDescription(await peer.createOffer())
    return str(peer.localDescription.sdp)


async def answer_of(peer: RTCPeerConnection) -> str:
    """The SDP that answers the offer that the peer was given; candidates included."""
    await peer.setLocalDescription(await peer.createAnswer())
    return str(peer.localDescription.sdp)


async def take_offer(peer: RTCPeerConnection, sdp: str) -> None:
    """Give the peer what the other side offers."""
    await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))


async def take_answer(peer: RTCPeerConnection, sdp: str) -> None:
    """Give the peer what the other side answered."""
    await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))


@contextmanager
def loopback_only() -> Iterator[None]:
    """Every connection made within offers 127.0.0.1 and no other address.

    The call then works on a machine without a network, and a recording of it says nothing about the machine. aioice has
    no parameter for it (aioice#2) and leaves loopback out, so the function that lists the addresses is replaced.
    """
    with patch("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK]):
        yield

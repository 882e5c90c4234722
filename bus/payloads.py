"""What events carry: one attrs class per namespace, as in the gateway that phasebus comes from.

A payload may also be a plain mapping. Either way a field is read by name with :meth:`bus.Event.field`, and a missing
one is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from bus.event import Event


@frozen
class WebRTCEventData:
    """A peer connection's news. ``ice_state`` is the W3C name, as in ``checking`` or ``connected``."""

    connection_id: str | None = None
    track_type: str | None = None
    ssrc: int | None = None
    sdp: str | None = None
    ice_state: str | None = None
    track_id: str | None = None


@frozen
class AIEventData:
    """The speech model's news."""

    connection_id: str | None = None
    is_ready: bool | None = None
    data_channel_id: str | None = None
    audio_track_id: str | None = None
    greeting_sent: bool | None = None
    error: str | None = None


@frozen
class WhatsAppEventData:
    """The telephone provider's news. Holds personal data: never logged unless asked for."""

    connection_id: str | None = None
    call_id: str | None = None
    phone_number: str | None = None
    contact_name: str | None = None
    business_number: str | None = None
    voice_language: str | None = None
    agent_id: str | None = None


@frozen
class HandlerFailure:
    """Payload of ``handler.failed``: which handler failed, on which event, with what, after how many tries."""

    event: Event
    handler: str
    error: str
    tries: int = 1


PAYLOAD_CLASSES: dict[str, type] = {
    "webrtc": WebRTCEventData,
    "ai": AIEventData,
    "whatsapp": WhatsAppEventData,
}
"""The payload class of each namespace, for reading events from JSON."""

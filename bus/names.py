"""Names of events: the ones phasebus knows, the grammar of all others, and patterns over them.

A name is two or more tokens ``[a-z][a-z0-9_]*`` joined by dots, by convention ``namespace.past_tense_action``. A
pattern is a name, ``prefix.*`` (every name that goes on after the prefix) or ``*`` (every name).
"""

from __future__ import annotations

import re
from enum import StrEnum

_TOKEN = "[a-z][a-z0-9_]*"
_NAME = re.compile(rf"{_TOKEN}(\.{_TOKEN})+")
_PATTERN = re.compile(rf"\*|{_TOKEN}(\.{_TOKEN})*\.\*|{_TOKEN}(\.{_TOKEN})+")


class EventType(StrEnum):
    """The events of a call bridged over WebRTC to an AI voice, and those that phasebus itself publishes."""

    CONNECTION_CREATED = "connection.created"
    CONNECTION_READY = "connection.ready"
    CONNECTION_TERMINATED = "connection.terminated"
    CONNECTION_PHASE_CHANGED = "connection.phase_changed"
    CONNECTION_UNKNOWN = "connection.unknown"

    SDP_OFFER_RECEIVED = "webrtc.sdp_offer_received"
    SDP_ANSWER_GENERATED = "webrtc.sdp_answer_generated"
    ICE_CONNECTION_CHANGED = "webrtc.ice_connection_changed"
    AUDIO_TRACK_READY = "webrtc.audio_track_ready"

    AI_CONNECTION_INIT = "ai.connection_initialized"
    AI_AUDIO_READY = "ai.audio_track_ready"
    AI_DATA_CHANNEL_READY = "ai.data_channel_ready"
    AI_GREETING_SENT = "ai.greeting_sent"

    WHATSAPP_CALL_STARTED = "whatsapp.call_started"
    WHATSAPP_CALL_ACCEPTED = "whatsapp.call_accepted"
    WHATSAPP_CALL_TERMINATED = "whatsapp.call_terminated"
    WHATSAPP_AUDIO_READY = "whatsapp.audio_ready"

    HANDLER_FAILED = "handler.failed"
    EVENT_DROPPED = "event.dropped"


def is_event_name(text: str) -> bool:
    """Whether ``text`` can name an event: ``webrtc.audio_track_ready`` can, ``Ready`` and ``webrtc.*`` cannot."""
    return _NAME.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Whether ``text`` can be subscribed to: a name, ``prefix.*`` or ``*``."""
    return _PATTERN.fullmatch(text) is not None


def matches(pattern: str, event_type: str) -> bool:
    """Whether an event of this type is one that ``pattern`` means.

    >>> matches("webrtc.*", "webrtc.audio_track_ready"), matches("a.b", "a.b.c")
    (True, False)
    """
    if pattern == event_type or pattern == "*":
        return True
    return pattern.endswith(".*") and event_type.startswith(pattern[:-1])


def prefixes(event_type: str) -> list[str]:
    """The ``prefix.*`` patterns that match a name, the longest first.

    >>> prefixes("a.b.c")
    ['a.b.*', 'a.*']
    """
    found = []
    end = event_type.rfind(".")
    while end > 0:
        found.append(event_type[: end + 1] + "*")
        end = event_type.rfind(".", 0, end)
    return found

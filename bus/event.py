"""The event: what happened, to which connection, when, and caused by what. Immutable."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

import attrs
from attrs import frozen

from bus.payloads import AIEventData, WebRTCEventData, WhatsAppEventData


class _Identifiers:
    """Unique ids without a system call each: a random prefix for this process, then a counter.

    A UUID would cost more than all the rest of publishing an event.
    """

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.prefix = f"e{secrets.token_hex(8)}-"
        self._next = count(1).__next__

    def __call__(self) -> str:
        return self.prefix + str(self._next())


_new_id = _Identifiers()


def id_was_generated(event: Event) -> bool:
    """Whether this process made up the event's id, rather than the publisher giving one that means something."""
    return event.id.startswith(_new_id.prefix)


def _plain(event_type: str) -> str:
    return event_type if type(event_type) is str else str(event_type)


@frozen
class Event:
    """Something that happened.

    :param type: a name such as ``webrtc.audio_track_ready`` (a member of :class:`~bus.EventType` is one)
    :param connection_id: whom it concerns; None if it is to be found by ``call_id`` or another key, or concerns nobody
    :param data: a payload object or a mapping
    :param id: unique; made up when not given. Give the id that the outside world gave, and a repetition is recognised
    :param timestamp: Unix seconds; now when not given
    :param error: what went wrong, if the event tells of a failure
    :param causation_id: the id of the event whose handling published this one; filled in by the bus

    >>> Event("webrtc.audio_track_ready", "conn_1", {"track_type": "audio"}).field("track_type")
    'audio'
    """

    type: str = attrs.field(converter=_plain)
    connection_id: str | None = None
    data: Any = attrs.field(factory=dict)
    id: str = attrs.field(factory=_new_id, kw_only=True)
    call_id: str | None = attrs.field(default=None, kw_only=True)
    tenant_id: str | None = attrs.field(default=None, kw_only=True)
    timestamp: float = attrs.field(factory=time.time, kw_only=True)
    error: str | BaseException | None = attrs.field(default=None, kw_only=True)
    causation_id: str | None = attrs.field(default=None, kw_only=True)
    causation_depth: int = attrs.field(default=0, kw_only=True)
    """How many events stand before this one in its chain of causes."""

    @property
    def is_error(self) -> bool:
        """Whether the event tells of a failure."""
        return self.error is not None

    @property
    def webrtc_data(self) -> WebRTCEventData | None:
        """The payload, if it is a :class:`~bus.WebRTCEventData`."""
        return self.data if isinstance(self.data, WebRTCEventData) else None

    @property
    def ai_data(self) -> AIEventData | None:
        """The payload, if it is an :class:`~bus.AIEventData`."""
        return self.data if isinstance(self.data, AIEventData) else None

    @property
    def whatsapp_data(self) -> WhatsAppEventData | None:
        """The payload, if it is a :class:`~bus.WhatsAppEventData`."""
        return self.data if isinstance(self.data, WhatsAppEventData) else None

    def field(self, name: str) -> Any:
        """A field of the payload, whether it is a mapping or an object; None if there is none of that name."""
        return payload_field(self.data, name)


def payload_field(data: Any, name: str) -> Any:
    """``data[name]`` of a mapping, ``data.name`` of an object, None if there is none of that name."""
    if isinstance(data, Mapping):
        return data.get(name)
    return getattr(data, name, None)

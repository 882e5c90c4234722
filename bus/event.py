"""The event: what happened, to which connection, when, and caused by what. Immutable."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from itertools import count
from time import time
from typing import Any, cast, final

import attrs
from attrs import frozen

from bus.payloads import AIEventData, WebRTCEventData, WhatsAppEventData


class _GeneratedIds:
    """Ids are unique without a system call each: a random prefix for this process, then a counter.

    A UUID would cost more than all the rest of publishing an event.

    :ivar prefix: what an id begins with that was made up here, not given by a publisher for whom it means something
    """

    __slots__ = ("next_number", "prefix")

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.prefix = f"e{secrets.token_hex(8)}-"
        self.next_number: Callable[[], int] = count(1).__next__


generated_ids = _GeneratedIds()

_set_attribute = object.__setattr__


@final
@frozen(init=False, weakref_slot=False)
class Event:
    """Something that happened.

    :param type: a name such as ``webrtc.audio_track_ready`` (a member of :class:`~bus.EventType` is one)
    :param connection_id: whom it concerns; None if it is to be found by ``call_id`` or another key, or concerns nobody
    :param data: a payload object or a mapping; an empty one when not given
    :param id: unique; made up when not given. Give the id that the outside world gave, and a repetition is recognised
    :param timestamp: Unix seconds; now when not given
    :param error: what went wrong, if the event tells of a failure
    :param causation_id: the id of the event whose handling published this one; filled in by the bus
    :param causation_depth: how many events stand before this one in its chain of causes; filled in by the bus

    >>> Event("webrtc.audio_track_ready", "conn_1", {"track_type": "audio"}).field("track_type")
    'audio'
    """

    type: str
    connection_id: str | None
    data: Any
    id: str = attrs.field(kw_only=True)
    call_id: str | None = attrs.field(kw_only=True)
    tenant_id: str | None = attrs.field(kw_only=True)
    timestamp: float = attrs.field(kw_only=True)
    error: str | BaseException | None = attrs.field(kw_only=True)
    causation_id: str | None = attrs.field(kw_only=True)
    causation_depth: int = attrs.field(kw_only=True)

    def __init__(
        self,
        type: str,
        connection_id: str | None = None,
        data: Any = None,
        *,
        id: str | None = None,
        call_id: str | None = None,
        tenant_id: str | None = None,
        timestamp: float | None = None,
        error: str | BaseException | None = None,
        causation_id: str | None = None,
        causation_depth: int = 0,
    ) -> None:
        # Making an event is a good part of what publishing one costs, and writing to a frozen object most of that. So
        # it is filled while it belongs to a class of the same slots that is not frozen.
        _set_attribute(self, "__class__", _Unfrozen)
        draft: Any = self
        draft.type = type if type.__class__ is str else str(type)
        draft.connection_id = connection_id
        draft.data = {} if data is None else data
        draft.id = f"{generated_ids.prefix}{generated_ids.next_number()}" if id is None else id
        draft.call_id = call_id
        draft.tenant_id = tenant_id
        draft.timestamp = time() if timestamp is None else timestamp
        draft.error = error
        draft.causation_id = causation_id
        draft.causation_depth = causation_depth
        draft.__class__ = Event

    def __init_subclass__(cls) -> None:
        raise TypeError("Event cannot be subclassed: what is yours goes into data, as a class of your own if you like")

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


class _Unfrozen:
    """What an event is while it is being made: of the same layout, so that it can become one."""

    __slots__ = tuple(field.name for field in attrs.fields(Event))

    def __init__(self, type: str, connection_id: str | None, data: Any) -> None:
        draft: Any = self
        draft.type = type if type.__class__ is str else str(type)
        draft.connection_id = connection_id
        draft.data = data
        draft.id = f"{generated_ids.prefix}{generated_ids.next_number()}"
        draft.timestamp = time()
        draft.call_id = draft.tenant_id = draft.error = draft.causation_id = None
        draft.causation_depth = 0
        draft.__class__ = Event


plain_event = cast("Callable[[str, str | None, Any], Event]", _Unfrozen)
"""``Event(type, connection_id, data)`` for three quarters of the price: it is what most publishing is."""


class Events(tuple[Event, ...]):
    """What a batch carries. A class of its own, since anybody may publish something called ``event.batch``."""

    __slots__ = ()


def events_of(event: Event) -> tuple[Event, ...]:
    """The events that one delivery is about: those of a batch, or the one."""
    return event.data if event.data.__class__ is Events else (event,)


def payload_field(data: Any, name: str) -> Any:
    """``data[name]`` of a mapping, ``data.name`` of an object, None if there is none of that name."""
    if data.__class__ is dict or isinstance(data, Mapping):
        return data.get(name)
    return getattr(data, name, None)

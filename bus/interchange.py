"""Events to and from JSON, by cattrs.

A payload of a known namespace comes back as its class when its fields fit, otherwise as a plain mapping: nothing that
was sent is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType
from typing import Any, get_args

import attrs
from cattrs import Converter

from bus.errors import InvalidEvent
from bus.event import Event
from bus.payloads import PAYLOAD_CLASSES
from bus.structuring import Misfit, structure

_KINDS: dict[str, tuple[type, ...]] = {
    "connection_id": (str,),
    "id": (str,),
    "call_id": (str,),
    "tenant_id": (str,),
    "timestamp": (int, float),
    "error": (str,),
    "causation_id": (str,),
    "causation_depth": (int,),
}
_WORDS = {str: "a text", int: "a number", float: "a number"}


@lru_cache(maxsize=1)
def _converter() -> Converter:
    converter = Converter(omit_if_default=False)
    converter.register_unstructure_hook(BaseException, error_to_text)
    return converter


def event_to_dict(event: Event) -> dict[str, Any]:
    """The event as plain data; fields that say nothing are left out."""
    plain = {name: value for name, value in attrs.asdict(event, recurse=False).items() if value is not None}
    if event.error is not None:
        plain["error"] = error_to_text(event.error)
    plain["data"] = payload_to_plain(event.data)
    if not event.causation_depth:
        del plain["causation_depth"]
    return plain


def error_to_text(error: str | BaseException) -> str:
    """An error as one text: an exception by its class and its words, as in ``ValueError: broken``."""
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)


def payload_to_plain(data: Any) -> Any:
    """A payload as JSON can say it: the fields of an object that are set, the entries of a mapping."""
    if isinstance(data, Event):
        return event_to_dict(data)
    if attrs.has(type(data)):
        return {
            name: payload_to_plain(value)
            for name, value in attrs.asdict(data, recurse=False).items()
            if value is not None
        }
    if isinstance(data, Mapping):
        return {_key(name): payload_to_plain(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [payload_to_plain(value) for value in data]
    return _converter().unstructure(data)


def _key(name: Any) -> Any:
    return name if name is None or isinstance(name, (str, int, float)) else str(name)


def event_from_dict(plain: Any) -> Event:
    """The event that ``plain`` describes, or :class:`InvalidEvent` that names the field and what is wrong."""
    if not isinstance(plain, dict):
        raise InvalidEvent("event", None, 'an event is an object, as in {"type": "webrtc.audio_track_ready"}')
    event_type = plain.get("type")
    if not isinstance(event_type, str):
        raise InvalidEvent("event", "type", "is missing, or not a text")
    fields: dict[str, Any] = {}
    for name, value in plain.items():
        if name in ("type", "data") or value is None:
            continue
        kinds = _KINDS.get(name)
        if kinds is None:
            raise InvalidEvent(event_type, name, f"unknown field; the fields are type, data, {', '.join(_KINDS)}")
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InvalidEvent(
                event_type, name, f"must be {_WORDS[kinds[-1]]}, not {json.dumps(value, default=repr)[:40]}"
            )
        fields[name] = value
    data = plain.get("data")
    return Event(event_type, fields.pop("connection_id", None), payload_of(event_type, data), **fields)


def event_to_json(event: Event) -> str:
    """The event as one line of JSON. Values that JSON cannot say become text."""
    return json.dumps(event_to_dict(event), default=str, ensure_ascii=False)


def event_from_json(line: str | bytes) -> Event:
    """The event of one JSON text, or :class:`InvalidEvent`."""
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("event", None, f"not JSON: {error}") from None
    return event_from_dict(plain)


@lru_cache(maxsize=len(PAYLOAD_CLASSES))
def _plain_types(payload_class: type) -> dict[str, type | None]:
    """The fields of a payload class, each with the one type whose values are right as they are; None if there is none.

    Most payloads need no converter, which would cost more than making the rest of the event.
    """
    attrs.resolve_types(payload_class)
    return {field.name: _plain_type(field.type) for field in attrs.fields(payload_class)}


def _plain_type(hint: Any) -> type | None:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 and kinds[0] in (str, int, bool) else None


def payload_of(event_type: str, data: Any) -> Any:
    """A payload as events of that type have it: an object of its namespace's class, if the fields fit."""
    if data is None:
        return {}
    payload_class = PAYLOAD_CLASSES.get(event_type.partition(".")[0])
    if payload_class is None or not isinstance(data, dict):
        return data
    plain = _plain_types(payload_class)
    for name, value in data.items():
        if type(value) is not plain.get(name):
            break
    else:
        return payload_class(**data)
    if not data.keys() <= plain.keys():
        return data
    try:
        return structure(data, payload_class)
    except Misfit:  # a field of another type than the class says: keep what was sent
        return data

"""Events to and from CloudEvents 1.0 in the JSON Event Format: one as an object, several as a batch.

=================  ===================  ==========================================================================
attribute          of an event          rule
=================  ===================  ==========================================================================
id, type           the same             not empty; the type is a name as in :mod:`bus.names`
source             –                    the caller's, when writing; checked and not kept, when reading
subject            connection_id        not empty
time               timestamp            RFC 3339; now when there is none
callid, tenantid   call_id, tenant_id   extensions, String
causationid        causation_id         extension, String
causationdepth     causation_depth      extension, Integer; left out at zero
error              error                extension, String: on one line, what an attribute may not hold is escaped
data, data_base64  data                 JSON, or bytes
=================  ===================  ==========================================================================

Nothing else that a producer says is lost: other extensions, ``dataschema`` and an unusual ``datacontenttype`` come with
the payload, under the one key ``cloudevent``. So ``event.field("cloudevent")["traceparent"]`` is there; a payload with
that entry stays a mapping, whatever its namespace. What breaks the specification is refused, reading and writing alike.

An id is unique within its source only (CE id), and the bus's deduplication goes by the id. Where several sources feed
one bus, make it unique before reading: ``plain | {"id": f"{plain['source']} {plain['id']}"}``.

"CE" is the CloudEvents specification, "JSON" its JSON Event Format, both 1.0.2. Weak spot: of an attribute that a JSON
text names twice, the last one counts.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from bus.cloudevent_attributes import ATTRIBUTES, binary, extension
from bus.errors import InvalidEvent
from bus.event import Event
from bus.interchange import event_from_dict, payload_to_plain

CLOUDEVENT_MEDIA_TYPE = "application/cloudevents+json"
"""The content type of one event, JSON section 3."""

CLOUDEVENTS_BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
"""The content type of a batch, JSON section 4.2."""

KEPT = "cloudevent"
"""The payload's entry for what a CloudEvent says and an event has no field for."""

_REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile("[a-z0-9]+")


def event_to_cloudevent(event: Event, *, source: str = "phasebus") -> dict[str, Any]:
    """The event as the JSON object of a CloudEvent, in plain data that any JSON library can write.

    Add extension attributes of your own to what is returned, as in ``event_to_cloudevent(event) | {"region": "eu"}``.

    :param source: a URI-reference for where the event happened. ``source`` and ``id`` together must be unique, so give
        every deployment its own, as in ``//pbx.example/edge-7`` (CE source)
    :raises InvalidEvent: a CloudEvent cannot say it; ``field`` is the attribute. An empty id, an empty connection id, a
        control character in an identifier, a causation depth beyond 32 bits, a payload with NaN are such

    >>> event_to_cloudevent(Event("call.started", "conn_1", id="7", timestamp=0.5))["time"]
    '1970-01-01T00:00:00.500000Z'
    """
    given: dict[str, Any] = {"specversion": "1.0", "source": source}
    for name, row in ATTRIBUTES.items():
        value = getattr(event, row.field) if row.field else None
        written = None if value is None else _tried(event.type, name, row.write, value)
        if written is not None:
            given[name] = written
    for name, value in given.items():
        _tried(event.type, name, ATTRIBUTES[name].read, value)
    return given | _written_data(event)


def event_from_cloudevent(plain: Any) -> Event:
    """The event that the JSON object of a CloudEvent describes, whoever wrote it.

    Members that are null count as absent (JSON 2.2), so a payload of null is an empty one. Integers may come as text,
    since that is how they leave a binary-mode message (CE Type System). ``data_base64`` becomes bytes, or what the JSON
    in them says if ``datacontenttype`` declares JSON (JSON 3.1.2).

    :raises InvalidEvent: it is not a CloudEvent 1.0, or its type cannot name an event; ``field`` is the attribute. A
        type of another grammar is for the caller to translate: ``event_from_cloudevent(plain | {"type": ...})``

    >>> event_from_cloudevent(
    ...     {"specversion": "1.0", "id": "7", "source": "/calls", "type": "call.started", "subject": "conn_1"}
    ... ).connection_id
    'conn_1'
    """
    attributes = _checked_attributes(plain)
    fields = {row.field: attributes[name] for name, row in ATTRIBUTES.items() if row.field and name in attributes}
    kept = {name: value for name, value in attributes.items() if name not in ATTRIBUTES or name == "dataschema"}
    media_type = attributes.get("datacontenttype")
    data = _read_data(attributes["type"], plain, media_type)
    if media_type and _essence(media_type) != _usual_media_type(data):
        kept["datacontenttype"] = media_type
    return event_from_dict({**fields, "data": _with_kept(data, kept)})


def event_to_cloudevent_json(event: Event, *, source: str = "phasebus") -> str:
    """One event as ``application/cloudevents+json`` text, in ASCII; see :func:`event_to_cloudevent`."""
    return json.dumps(event_to_cloudevent(event, source=source))


def event_from_cloudevent_json(text: str | bytes) -> Event:
    """The event of one ``application/cloudevents+json`` text.

    :raises InvalidEvent: not JSON, or as for :func:`event_from_cloudevent`
    """
    return event_from_cloudevent(_parsed(text))


def events_to_cloudevents_json(events: Iterable[Event], *, source: str = "phasebus") -> str:
    """Events as one ``application/cloudevents-batch+json`` text, in their order; none is ``[]`` (JSON section 4).

    :raises InvalidEvent: as for :func:`event_to_cloudevent`; nothing is written then
    """
    return json.dumps([event_to_cloudevent(event, source=source) for event in events])


def events_from_cloudevents_json(text: str | bytes) -> list[Event]:
    """The events of one ``application/cloudevents-batch+json`` text, in their order: all of them or none.

    :raises InvalidEvent: not a JSON array, or as for :func:`event_from_cloudevent` with the number in the batch

    >>> events_from_cloudevents_json("[]")
    []
    """
    batch = _parsed(text)
    if not isinstance(batch, list):
        raise InvalidEvent("event", None, "a batch is an array of CloudEvents (JSON section 4.1)")
    events = []
    for number, plain in enumerate(batch, start=1):
        try:
            events.append(event_from_cloudevent(plain))
        except InvalidEvent as error:
            problem = f"{error.problem} (number {number} of the batch)"
            raise InvalidEvent(error.event_type, error.field, problem) from None
    return events


def _checked_attributes(plain: Any) -> dict[str, Any]:
    """The attributes that are set, as an event takes them, each by its rule."""
    if not isinstance(plain, Mapping):
        raise InvalidEvent("event", None, "a CloudEvent is an object; several are a batch (JSON sections 3 and 4)")
    given = {name: value for name, value in plain.items() if value is not None and name not in ("data", "data_base64")}
    event_type = given.get("type")
    known_as = event_type if event_type and isinstance(event_type, str) else "event"
    for name in _REQUIRED:
        if name not in given:
            raise InvalidEvent(known_as, name, "is missing (CE REQUIRED Attributes)")
    checked = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidEvent(known_as, str(name), "an attribute's name is a to z and 0 to 9 (CE Naming Conventions)")
        row = ATTRIBUTES.get(name)
        checked[name] = _tried(known_as, name, row.read if row else extension, value)
    return checked


def _tried(event_type: str, name: str, rule: Callable[[Any], Any], value: Any) -> Any:
    try:
        return rule(value)
    except ValueError as problem:
        raise InvalidEvent(event_type, name, str(problem)) from None


def _written_data(event: Event) -> dict[str, Any]:
    """JSON 3.1.1: bytes as ``data_base64``, everything else as the JSON value that it is."""
    if isinstance(event.data, (bytes, bytearray)):
        return {"datacontenttype": _usual_media_type(event.data), "data_base64": b64encode(event.data).decode("ascii")}
    try:
        data = json.loads(json.dumps(payload_to_plain(event.data), default=str, allow_nan=False))
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(event.type, "data", f"JSON cannot say it: {error}") from None
    return {"datacontenttype": _usual_media_type(data), "data": data}


def _read_data(event_type: str, plain: Mapping[str, Any], media_type: str | None) -> Any:
    """JSON 3.1.2."""
    data, encoded = plain.get("data"), plain.get("data_base64")
    declares_json = _essence(media_type or "application/json").endswith(("/json", "+json"))
    if encoded is None:
        if not declares_json and not isinstance(data, str | None):
            raise InvalidEvent(event_type, "data", f"must be a text, since datacontenttype is {media_type}")
        return data
    if data is not None:
        raise InvalidEvent(event_type, "data_base64", "excludes data; there is one payload (JSON section 3.1.1)")
    octets = _tried(event_type, "data_base64", binary, encoded)
    return _tried(event_type, "data_base64", _json, octets) if media_type and declares_json else octets


def _with_kept(data: Any, kept: dict[str, Any]) -> Any:
    """The attributes beside the payload's fields; a payload without fields goes in with them, as "data" names none."""
    if not kept or data is None:
        return {KEPT: kept} if kept else data
    if isinstance(data, dict) and KEPT not in data:
        return {**data, KEPT: kept}
    return {KEPT: {**kept, "data": data}}


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _usual_media_type(data: Any) -> str:
    return "application/octet-stream" if isinstance(data, (bytes, bytearray)) else "application/json"


def _parsed(text: str | bytes) -> Any:
    try:
        return _json(text)
    except ValueError as error:
        raise InvalidEvent("event", None, str(error)) from None


def _json(text: str | bytes) -> Any:
    """RFC 8259, which has no NaN."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")

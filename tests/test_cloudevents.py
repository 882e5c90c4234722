"""CloudEvents 1.0: there and back, against the official SDK, and every refusal by the attribute's name."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from bus import AIEventData, Event, HandlerFailure, InvalidEvent, WebRTCEventData, WhatsAppEventData
from bus.cloudevents import (
    CLOUDEVENT_MEDIA_TYPE,
    CLOUDEVENTS_BATCH_MEDIA_TYPE,
    event_from_cloudevent,
    event_from_cloudevent_json,
    event_to_cloudevent,
    event_to_cloudevent_json,
    events_from_cloudevents_json,
    events_to_cloudevents_json,
)

MINIMAL = {"specversion": "1.0", "id": "7", "source": "/calls", "type": "call.started"}
NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))

texts = st.text(max_size=20)
attribute_texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=NONCHARACTERS).filter(
        lambda character: not "\ufdd0" <= character <= "\ufdef"
    ),
    max_size=20,
)
words = attribute_texts.filter(bool)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
maybe_text = st.none() | texts
payloads: dict[str, st.SearchStrategy[Any]] = {
    "webrtc": st.builds(
        WebRTCEventData, maybe_text, maybe_text, st.none() | st.integers(), sdp=maybe_text, track_id=maybe_text
    ),
    "ai": st.builds(AIEventData, maybe_text, st.none() | st.booleans(), error=maybe_text),
    "whatsapp": st.builds(WhatsAppEventData, maybe_text, maybe_text, phone_number=maybe_text),
    "other": plain_values.filter(lambda data: data is not None) | st.binary(max_size=20),
}
fields: dict[str, st.SearchStrategy[Any]] = {
    "id": words,
    "call_id": st.none() | attribute_texts,
    "tenant_id": st.none() | attribute_texts,
    "causation_id": st.none() | attribute_texts,
    "error": st.none() | attribute_texts,
    "timestamp": st.floats(-6e10, 2.5e11) | st.integers(0, 4 * 10**9),
    "causation_depth": st.integers(0, 2**31 - 1),
}
sources = st.sampled_from(
    ["phasebus", "//pbx.example/edge-7", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "a%20b"]
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    namespace = draw(st.sampled_from(sorted(payloads)))
    chosen = draw(st.fixed_dictionaries({}, optional=fields))
    return Event(f"{namespace}.happened", draw(st.none() | words), draw(payloads[namespace]), **chosen)


def foreign(**attributes: Any) -> dict[str, Any]:
    """Somebody else's CloudEvent."""
    return {**MINIMAL, **attributes}


def refused_attribute(plain: Any) -> str | None:
    with pytest.raises(InvalidEvent) as raised:
        event_from_cloudevent(plain)
    return raised.value.field


# There and back


@given(events(), sources)
def test_an_event_comes_back_as_it_was(event: Event, source: str) -> None:
    assert event_from_cloudevent(event_to_cloudevent(event, source=source)) == event


@given(events(), sources)
def test_an_event_comes_back_from_json_as_it_was(event: Event, source: str) -> None:
    text = event_to_cloudevent_json(event, source=source)
    assert event_from_cloudevent_json(text) == event
    assert event_from_cloudevent_json(text.encode()) == event


@given(events())
def test_a_payload_comes_back_as_its_class(event: Event) -> None:
    assert type(event_from_cloudevent(event_to_cloudevent(event)).data) is type(event.data)


@given(st.lists(events(), max_size=4))
def test_a_batch_comes_back_as_it_was_in_its_order(batch: list[Event]) -> None:
    assert events_from_cloudevents_json(events_to_cloudevents_json(batch)) == batch


@given(st.floats(-6e10, 2.5e11))
def test_no_digit_of_a_time_is_lost(timestamp: float) -> None:
    written = event_to_cloudevent(Event("a.b", timestamp=timestamp))["time"]
    assert event_from_cloudevent(foreign(time=written)).timestamp == timestamp


@given(plain_values | st.dictionaries(st.sampled_from([*MINIMAL, "time", "data", "data_base64", "x"]), plain_values))
def test_any_json_is_an_event_or_an_invalid_event(plain: Any) -> None:
    with suppress(InvalidEvent):
        assert isinstance(event_from_cloudevent_json(json.dumps(plain)), Event)
    changed = foreign(**plain) if isinstance(plain, dict) else plain
    with suppress(InvalidEvent):
        assert isinstance(event_from_cloudevent(changed), Event)


@given(st.text() | st.binary())
def test_any_text_is_events_or_an_invalid_event(text: str | bytes) -> None:
    with suppress(InvalidEvent):
        assert isinstance(events_from_cloudevents_json(text), list)


# What is written


def test_each_field_of_an_event_has_its_attribute() -> None:
    event = Event(
        "webrtc.audio_track_ready",
        "conn_1",
        WebRTCEventData(track_type="audio"),
        id="e1",
        call_id="call_1",
        tenant_id="acme",
        timestamp=1_522_949_460.25,
        error="broken",
        causation_id="e0",
        causation_depth=3,
    )
    assert event_to_cloudevent(event, source="//pbx.example/edge-7") == {
        "specversion": "1.0",
        "id": "e1",
        "source": "//pbx.example/edge-7",
        "type": "webrtc.audio_track_ready",
        "subject": "conn_1",
        "time": "2018-04-05T17:31:00.250000Z",
        "datacontenttype": "application/json",
        "callid": "call_1",
        "tenantid": "acme",
        "causationid": "e0",
        "causationdepth": 3,
        "error": "broken",
        "data": {"track_type": "audio"},
    }


def test_no_field_of_an_event_is_forgotten() -> None:
    event = Event("a.b", "c", {"n": 1}, call_id="1", tenant_id="2", error="3", causation_id="4", causation_depth=5)
    assert None not in attrs.asdict(event).values()
    assert event_from_cloudevent(event_to_cloudevent(event)) == event


def test_what_an_event_does_not_say_is_left_out() -> None:
    assert set(event_to_cloudevent(Event("a.b"))) == {
        *MINIMAL,
        "time",
        "datacontenttype",
        "data",
    }


@given(events())
def test_attributes_are_named_and_typed_as_the_specification_says(event: Event) -> None:
    plain = event_to_cloudevent(event)
    for name in plain.keys() - {"data", "data_base64"}:
        assert name.isascii()
        assert name.isalnum()
        assert name == name.lower()
        assert len(name) <= 20
        assert isinstance(plain[name], int if name == "causationdepth" else str)


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-0.25, "1969-12-31T23:59:59.750000Z"),
        (1_700_000_000.1234567, "2023-11-14T22:13:20.1234567Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000000Z"),
        (-62_135_596_800, "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_time_has_microseconds_and_more_digits_only_if_it_needs_them(timestamp: float, time: str) -> None:
    assert event_to_cloudevent(Event("a.b", timestamp=timestamp))["time"] == time


def test_an_exception_becomes_text() -> None:
    assert event_to_cloudevent(Event("a.b", error=ValueError("broken")))["error"] == "ValueError: broken"


def test_an_error_of_several_lines_is_written_on_one() -> None:
    error = event_to_cloudevent(Event("a.b", error="first\nsecond\x85\ud800 grüße"))["error"]
    assert error == r"first\nsecond\x85\ud800 grüße"
    assert event_from_cloudevent(foreign(error=error)).error == error


def test_bytes_are_written_as_base64() -> None:
    plain = event_to_cloudevent(Event("a.b", data=b"\x00\xff"))
    assert plain["data_base64"] == "AP8="
    assert plain["datacontenttype"] == "application/octet-stream"
    assert "data" not in plain


def test_what_json_cannot_say_becomes_text() -> None:
    data = {"when": datetime(2018, 4, 5, tzinfo=UTC), 5: (1, 2)}
    assert event_to_cloudevent(Event("a.b", data=data))["data"] == {"when": "2018-04-05 00:00:00+00:00", "5": [1, 2]}


def test_a_failure_says_its_event() -> None:
    cause = Event("a.b", "c", {"n": 1}, id="1", timestamp=0.0)
    plain = event_to_cloudevent(Event("handler.failed", "c", HandlerFailure(cause, "handle", "ValueError: broken", 2)))
    assert plain["data"]["event"] == {
        "type": "a.b",
        "connection_id": "c",
        "data": {"n": 1},
        "id": "1",
        "timestamp": 0.0,
    }


def test_json_is_ascii_and_strict() -> None:
    assert event_to_cloudevent_json(Event("a.b", data={"name": "Łukasz \ud800"})).isascii()
    with pytest.raises(InvalidEvent, match="data: JSON cannot say it"):
        event_to_cloudevent_json(Event("a.b", data={"level": math.nan}))


def contains_itself() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["self"] = data
    return data


@pytest.mark.parametrize(
    ("event", "source", "attribute"),
    [
        (Event("a.b", id=""), "phasebus", "id"),
        (Event("a.b", id="line\nbreak"), "phasebus", "id"),
        (Event("a.b", ""), "phasebus", "subject"),
        (Event("a.b", "\ud800"), "phasebus", "subject"),
        (Event("Ready"), "phasebus", "type"),
        (Event(""), "phasebus", "type"),
        (Event("a.b"), "", "source"),
        (Event("a.b"), "two words", "source"),
        (Event("a.b"), None, "source"),
        (Event("a.b", timestamp=math.nan), "phasebus", "time"),
        (Event("a.b", timestamp=math.inf), "phasebus", "time"),
        (Event("a.b", timestamp=1e20), "phasebus", "time"),
        (Event("a.b", timestamp="now"), "phasebus", "time"),  # type: ignore[arg-type]
        (Event("a.b", timestamp=[]), "phasebus", "time"),  # type: ignore[arg-type]
        (Event("a.b", call_id="\x00"), "phasebus", "callid"),
        (Event("a.b", call_id=5), "phasebus", "callid"),  # type: ignore[arg-type]
        (Event("a.b", tenant_id="\x7f"), "phasebus", "tenantid"),
        (Event("a.b", causation_id="\ufdd0"), "phasebus", "causationid"),
        (Event("a.b", causation_depth=2**31), "phasebus", "causationdepth"),
        (Event("a.b", causation_depth=-1), "phasebus", "causationdepth"),
        (Event("a.b", data=math.inf), "phasebus", "data"),
        (Event("a.b", data=contains_itself()), "phasebus", "data"),
    ],
)
def test_what_a_cloudevent_cannot_say_is_not_written(event: Event, source: Any, attribute: str) -> None:
    for write in (event_to_cloudevent, event_to_cloudevent_json):
        with pytest.raises(InvalidEvent) as raised:
            write(event, source=source)
        assert (raised.value.event_type, raised.value.field) == (event.type, attribute)


# What is read


def test_the_required_attributes_are_enough() -> None:
    before = datetime.now(UTC).timestamp()
    event = event_from_cloudevent(MINIMAL)
    assert before <= event.timestamp <= datetime.now(UTC).timestamp()
    assert event == Event("call.started", id="7", timestamp=event.timestamp)


@pytest.mark.parametrize("absent", ["specversion", "id", "source", "type"])
def test_each_required_attribute_is_asked_for(absent: str) -> None:
    assert refused_attribute({name: value for name, value in MINIMAL.items() if name != absent}) == absent
    assert refused_attribute(foreign(**{absent: None})) == absent
    assert refused_attribute(foreign(**{absent: ""})) == absent
    assert refused_attribute(foreign(**{absent: 5})) == absent


@pytest.mark.parametrize(
    ("time", "timestamp"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01t00:00:10z", 10.0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("1970-01-01T00:00:10.000000000000000000000000000000Z", 10.0),
        ("1970-01-01T02:00:10+02:00", 10.0),
        ("1969-12-31T18:30:10.25-05:30", 10.25),
        ("1970-01-01T00:00:10-00:00", 10.0),
        ("2016-12-31T23:59:60Z", 1_483_228_800.0),
        ("2017-01-01T00:59:60.5+01:00", 1_483_228_800.5),
        ("0001-01-01T00:00:00+01:00", -62_135_600_400.0),
    ],
)
def test_a_time_is_read_with_any_offset_and_any_digits(time: str, timestamp: float) -> None:
    assert event_from_cloudevent(foreign(time=time)).timestamp == timestamp


@pytest.mark.parametrize(
    "time",
    [
        "",
        "1970-01-01",
        "1970-01-01 00:00:10Z",
        "1970-01-01T00:00:10",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:10.Z",
        "1970-01-01T00:00:10,5Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T12:00:60Z",
        "1970-01-01T00:00:10+0100",
        "1970-01-01T00:00:10+24:00",
        "1970-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "19700-01-01T00:00:00Z",
        "١٩٧٠-01-01T00:00:00Z",
        "1970-01-01T00:00:10." + "1" * 5000 + "Z",
        10,
        True,
        ["1970-01-01T00:00:10Z"],
    ],
)
def test_a_time_that_is_not_of_rfc_3339_is_refused(time: Any) -> None:
    assert refused_attribute(foreign(time=time)) == "time"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", "1.1"),
        ("specversion", 1.0),
        ("id", "\x1f"),
        ("id", "\x9f"),
        ("id", "\ud800"),
        ("id", "\U0010ffff"),
        ("source", "two words"),
        ("source", "100%"),
        ("source", "//grüße.example"),
        ("type", "Microsoft.Storage.BlobCreated"),
        ("type", "started"),
        ("type", "call..started"),
        ("type", "call.*"),
        ("type", "call.started\n"),
        ("subject", ""),
        ("subject", {}),
        ("datacontenttype", ""),
        ("datacontenttype", "json"),
        ("datacontenttype", "text/"),
        ("dataschema", ""),
        ("dataschema", "/relative"),
        ("callid", 5),
        ("tenantid", False),
        ("causationid", ["e1"]),
        ("causationdepth", -1),
        ("causationdepth", 2**31),
        ("causationdepth", 1.0),
        ("causationdepth", True),
        ("causationdepth", "01"),
        ("causationdepth", "1" * 5000),
        ("error", "two\nlines"),
        ("other", 2**31),
        ("other", -(2**31) - 1),
        ("other", 0.5),
        ("other", {"nested": 1}),
        ("other", []),
        ("other", "\x00"),
        ("call_id", "call_1"),
        ("callId", "call_1"),
        ("größe", 1),
        ("", 1),
        ("data_base64", "no base64"),
        ("data_base64", "AA"),
        ("data_base64", "AP8=\n"),
        ("data_base64", 5),
    ],
)
def test_what_is_wrong_is_refused_by_the_attributes_name(attribute: str, value: Any) -> None:
    assert refused_attribute(foreign(**{attribute: value})) == attribute


def test_a_refusal_reads_well() -> None:
    with pytest.raises(InvalidEvent) as raised:
        event_from_cloudevent(foreign(callid=5))
    assert str(raised.value) == "invalid event call.started: callid: must be a text, not 5"
    with pytest.raises(InvalidEvent, match=r"^invalid event Ready: type: cannot name an event: .* translate the type"):
        event_from_cloudevent(foreign(type="Ready"))
    with pytest.raises(InvalidEvent, match=r"^invalid event event: id: is missing"):
        event_from_cloudevent({"specversion": "1.0"})


@pytest.mark.parametrize("plain", [None, 5, "text", [MINIMAL]])
def test_only_an_object_is_a_cloudevent(plain: Any) -> None:
    assert refused_attribute(plain) is None


def test_a_name_that_is_no_text_is_refused() -> None:
    assert refused_attribute({**MINIMAL, 5: "five"}) == "5"


def test_an_attribute_of_null_is_absent() -> None:
    absent = dict.fromkeys(["subject", "time", "callid", "causationdepth", "dataschema", "other", "data_base64"])
    event = event_from_cloudevent({**MINIMAL, **absent, "data": None})
    assert event == Event("call.started", id="7", timestamp=event.timestamp)


@pytest.mark.parametrize("depth", [3, "3"])
def test_an_integer_may_come_as_its_text(depth: int | str) -> None:
    assert event_from_cloudevent(foreign(causationdepth=depth)).causation_depth == 3


def test_reading_changes_nothing_of_what_is_read() -> None:
    plain = foreign(data={"n": 1}, traceparent="00-1", time="1970-01-01T00:00:10Z")
    before = json.dumps(plain)
    event_from_cloudevent(plain)
    assert json.dumps(plain) == before


# What an event has no field for


def test_other_extensions_stand_beside_the_fields_of_the_payload() -> None:
    event = event_from_cloudevent(foreign(data={"number": 1}, traceparent="00-1", sampledrate=5, urgent=True))
    assert event.data == {"number": 1, "cloudevent": {"traceparent": "00-1", "sampledrate": 5, "urgent": True}}
    assert event.field("number") == 1


def test_a_schema_is_kept() -> None:
    event = event_from_cloudevent(foreign(dataschema="https://pbx.example/schema", data={}))
    assert event.data == {"cloudevent": {"dataschema": "https://pbx.example/schema"}}


@pytest.mark.parametrize("data", [[1], "text", 5, False, {"cloudevent": "mine"}])
def test_a_payload_with_no_room_for_extensions_goes_in_with_them(data: Any) -> None:
    event = event_from_cloudevent(foreign(data=data, traceparent="00-1"))
    assert event.data == {"cloudevent": {"traceparent": "00-1", "data": data}}


def test_extensions_are_kept_without_a_payload() -> None:
    assert event_from_cloudevent(foreign(traceparent="00-1")).data == {"cloudevent": {"traceparent": "00-1"}}


def test_extensions_in_a_payload_are_not_attributes_when_it_is_written() -> None:
    plain = event_to_cloudevent(event_from_cloudevent(foreign(data={}, tenant="1")))
    assert "tenant" not in plain
    assert plain["data"] == {"cloudevent": {"tenant": "1"}}


@pytest.mark.parametrize("media_type", [None, "application/json", "Application/JSON; charset=utf-8"])
def test_json_is_the_usual_content_and_not_worth_a_word(media_type: str | None) -> None:
    assert event_from_cloudevent(foreign(datacontenttype=media_type, data="{}")).data == "{}"


@pytest.mark.parametrize("media_type", ["application/vnd.acme+json", "text/json"])
def test_content_of_another_json_type_is_json_and_keeps_its_type(media_type: str) -> None:
    event = event_from_cloudevent(foreign(datacontenttype=media_type, data={"number": 1}))
    assert event.data == {"number": 1, "cloudevent": {"datacontenttype": media_type}}


def test_content_of_another_type_is_a_text_with_its_type() -> None:
    event = event_from_cloudevent(foreign(datacontenttype="application/xml", data="<call/>"))
    assert event.data == {"cloudevent": {"datacontenttype": "application/xml", "data": "<call/>"}}
    assert refused_attribute(foreign(datacontenttype="application/xml", data={"call": 1})) == "data"


@pytest.mark.parametrize("media_type", [None, "application/octet-stream"])
def test_base64_is_read_as_bytes(media_type: str | None) -> None:
    assert event_from_cloudevent(foreign(datacontenttype=media_type, data_base64="AP8=")).data == b"\x00\xff"


def test_bytes_of_another_type_keep_it() -> None:
    event = event_from_cloudevent(foreign(datacontenttype="image/png", data_base64="AP8="))
    assert event.data == {"cloudevent": {"datacontenttype": "image/png", "data": b"\x00\xff"}}


def test_bytes_that_are_declared_json_are_read_as_json() -> None:
    encoded = base64.b64encode(b'{"number": 1}').decode()
    assert event_from_cloudevent(foreign(datacontenttype="application/json", data_base64=encoded)).data == {"number": 1}
    assert refused_attribute(foreign(datacontenttype="application/json", data_base64="AP8=")) == "data_base64"


def test_two_payloads_are_refused() -> None:
    assert refused_attribute(foreign(data={}, data_base64="AP8=")) == "data_base64"


# Texts and batches


@pytest.mark.parametrize("text", ["", "{", '{"id": NaN}', b"\xff", "[" * 100_000])
def test_broken_json_is_an_invalid_event(text: str | bytes) -> None:
    for read in (event_from_cloudevent_json, events_from_cloudevents_json):
        with pytest.raises(InvalidEvent, match="not JSON"):
            read(text)


def test_no_events_are_an_empty_batch() -> None:
    assert events_to_cloudevents_json([]) == "[]"
    assert events_from_cloudevents_json("[]") == []


def test_one_and_several_are_not_mixed_up() -> None:
    with pytest.raises(InvalidEvent, match="several are a batch"):
        event_from_cloudevent_json(json.dumps([MINIMAL]))
    with pytest.raises(InvalidEvent, match="a batch is an array"):
        events_from_cloudevents_json(json.dumps(MINIMAL))


def test_a_wrong_event_of_a_batch_is_named_by_its_number() -> None:
    with pytest.raises(InvalidEvent, match=r"call\.started: callid: .* \(number 2 of the batch\)") as raised:
        events_from_cloudevents_json(json.dumps([MINIMAL, foreign(callid=5)]))
    assert raised.value.field == "callid"


def test_one_source_is_written_on_every_event_of_a_batch() -> None:
    batch = json.loads(events_to_cloudevents_json([Event("a.b"), Event("a.c")], source="/edge"))
    assert [(plain["type"], plain["source"]) for plain in batch] == [("a.b", "/edge"), ("a.c", "/edge")]


# The official SDK, which has no batches: their elements go through it one by one


def written_by_the_sdk(attributes: dict[str, Any], data: Any) -> bytes:
    return JSONFormat().write(CloudEvent(dict(attributes), data))


def check_read_by_the_sdk(text: str, event: Event) -> None:
    read = JSONFormat().read(CloudEvent, text)
    assert read.get_id() == event.id
    assert read.get_source() == "//pbx.example/edge-7"
    assert read.get_type() == event.type
    assert read.get_specversion() == "1.0"
    assert read.get_subject() == event.connection_id
    assert read.get_extension("callid") == event.call_id
    assert read.get_extension("tenantid") == event.tenant_id
    assert read.get_extension("causationid") == event.causation_id
    assert (read.get_extension("causationdepth") or 0) == event.causation_depth
    assert read.get_extension("error") == event.error
    time = read.get_time()
    assert time is not None
    assert time.timestamp() == pytest.approx(event.timestamp, rel=1e-15, abs=1e-6)  # it leaves digits beyond these out
    expected = event.data
    if attrs.has(type(expected)):
        expected = attrs.asdict(expected, filter=lambda _, value: value is not None)
    assert read.get_data() == expected


@given(events())
def test_the_sdk_reads_what_is_written(event: Event) -> None:
    check_read_by_the_sdk(event_to_cloudevent_json(event, source="//pbx.example/edge-7"), event)


@given(st.lists(events(), max_size=3))
def test_the_sdk_reads_the_events_of_a_batch(batch: list[Event]) -> None:
    plain = json.loads(events_to_cloudevents_json(batch, source="//pbx.example/edge-7"))
    for element, event in zip(plain, batch, strict=True):
        check_read_by_the_sdk(json.dumps(element), event)


def test_the_sdk_takes_the_media_type_for_a_structured_message() -> None:
    event = Event("a.b", "c", {"n": 1}, call_id="call_1")
    message = HTTPMessage({"content-type": CLOUDEVENT_MEDIA_TYPE}, event_to_cloudevent_json(event).encode())
    read = from_structured(message, JSONFormat(), CloudEvent)
    assert (read.get_id(), read.get_extension("callid"), read.get_data()) == (event.id, "call_1", {"n": 1})
    assert to_structured(read, JSONFormat()).headers == {"content-type": CLOUDEVENT_MEDIA_TYPE}
    assert CLOUDEVENTS_BATCH_MEDIA_TYPE == "application/cloudevents-batch+json"


sdk_attributes = st.fixed_dictionaries(
    {
        "id": words,
        "source": sources,
        "type": st.just("other.happened"),
        "time": st.datetimes(timezones=st.sampled_from([UTC])),
    },
    optional={
        "subject": words,
        "callid": words,
        "tenantid": words,
        "causationid": words,
        "causationdepth": st.integers(0, 2**31 - 1),
        "error": words,
        "traceparent": words,
    },
)


def check_read_from_the_sdk(event: Event, attributes: dict[str, Any], data: Any) -> None:
    assert event.id == attributes["id"]
    assert event.type == attributes["type"]
    assert event.connection_id == attributes.get("subject")
    assert event.timestamp == (attributes["time"] - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert event.call_id == attributes.get("callid")
    assert event.tenant_id == attributes.get("tenantid")
    assert event.causation_id == attributes.get("causationid")
    assert event.causation_depth == attributes.get("causationdepth", 0)
    assert event.error == attributes.get("error")
    if "traceparent" not in attributes:
        assert event.data == data
    elif isinstance(data, dict):
        assert event.data == {**data, "cloudevent": {"traceparent": attributes["traceparent"]}}
    else:
        assert event.data == {"cloudevent": {"traceparent": attributes["traceparent"], "data": data}}


sdk_data = st.dictionaries(texts.filter(lambda name: name != "cloudevent"), plain_values) | texts | st.binary()


@given(sdk_attributes, sdk_data)
def test_what_the_sdk_writes_is_read(attributes: dict[str, Any], data: Any) -> None:
    check_read_from_the_sdk(event_from_cloudevent_json(written_by_the_sdk(attributes, data)), attributes, data)


@given(st.lists(st.tuples(sdk_attributes, sdk_data), max_size=3))
def test_a_batch_of_what_the_sdk_writes_is_read(batch: list[tuple[dict[str, Any], Any]]) -> None:
    text = b"[" + b",".join(written_by_the_sdk(*one) for one in batch) + b"]"
    for event, (attributes, data) in zip(events_from_cloudevents_json(text), batch, strict=True):
        check_read_from_the_sdk(event, attributes, data)


def test_a_typed_payload_comes_from_the_sdk_as_its_class() -> None:
    attributes = {"id": "7", "source": "/calls", "type": "webrtc.audio_track_ready"}
    text = written_by_the_sdk(attributes, {"track_type": "audio", "ssrc": 5})
    assert event_from_cloudevent_json(text).webrtc_data == WebRTCEventData(track_type="audio", ssrc=5)


def test_the_library_does_without_the_sdk() -> None:
    code = "import bus.cloudevents, sys; print('cloudevents' in sys.modules, 'dateutil' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]

"""The event: its fields, its payloads, and its way to JSON and back."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import (
    AIEventData,
    Event,
    EventType,
    HandlerFailure,
    InvalidEvent,
    WebRTCEventData,
    WhatsAppEventData,
    event_from_dict,
    event_from_json,
    event_to_dict,
    event_to_json,
)
from bus.event import generated_ids

PAYLOADS = [
    ("webrtc", WebRTCEventData(track_type="audio", ssrc=1)),
    ("ai", AIEventData(greeting_sent=True)),
    ("whatsapp", WhatsAppEventData(call_id="call_1")),
]

texts = st.text(max_size=20)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.from_regex(r"[a-z][a-z0-9_]{0,5}(\.[a-z][a-z0-9_]{0,5}){1,2}", fullmatch=True)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


payloads: dict[str, st.SearchStrategy[Any]] = {
    "webrtc": st.builds(
        WebRTCEventData, optional(texts), optional(texts), optional(st.integers()), sdp=optional(texts)
    ),
    "ai": st.builds(AIEventData, optional(texts), optional(st.booleans()), error=optional(texts)),
    "whatsapp": st.builds(WhatsAppEventData, optional(texts), optional(texts), phone_number=optional(texts)),
    "other": st.dictionaries(texts, plain_values, max_size=4),
}
fields: dict[str, st.SearchStrategy[Any]] = {
    "call_id": optional(texts),
    "tenant_id": optional(texts),
    "causation_id": optional(texts),
    "error": optional(texts),
    "id": texts,
    "timestamp": st.floats(0, 4e9),
    "causation_depth": st.integers(0, 1000),
}


@st.composite
def events(draw: st.DrawFn) -> Event:
    namespace = draw(st.sampled_from(sorted(payloads)))
    chosen = draw(st.fixed_dictionaries({}, optional=fields))
    return Event(f"{namespace}.happened", draw(optional(texts)), draw(payloads[namespace]), **chosen)


@given(events())
def test_an_event_comes_back_from_json_as_it_was(event: Event) -> None:
    assert event_from_json(event_to_json(event)) == event


@given(names, plain_values)
def test_no_payload_that_json_can_say_is_lost(name: str, data: Any) -> None:
    event = event_from_json(event_to_json(Event(name, data=data)))
    assert event_to_dict(event)["data"] == event_to_dict(Event(name, data=event.data))["data"]
    if not attrs.has(type(event.data)):
        assert event.data == ({} if data is None else data)


@given(plain_values | st.dictionaries(st.sampled_from(["type", "id", "data", "timestamp", "wrong"]), plain_values))
def test_any_json_is_an_event_or_an_invalid_event(plain: Any) -> None:
    with suppress(InvalidEvent):
        assert isinstance(event_from_json(json.dumps(plain)), Event)


@given(st.text() | st.binary())
def test_any_text_is_an_event_or_an_invalid_event(line: str | bytes) -> None:
    with suppress(InvalidEvent):
        assert isinstance(event_from_json(line), Event)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "invalid event event: an event is an object"),
        ({}, "invalid event event: type: is missing, or not a text"),
        ({"type": 5}, "invalid event event: type: is missing, or not a text"),
        ({"type": "a.b", "conection_id": "c"}, "invalid event a.b: conection_id: unknown field; the fields are type, "),
        ({"type": "a.b", "call_id": 5}, "invalid event a.b: call_id: must be a text, not 5"),
        ({"type": "a.b", "timestamp": True}, "invalid event a.b: timestamp: must be a number, not true"),
        ({"type": "a.b", "id": object()}, "invalid event a.b: id: must be a text, not "),
        ({"type": "a.b", 5: 5}, "invalid event a.b: 5: unknown field"),
    ],
)
def test_an_invalid_event_says_which_field_and_what_is_wrong(plain: Any, message: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        event_from_dict(plain)
    assert str(raised.value).startswith(message)


def test_broken_json_is_an_invalid_event() -> None:
    with pytest.raises(InvalidEvent, match="not JSON"):
        event_from_json('{"type": "a.b"')


@pytest.mark.parametrize(("namespace", "payload"), PAYLOADS)
def test_a_payload_of_a_known_namespace_comes_back_as_its_class(namespace: str, payload: Any) -> None:
    event = event_from_dict(
        {"type": f"{namespace}.happened", "data": event_to_dict(Event("a.b", data=payload))["data"]}
    )
    assert event.data == payload


@pytest.mark.parametrize(
    "data", [{"ssrc": "5"}, {"unknown": 1}, {"track_type": ["audio"]}, [1], "text", {"ssrc": True}]
)
def test_a_payload_that_does_not_fit_its_class_is_kept_as_it_is(data: Any) -> None:
    assert event_from_dict({"type": "webrtc.happened", "data": data}).data == data


def test_a_payload_is_found_by_its_kind_only() -> None:
    kinds = [
        (event.webrtc_data, event.ai_data, event.whatsapp_data)
        for event in (Event("a.b", data=payload) for _, payload in PAYLOADS)
    ]
    assert kinds == [
        (PAYLOADS[0][1], None, None),
        (None, PAYLOADS[1][1], None),
        (None, None, PAYLOADS[2][1]),
    ]
    assert Event("a.b", data={"track_type": "audio"}).webrtc_data is None


def test_a_field_is_read_from_a_mapping_or_an_object_and_a_missing_one_is_none() -> None:
    for data in ({"sdp": "v=0"}, WebRTCEventData(sdp="v=0")):
        assert Event("a.b", data=data).field("sdp") == "v=0"
        assert Event("a.b", data=data).field("missing") is None
    assert Event("a.b", data=5).field("sdp") is None


def test_an_event_is_an_error_when_it_has_one() -> None:
    assert not Event("a.b").is_error
    assert Event("a.b", error="broken").is_error
    assert event_to_dict(Event("a.b", error=ValueError("broken")))["error"] == "ValueError: broken"


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Event("a.b").type = "b.b"  # type: ignore[misc]


def test_ids_are_unique_and_told_from_given_ones() -> None:
    assert len({Event("a.b").id for _ in range(1_000)}) == 1_000
    assert Event("a.b").id.startswith(generated_ids.prefix)
    assert Event("a.b", id="wamid.1").id == "wamid.1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_makes_ids_of_its_own() -> None:
    # In a process without threads: forking this one would be a risk.
    code = """if True:
        import os
        from bus import Event
        child = os.fork()
        os.write(1, Event("a.b").id.encode() + b" ")
        if child:
            os.wait()
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(set(run.stdout.split())) == 2


def test_a_member_of_event_type_is_a_plain_text_in_an_event() -> None:
    event = Event(EventType.CONNECTION_READY)
    assert type(event.type) is str
    assert event == attrs.evolve(event, type="connection.ready")


def test_the_events_of_the_original_have_their_names() -> None:
    assert {
        "CONNECTION_CREATED": "connection.created",
        "CONNECTION_READY": "connection.ready",
        "CONNECTION_TERMINATED": "connection.terminated",
        "SDP_OFFER_RECEIVED": "webrtc.sdp_offer_received",
        "SDP_ANSWER_GENERATED": "webrtc.sdp_answer_generated",
        "ICE_CONNECTION_CHANGED": "webrtc.ice_connection_changed",
        "AUDIO_TRACK_READY": "webrtc.audio_track_ready",
        "AI_CONNECTION_INIT": "ai.connection_initialized",
        "AI_AUDIO_READY": "ai.audio_track_ready",
        "AI_DATA_CHANNEL_READY": "ai.data_channel_ready",
        "AI_GREETING_SENT": "ai.greeting_sent",
        "WHATSAPP_CALL_STARTED": "whatsapp.call_started",
        "WHATSAPP_CALL_ACCEPTED": "whatsapp.call_accepted",
        "WHATSAPP_CALL_TERMINATED": "whatsapp.call_terminated",
        "WHATSAPP_AUDIO_READY": "whatsapp.audio_ready",
        "HANDLER_FAILED": "handler.failed",
    }.items() <= {member.name: member.value for member in EventType}.items()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (WebRTCEventData, "connection_id track_type ssrc sdp ice_state track_id"),
        (AIEventData, "connection_id is_ready data_channel_id audio_track_id greeting_sent error"),
        (WhatsAppEventData, "connection_id call_id phone_number contact_name business_number voice_language agent_id"),
    ],
)
def test_the_payloads_of_the_original_have_their_fields(payload: type, expected: str) -> None:
    assert [field.name for field in attrs.fields(payload)] == expected.split()


def test_a_failure_says_its_event_in_json_too() -> None:
    cause = Event("a.b", "c", {"n": 1}, id="1", timestamp=0.0)
    line = event_to_json(Event("handler.failed", "c", HandlerFailure(cause, "handle", "ValueError: broken", 2)))
    assert json.loads(line)["data"] == {
        "event": {"type": "a.b", "connection_id": "c", "data": {"n": 1}, "id": "1", "timestamp": 0.0},
        "handler": "handle",
        "error": "ValueError: broken",
        "tries": 2,
    }


@pytest.mark.parametrize(
    "data", [{"when": math.inf}, {"what": {1, 2}}, {"who": object()}, {(1, 2): "pair"}, {None: 1, 2: 3}, b"bytes"]
)
def test_what_json_cannot_say_becomes_text(data: Any) -> None:
    assert event_from_json(event_to_json(Event("a.b", data=data))).type == "a.b"

"""Payloads in a line: short, one line, and without what is nobody's business."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.rendering.payloads import Payloads
from statemachines.rendering.signs import ASCII, UNICODE

NUMBER = "+12025550142"


def fields(data: dict[str, Any], *, show: bool = False) -> str:
    return Payloads(UNICODE, show=show).fields(data)


def test_simple_values_stand_bare_and_others_quoted() -> None:
    assert fields({"track_type": "audio", "ssrc": 4197273903, "ok": True, "why": "hung up", "none": None}) == (
        'track_type: audio, ssrc: 4197273903, ok: true, why: "hung up"'
    )


@pytest.mark.parametrize("key", ["phone_number", "contact_name", "caller", "business_number", "callerId", "wa_id"])
def test_personal_keys_are_hidden(key: str) -> None:
    assert fields({key: "Ada"}) == f"{key}: •••"
    assert fields({"outer": {key: {"inner": "Ada"}}}) == f"outer: {{{key}: •••}}"
    assert "Ada" in fields({key: "Ada"}, show=True)


def test_what_was_hidden_once_stays_hidden_under_any_name() -> None:
    payloads = Payloads(UNICODE)
    payloads.fields({"contact_name": "Ada Lovelace"})
    assert payloads.value("who", "Ada Lovelace") == "•••"
    assert payloads.value("who", "Grace Hopper") == '"Grace Hopper"'


@pytest.mark.parametrize("text", [NUMBER, "12025550142", "+1 (202) 555-0142", f"no answer from {NUMBER}, gave up"])
def test_phone_numbers_are_hidden_wherever_they_stand(text: str) -> None:
    for told in (fields({"text": text}), fields({"a": [{"b": text}]}), Payloads(UNICODE).text(text)):
        assert "•••" in told
        assert "555" not in told


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_around_it_brings_a_number_to_light(before: str, after: str) -> None:
    assert NUMBER not in fields({"sdp": f"{before}{NUMBER}{after}", "call": {"phone": NUMBER}})


def test_a_session_description_is_its_first_line_and_length() -> None:
    assert fields({"sdp": "v=0\r\no=- 46117317 2 IN IP4 127.0.0.1\r\n" * 9}) == 'sdp: "v=0…" (342 characters)'


def test_large_payloads_are_cut_unless_they_are_asked_for() -> None:
    data = {"deep": {"a": {"b": {"c": {"d": 1}}}}, "many": list(range(50)), **{f"field_{n}": n for n in range(50)}}
    assert len(fields(data)) <= 160
    assert "… 46 more" in fields({"many": data["many"]})
    assert "{…}" in fields({"deep": data["deep"]})
    assert fields(data, show=True).endswith("field_49: 49")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_payload_is_one_printable_line(value: Any) -> None:
    for show in (False, True):
        assert fields({"it": value}, show=show).isprintable()
        assert Payloads(ASCII, show=show).fields({"it": value}).isascii()

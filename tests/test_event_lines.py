"""Events from JSON lines: what a line becomes, when it was, and what is said of lines that are no events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import Event, WebRTCEventData, event_to_json
from statemachines.errors import Problem
from statemachines.simulation.event_lines import FIELDS, EventLine, EventLineReader, read_event_lines

MARK = "▸"


def read(*lines: str | bytes) -> list[EventLine | Problem]:
    return list(read_event_lines(lines, "calls.jsonl"))


def events(*lines: str | bytes) -> list[EventLine]:
    """The lines' events, of which each must be good."""
    found = read(*lines)
    assert all(isinstance(one, EventLine) for one in found), found
    return [one for one in found if isinstance(one, EventLine)]


def times(*lines: dict[str, object]) -> list[float]:
    return [line.at for line in events(*(json.dumps({"type": "a.b", **line}) for line in lines))]


def test_line_becomes_its_event() -> None:
    line = (
        '{"type": "call.rang", "connection_id": "c", "at": 1.5, "data": {"n": 1}, "call_id": "x", "tenant_id": "t",'
        ' "id": "e", "timestamp": 1000.25, "error": "busy"}'
    )
    event = Event("call.rang", "c", {"n": 1}, id="e", call_id="x", tenant_id="t", timestamp=1000.25, error="busy")
    assert events(line) == [EventLine(1.5, event, 1)]


def test_type_alone_is_an_event() -> None:
    assert [line.event.type for line in events('{"type": "call.rang"}')] == ["call.rang"]


def test_null_is_as_good_as_nothing() -> None:
    [line] = events('{"type": "a.b", "connection_id": null, "at": null, "timestamp": null, "data": null}')
    assert (line.at, line.event.connection_id, line.event.data) == (0.0, None, {})


def test_payload_of_a_known_namespace_is_its_class() -> None:
    [line] = events('{"type": "webrtc.audio_track_ready", "data": {"track_type": "audio"}}')
    assert line.event.webrtc_data == WebRTCEventData(track_type="audio")


def test_event_that_was_written_comes_back() -> None:
    event = Event("call.rang", "c", {"n": [1, {"x": None}]}, id="e", call_id="x", timestamp=5.0)
    assert [line.event for line in events(event_to_json(event))] == [event]


def test_every_field_of_an_event_can_be_given() -> None:
    assert set(FIELDS) == {field.name for field in attrs.fields(Event)} | {"at"}


def test_blank_lines_are_skipped_and_counted() -> None:
    assert [line.line for line in events("", '{"type": "a.b"}\n', "  \n", b"\n", b'{"type": "a.b"}\r\n')] == [2, 5]


def test_byte_order_mark_is_no_problem() -> None:
    assert len(events(b'\xef\xbb\xbf{"type": "a.b"}', '\ufeff{"type": "a.b"}')) == 2


def test_at_is_taken_as_it_is() -> None:
    assert times({"at": 2}, {"at": 2}, {"at": 3.25}) == [2, 2, 3.25]


def test_timestamps_count_from_the_first() -> None:
    assert times({"timestamp": 1795479450.695813}, {"timestamp": 1795479450.701794}) == [0, 0.005981]


def test_line_without_time_has_that_of_the_line_before() -> None:
    assert times({}, {"at": 4}, {}, {"timestamp": 1000}, {}, {"timestamp": 1001.5}) == [0, 4, 4, 4, 4, 5.5]


def test_at_says_when_the_timestamp_beside_it_was() -> None:
    assert times({"at": 10, "timestamp": 1000}, {"timestamp": 1002}) == [10, 12]


def test_time_never_goes_back() -> None:
    found = read('{"type": "a.b", "at": 3}', '{"type": "a.b", "at": 1}', '{"type": "a.b"}')
    warning = Problem("calls.jsonl", 2, 23, "warning", "time goes back, from 3 s to 1 s: the event is taken at 3 s")
    assert found[1] == warning
    assert [one.at for one in found if isinstance(one, EventLine)] == [3, 3, 3]


def test_refused_line_moves_no_time() -> None:
    found = read('{"type": "A", "timestamp": 900}', '{"type": "a.b", "timestamp": 1000}')
    assert isinstance(found[1], EventLine)
    assert found[1].at == 0


def test_reading_goes_on_after_a_bad_line() -> None:
    found = read('{"type": "a.b"}', "oops", '{"type": "c.d"}')
    assert [type(one) for one in found] == [EventLine, Problem, EventLine]


def test_endless_input_is_read_as_it_comes() -> None:
    def endless() -> Iterator[str]:
        for number in count():
            yield json.dumps({"type": "a.b", "at": number})

    first = islice(read_event_lines(endless(), "<stdin>"), 3)
    assert [one.at for one in first if isinstance(one, EventLine)] == [0, 1, 2]


def test_nothing_is_taken_before_it_is_asked_for() -> None:
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in ('{"type": "a.b"}', '{"type": "c.d"}'):
            taken.append(line)
            yield line

    reading = read_event_lines(lines(), "<stdin>")
    next(reading)
    assert len(taken) == 1


CASES = {
    "no JSON": ("▸oops", "this is not JSON: expecting value"),
    "key without quotes": ("{▸type: 1}", "expecting property name"),
    "text never closed": ('{"type": ▸"a.b', "unterminated string"),
    "object never closed": ('{"type": "a.b"▸', "expecting ',' delimiter"),
    "two objects": ('{"type": "a.b"}▸{"type": "a.b"}', "extra data"),
    "a list": ('  ▸[{"type": "a.b"}]', "an event is an object"),
    "a text": ('▸"a.b"', "an event is an object"),
    "null": ("▸null", "an event is an object"),
    "no type": (' ▸{"connection_id": "c"}', "the field 'type' is missing"),
    "type null": ('▸{"type": null}', "the field 'type' is missing"),
    "type a number": ('{"type": ▸5}', "'type' is missing, or not a text"),
    "type misspelt": ('{"id": "x", "type": ▸"Call.Rang"}', "(did you mean 'call.rang'?)"),
    "type a pattern": ('{"type": ▸"call.*"}', "'call.*' is not an event name"),
    "type one word": ('{"type": ▸"rang"}', "two or more such tokens"),
    "unknown field": ('{"type": "a.b", ▸"conection_id": "c"}', "(did you mean 'connection_id'?)"),
    "unlike any field": ('{"data": {"zebra": [1, "}"]}, ▸"zebra": 1, "type": "a.b"}', "the fields are type"),
    "connection a number": ('{"type": "a.b", "connection_id":▸7}', "'connection_id' must be a text, not 7"),
    "connection empty": ('{"type": "a.b", "connection_id": ▸""}', "'connection_id' is empty: leave it out"),
    "call id empty": ('{"type": "a.b", "call_id" : ▸""}', "'call_id' is empty"),
    "data a list": ('{"type": "a.b", "data": ▸[1]}', "'data' must be an object"),
    "data a text": ('{"type": "a.b", "data": ▸"audio"}', "'data' must be an object"),
    "at a text": ('{"type": "a.b", "at": ▸"1.5s"}', "'at' must be a number of seconds"),
    "at a boolean": ('{"type": "a.b", "at": ▸true}', "'at' must be a number of seconds, not true"),
    "at negative": ('{"type": "a.b", "at": ▸-1}', "'at' must be 0 or more seconds"),
    "at infinite": ('{"type": "a.b", "at": ▸1e999}', "'at' is too large"),
    "at beyond floats": ('{"type": "a.b", "at": ▸1' + "0" * 400 + "}", "'at' is too large"),
    "timestamp a date": ('{"type": "a.b", "timestamp": ▸"2026-01-01T00:00:00Z"}', "'timestamp' must be a number"),
    "timestamp infinite": ('{"type": "a.b", "timestamp": ▸1e999}', "'timestamp' is too large"),
    "error a number": ('{"type": "a.b", "error": ▸404}', "'error' must be a text"),
    "NaN": ('▸{"type": "a.b", "at": NaN}', "NaN is no JSON"),
    "field twice": ('▸{"type": "a.b", "type": "c.d"}', "the field 'type' is there twice"),
    "field twice, with space": ('▸{"type": "a.b", "type" : "c.d"}', "the field 'type' is there twice"),
    "field twice, written otherwise": (r'▸{"type": "a.b", "t\u0079pe": "c.d"}', "the field 'type' is there twice"),
    "deep field twice": ('▸{"type": "a.b", "data": {"l": [{"n": 1, "n": 2}]}}', "the field 'n' is there twice"),
    "payload field twice": ('▸{"type": "a.b", "data": {"n": 1, "n": 2}}', "the field 'n' is there twice"),
    "half a character": ('▸{"type": "a.b", "connection_id": "\\ud83d"}', "half of a character"),
    "number too long": ('▸{"type": "a.b", "data": {"n": ' + "9" * 5000 + "}}", "thousands of digits"),
    "too deep": ("▸" + "[" * 100_000, "nested too deep"),
    "too long": ('▸{"type": "a.b", "data": {"x": "' + "x" * 1024 * 1024 + '"}}', "limit of 1 MiB"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_line_is_a_problem_at_its_place(case: str) -> None:
    marked, fragment = CASES[case]
    line, column = marked.replace(MARK, ""), marked.index(MARK) + 1
    [_, problem] = read('{"type": "a.b"}', line)
    assert isinstance(problem, Problem)
    assert (problem.path, problem.line, problem.column, problem.severity) == ("calls.jsonl", 2, column, "error")
    assert fragment in problem.message


def test_byte_that_is_no_text_is_found() -> None:
    [problem] = read('{"type": "ä'.encode() + b'\xff"}')
    assert str(problem) == "calls.jsonl:1:12: error: the byte 0xff is not UTF-8: save the file as UTF-8"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a.b", "a.*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), inner),
    max_leaves=8,
)


def only_answers(lines: list[str | bytes]) -> None:
    reader = EventLineReader("any.jsonl")
    last = 0.0
    for line in lines:
        for one in reader.read(line):
            assert one.line == reader.line
            if isinstance(one, EventLine):
                assert one.at >= last
                last = one.at
                event_to_json(one.event).encode()
            else:
                assert one.column >= 1
                assert one.message


@given(st.lists(st.text() | st.binary()))
def test_any_text_gives_events_or_problems(lines: list[str | bytes]) -> None:
    only_answers(lines)


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON))
def test_any_json_gives_events_or_problems(values: list[object]) -> None:
    only_answers([json.dumps(value) for value in values])


@given(
    st.lists(st.fixed_dictionaries({"type": st.just("a.b")}, optional={"at": JSON, "timestamp": JSON, "data": JSON}))
)
def test_any_times_and_payloads_give_events_or_problems(values: list[object]) -> None:
    only_answers([json.dumps(value) for value in values])


@given(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["webrtc.audio_track_ready", "ai.greeting_sent", "a.b", "Bad", "a.b.*"]),
            "connection_id": st.sampled_from(["c1", "", None, 7]),
            "at": st.sampled_from([0.0, 1.5, 0.5, -1.0, 3, True, "1"]),
            "data": st.sampled_from([{}, {"ssrc": 7}, {"track_type": "audio", "more": [1]}, {"n": {"m": 1}}, None, 4]),
        }
    )
)
def test_a_usual_line_is_read_as_any_other(plain: dict[str, Any]) -> None:
    def told(line: dict[str, Any]) -> list[Any]:
        return [
            (one.at, attrs.evolve(one.event, id="", timestamp=0.0)) if isinstance(one, EventLine) else one.message
            for one in read(json.dumps({"type": "a.b", "at": 1.0}), json.dumps(line))
        ]

    assert told(plain) == told({**plain, "tenant_id": None})  # one more field is not usual

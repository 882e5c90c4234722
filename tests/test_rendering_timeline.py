"""The timeline: one row an input, what it did beside it, nothing personal, plain text in a pipe."""

from __future__ import annotations

import io

from rich.console import Console

from statemachines.connections.trace import Entry
from statemachines.rendering.timeline import Timeline

EVENT = Entry(1.5, "c1", "event", {"type": "webrtc.audio_track_ready", "data": {"track_type": "audio"}})
FACT = Entry(1.5, "c1", "fact", {"name": "audio", "value": "ready"})
MOVE = Entry(1.5, "c1", "transition", {"from": "created", "to": "ready", "event": "x", "configuration": ["ready"]})
READY = Entry(1.5, "c1", "publish", {"type": "connection.ready", "data": {}})


def shown(*entries: Entry, awaited: tuple[str, ...] = (), payloads: bool = False, width: int = 100) -> str:
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=width), lambda _: awaited, show_payloads=payloads)
    for entry in entries:
        timeline.add(entry)
    timeline.close(None)
    return file.getvalue()


def test_what_belongs_to_one_event_is_one_row() -> None:
    lines = shown(EVENT, FACT, MOVE, READY).splitlines()
    assert lines[0].startswith("+1.500s")
    assert "webrtc.audio_track_ready" in lines[0]
    assert "audio is ready" in lines[0]
    assert "created → ready" in lines[1]
    assert "publishes connection.ready" in lines[2]


def test_the_next_event_begins_the_next_row() -> None:
    text = shown(EVENT, FACT, Entry(2.0, "c1", "event", {"type": "call.ended", "data": {}}))
    assert [line[:7] for line in text.splitlines() if line.startswith("+")] == ["+1.500s", "+2.000s"]


def test_a_row_is_told_before_the_next_input_is_known() -> None:
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=100))
    timeline.add(EVENT)
    timeline.add(Entry(2.0, "c1", "event", {"type": "call.ended", "data": {}}))
    assert "webrtc.audio_track_ready" in file.getvalue()


def test_what_is_awaited_is_that_of_the_row_and_not_of_later() -> None:
    waiting = ["model"]
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=100), lambda _: list(waiting))
    timeline.add(EVENT)
    timeline.add(FACT)
    waiting.clear()
    timeline.add(Entry(2.0, "c1", "event", {"type": "call.ended", "data": {}}))
    assert "awaits model" in file.getvalue()


def test_personal_fields_are_hidden_unless_asked_for() -> None:
    entry = Entry(0, "c1", "event", {"type": "call.started", "data": {"phone_number": "+12025550142"}})
    fact = Entry(0, "c1", "fact", {"name": "meta.caller", "value": "+12025550142"})
    assert "+12025550142" not in shown(entry, fact)
    assert shown(entry, fact, payloads=True).count("+12025550142") == 2


def test_long_values_are_cut() -> None:
    entry = Entry(0, "c1", "event", {"type": "call.started", "data": {"sdp": "v=0\r\n" * 500}})
    assert max(map(len, shown(entry).splitlines())) <= 100


def test_what_vanishes_elsewhere_is_seen_here() -> None:
    for kind, details, told in (
        ("early", {"type": "a.b", "released": False}, "early"),
        ("ignored", {"type": "a.b"}, "ignored"),
        ("rejected", {"type": "a.b", "reason": "another tenant's event"}, "another tenant's event"),
    ):
        assert told in shown(EVENT, Entry(1.5, "c1", kind, details))  # type: ignore[arg-type]


def test_a_failed_expectation_says_what_was_found() -> None:
    details = {"ok": False, "phase": {"ok": False, "expected": "ready", "found": "created"}}
    text = shown(Entry(3.0, "c1", "expect", details))
    assert "✗ expected phase ready" in text
    assert "found phase created" in text


def test_a_pipe_gets_plain_text() -> None:
    assert "\x1b" not in shown(EVENT, FACT, MOVE, READY)


def test_control_characters_of_a_payload_do_not_reach_the_terminal() -> None:
    entry = Entry(0, "c1", "event", {"type": "call.started", "data": {"note": "\x1b[2J"}})
    assert "\x1b" not in shown(entry)

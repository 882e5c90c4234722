"""The timeline: one row an input, what it did beside it, nothing personal, plain text in a pipe."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
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


def test_what_belongs_to_one_event_stands_below_it_in_a_narrow_terminal() -> None:
    assert shown(EVENT, FACT, MOVE, READY, awaited=("model",), width=80).splitlines()[:6] == [
        "+1.500s    c1  webrtc.audio_track_ready  track_type: audio",
        "                 audio is ready",
        "                 created → ready",
        "                 publishes connection.ready",
        "                 awaits model",
        "",
    ]


def test_what_belongs_to_one_event_stands_beside_it_in_a_wide_terminal() -> None:
    assert shown(EVENT, FACT, MOVE, width=120).splitlines()[:2] == [
        "+1.500s    c1  webrtc.audio_track_ready                    audio is ready",
        "               track_type: audio                           created → ready",
    ]


def test_the_next_event_begins_the_next_row() -> None:
    text = shown(EVENT, FACT, Entry(2.0, "c1", "event", {"type": "call.ended", "data": {}}))
    assert [line[:7] for line in text.splitlines() if line.startswith("+")] == ["+1.500s", "+2.000s"]


def test_a_row_is_told_before_the_next_input_is_known() -> None:
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=100))
    timeline.add(EVENT)
    timeline.add(Entry(2.0, "c1", "event", {"type": "call.ended", "data": {}}))
    assert "webrtc.audio_track_ready" in file.getvalue()


def test_a_row_is_told_at_once_when_nothing_more_follows_for_now() -> None:
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=100))
    timeline.add(EVENT)
    timeline.flush()
    assert "webrtc.audio_track_ready" in file.getvalue()
    timeline.close(None)
    assert file.getvalue().count("webrtc.audio_track_ready") == 1


def test_what_comes_late_to_a_row_that_was_told_says_that_it_is_more_of_it() -> None:
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=100))
    timeline.add(EVENT)
    timeline.flush()
    timeline.add(Entry(1.6, "c1", "call", {"name": "start_audio"}))
    timeline.close(None)
    assert [line[15:] for line in file.getvalue().splitlines()[1:]] == ["…", "  calls start_audio"]


def test_entries_of_two_connections_never_share_a_row() -> None:
    text = shown(EVENT, Entry(1.5, "c2", "fact", {"name": "audio", "value": "ready"}))
    assert text.count("+1.500s") == 2


def test_a_registration_and_each_early_event_begin_rows() -> None:
    text = shown(
        Entry(0, "c1", "publish", {"type": "connection.created", "data": {"dependencies": ["audio"]}}),
        Entry(0, "c1", "early", {"type": "webrtc.audio_track_ready", "released": True}),
        FACT,
        awaited=("audio",),
    )
    assert [line.split("c1")[-1].strip() for line in text.splitlines() if line][:6] == [
        "connection.created",
        "registered",
        "awaits audio",
        "webrtc.audio_track_ready",
        "had come early",
        "audio is ready",
    ]


@pytest.mark.parametrize("data", [None, 5, "text", ["a"], {"dependencies": 5}, {"connection_id": ["c1"]}])
def test_any_payload_of_a_registration_can_be_told(data: Any) -> None:
    assert "registered" in shown(Entry(0, "c1", "publish", {"type": "connection.created", "data": data}))


def test_an_early_event_that_expires_is_a_row_of_its_own() -> None:
    came = Entry(0, "c1", "event", {"type": "a.b", "data": {}})
    kept = Entry(0, "c1", "early", {"type": "a.b", "released": False})
    expired = Entry(5, "c1", "rejected", {"type": "a.b", "reason": "nobody was registered in time"})
    assert [line[:7] for line in shown(came, kept, expired).splitlines() if line.startswith("+")] == [
        "+0.000s",
        "+5.000s",
    ]


def test_a_timer_names_its_state() -> None:
    assert "timer setup of initializing" in shown(Entry(30, "c1", "timer", {"timer": "setup", "state": "initializing"}))


def test_whose_an_event_was_meant_to_be_is_told_when_it_is_rejected() -> None:
    event = Entry(0, "c1", "event", {"type": "a.b", "data": {}, "tenant_id": "other"})
    assert "tenant_id" not in shown(event, FACT)
    assert "tenant_id: other" in shown(event, Entry(0, "c1", "rejected", {"type": "a.b", "reason": "another tenant's"}))


def test_long_connection_ids_keep_both_ends() -> None:
    assert "connec…76543" in shown(Entry(0, "connection-98765432100076543", "event", {"type": "a.b"}), width=80)


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


def test_a_held_expectation_is_one_line() -> None:
    details = {"ok": True, "not_published": {"ok": True, "expected": ["connection.terminated"], "found": []}}
    line = shown(Entry(3.0, "c1", "expect", details)).splitlines()[0]
    assert line == "+3.000s    c1  ✓ expected not published [connection.terminated]"


def test_a_terminal_without_unicode_gets_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    timeline = Timeline(Console(file=file, width=80))
    caller = Entry(1.5, "c1", "event", {"type": "call.started", "data": {"caller": "Zoë", "note": "naïve"}})
    for entry in (caller, MOVE, Entry(2, "c1", "expect", {"ok": True})):
        timeline.add(entry)
    timeline.close(SUMMARY)
    file.seek(0)
    text = file.read()
    assert "created -> ready" in text
    assert "caller: ***" in text
    assert text.isascii()


@pytest.mark.parametrize("width", [60, 80, 109, 110, 160])
def test_every_line_fits_the_terminal(width: int) -> None:
    long = Entry(1.5, "c" * 40, "event", {"type": "webrtc.sdp_offer_received", "data": {"a": "b " * 90, "c": [1] * 9}})
    names = ("webrtc_audio_ready", "openai_connection_ready", "whatsapp_call_accepted") * 3
    text = shown(long, evolve(FACT, connection="c" * 40), MOVE, READY, awaited=names, width=width)
    assert max(map(len, text.splitlines())) <= width


SUMMARY = {
    "kind": "summary",
    "connections": {
        "c1": {"phase": "ready", "configuration": ["live", "ready"], "dependencies": {"audio": "ready"}},
        "c2": {"phase": "created", "configuration": ["live"], "dependencies": {"audio": "failed", "ai": "pending"}},
    },
    "published": {"connection.ready": 2},
    "failed_expectations": 0,
}


def summed_up(summary: Mapping[str, Any], *entries: Entry) -> list[str]:
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=80))
    for entry in entries:
        timeline.add(entry)
    timeline.close(summary)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_the_summary_tells_every_connection_and_what_was_published() -> None:
    assert summed_up(SUMMARY) == [
        "",
        "connection  phase    ready  not ready",
        "c1          ready    audio  -",
        "c2          created  -      audio (failed), ai",
        "published connection.ready ×2",
    ]


def test_the_summary_judges_expectations() -> None:
    met = Entry(0, "c1", "expect", {"ok": True, "phase": {"ok": True, "expected": "ready", "found": "ready"}})
    assert summed_up(SUMMARY, met)[-1] == "✓ everything was as expected"
    assert summed_up({**SUMMARY, "failed_expectations": 1})[-1] == "✗ 1 expectation failed"


def test_the_summary_of_very_many_connections_counts_them() -> None:
    state = {"phase": "ready", "configuration": ["ready"], "dependencies": {}}
    lines = summed_up({**SUMMARY, "connections": {f"c{n}": state for n in range(1000)}})
    assert len(lines) < 50
    assert "… and 960 more; of all 1000: 1000 in ready" in lines

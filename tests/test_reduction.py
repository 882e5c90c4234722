"""From a recording to the smallest scenario: what is left shows it, and none of it can be left out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from statemachines import load_definition
from statemachines.errors import ExpressionError
from statemachines.language.loading import parse_definition
from statemachines.simulation.event_lines import EventLine
from statemachines.simulation.incident import Incident
from statemachines.simulation.minimizing import minimal
from statemachines.simulation.recording import recorded_events
from statemachines.simulation.reduction import NeverTrue, Reduced, reduce_recording
from statemachines.simulation.scenario_file import read_scenario
from statemachines.simulation.simulator import Simulation, take_step
from statemachines.simulation.trial import run_trial
from statemachines.simulation.until import CameTrue, Until, Watcher

CALL = parse_definition("""
name: call
timeouts: {setup: 30s}
keys: {line: {on: call.requested, value: data.line}}
dependencies:
  audio: {ready_on: {event: media.connected, when: data.kind == 'audio'}, lost_on: media.lost}
  model: model.connected
remember:
  caller: {on: call.requested, value: data.phone}
states:
  waiting:
    initial: true
    after: {setup: over}
    transitions: [{cond: all_ready, target: ready}]
  ready:
    enter: [{publish: connection.ready}]
    transitions:
      - {unless: all_ready, target: waiting}
      - {event: call.ended, target: over}
  over: {final: true, enter: [{publish: connection.terminated}]}
""")


def recording(*lines: Mapping[str, Any]) -> list[EventLine]:
    problems: list[object] = []
    events = list(recorded_events([json.dumps(line) for line in lines], "<recording>", problems.append))
    assert problems == []
    return events


def said(at: float, event_type: str, connection_id: str | None = "a", **data: Any) -> dict[str, Any]:
    line = {"at": at, "type": event_type, "data": data}
    return line if connection_id is None else {**line, "connection_id": connection_id}


def busy(calls: int) -> list[dict[str, Any]]:
    """Calls that all become ready and end; the audio of one is lost on the way."""
    lines = []
    for number in range(calls):
        name, begin = f"call_{number}", number * 0.37
        lines += [
            said(begin, "connection.created", name),
            said(begin + 0.1, "call.requested", name, phone=f"+1555{number:07d}", line=number, name="Ann"),
            said(
                begin + 0.8, "media.connected", name, kind="audio", ssrc=number, codec={"name": "opus", "rate": 48000}
            ),
            said(begin + 1.3, "model.connected", name, session=f"s{number}"),
            *([said(begin + 7.7, "media.lost", name, why="network")] if number == calls // 2 else []),
            said(begin + 9.6, "media.connected", name, kind="audio", ssrc=number),
            said(begin + 60.2, "call.ended", name, reason="hangup"),
        ]
    return sorted(lines, key=lambda line: float(line["at"]))


def comes_true(incident: Incident, until: Until) -> bool:
    watcher = Watcher(until)
    simulation = Simulation(until.definition, watcher.hear, watcher.see, until.steps)
    try:
        for step in incident.steps:
            take_step(simulation, step)
        simulation.advance_to(incident.end)
    except CameTrue:
        return True
    return False


def smaller(incident: Incident) -> Iterable[Incident]:
    """The incident with any one connection, input or field less, or with one wait left out."""
    for owner in incident.connections:
        yield incident.of([other for other in incident.connections if other != owner])
    for one in incident.inputs:
        yield incident.only([other.number for other in incident.inputs if other is not one])
    for field in incident.fields():
        yield incident.with_fields([other for other in incident.fields() if other != field])
    gaps = incident.gaps
    for number, gap in enumerate(gaps):
        if gap:
            yield incident.with_gaps([*gaps[:number], 0.0, *gaps[number + 1 :]])


def assert_it_is_shown_and_minimal(reduced: Reduced, until: Until) -> None:
    assert reduced.minimal
    assert comes_true(reduced.incident, until)
    assert not any(comes_true(less, until) for less in smaller(reduced.incident))
    scenario = read_scenario(reduced.text(until.definition.name), "<reduced>", until.definition)
    trial = run_trial(until.definition, scenario)
    assert trial.failures == ()
    assert trial.expectations == 1


# -- delta debugging --


@given(st.sets(st.integers(0, 60), max_size=7), st.integers(0, 61))
def test_minimal_finds_exactly_what_is_needed(needed: set[int], count: int) -> None:
    items = list(range(count))
    needed &= set(items)
    assert minimal(items, lambda some: needed <= set(some)) == sorted(needed)


@given(st.lists(st.sets(st.integers(0, 12), max_size=4), min_size=1, max_size=5))
def test_nothing_can_be_left_out_of_what_minimal_finds(ways: list[set[int]]) -> None:
    def holds(some: list[int]) -> bool:
        return any(way <= set(some) for way in ways)

    found = minimal(range(13), holds)
    assert holds(found)
    assert not any(holds([other for other in found if other != one]) for one in found)


def test_minimal_asks_seldom_when_little_is_needed() -> None:
    asked = 0

    def holds(some: list[int]) -> bool:
        nonlocal asked
        asked += 1
        return {17, 9_000} <= set(some)

    assert minimal(range(10_000), holds) == [17, 9_000]
    assert asked < 200


# -- incidents --


def test_an_incident_among_many_calls_becomes_a_handful_of_steps() -> None:
    until = Until("In('waiting') and visits.ready == 1", CALL)
    reduced = reduce_recording(CALL, recording(*busy(40)), until)
    assert [getattr(one.action, "type", "registered") for one in reduced.incident.inputs] == [
        "registered",
        "media.connected",
        "model.connected",
        "media.lost",
    ]
    assert reduced.incident.end == 0.0
    assert_it_is_shown_and_minimal(reduced, until)


def test_numbers_names_and_payloads_that_do_not_matter_are_gone() -> None:
    until = Until("In('waiting') and visits.ready == 1", CALL)
    text = reduce_recording(CALL, recording(*busy(40)), until).text("call")
    for private in ("+1555", "Ann", "call_20", "opus", "ssrc", "network"):
        assert private not in text
    assert "data: {kind: audio}" in text


def test_a_value_that_must_only_be_the_same_again_becomes_a_neutral_one() -> None:
    lines = [
        said(0, "connection.created", "a"),
        said(1, "call.requested", "a", line="+15550001", phone="+15550001"),
        said(2, "call.requested", None, line="+15550001", phone="+15550009"),
    ]
    until = Until("meta.caller == '+15550009'", CALL)
    reduced = reduce_recording(CALL, recording(*lines), until)
    assert_it_is_shown_and_minimal(reduced, until)
    text = reduced.text("call")
    assert "+15550001" not in text
    assert text.count("line: text_1") == 2
    assert "+15550009" in text  # the expression asks for this one


def test_waits_become_as_short_as_they_can_be_and_round() -> None:
    until = Until("In('over') and event == 'timer.fired'", CALL)
    lines = [said(0.113, "connection.created"), said(17.9, "model.connected"), said(44.777, "media.lost")]
    reduced = reduce_recording(CALL, recording(*lines), until)
    assert reduced.incident.gaps == [0.0, 30.0]
    assert_it_is_shown_and_minimal(reduced, until)


def test_an_event_that_only_kept_something_alive_goes_with_the_wait() -> None:
    definition = parse_definition("""
name: pulse
states:
  alive:
    initial: true
    after: {30s: dead}
    transitions: [{event: pulse.felt, target: alive}, {event: goal.reached, target: won}]
  won: {final: true}
  dead: {final: true}
""")
    until = Until("In('won')", definition)
    lines = [said(at, "pulse.felt") for at in (20, 40, 60)] + [said(80, "goal.reached")]
    reduced = reduce_recording(definition, recording(*lines), until)
    assert len(reduced.incident.inputs) == 2
    assert_it_is_shown_and_minimal(reduced, until)


def test_what_was_published_can_be_asked() -> None:
    until = Until(
        "'connection.ready' in published and 'connection.terminated' not in published and not all_ready", CALL
    )
    reduced = reduce_recording(CALL, recording(*busy(6)), until)
    assert_it_is_shown_and_minimal(reduced, until)
    published = Until("'connection.terminated' in published", CALL)
    assert_it_is_shown_and_minimal(reduce_recording(CALL, recording(*busy(3)), published), published)


def test_an_event_that_names_no_connection_is_kept_with_what_lets_it_find_one() -> None:
    lines = [
        said(0, "connection.created", "a"),
        said(0.1, "connection.created", "b"),
        said(0.2, "connection.created", "c"),
        said(1, "call.requested", "a", line="7", phone="1"),
        said(3, "call.requested", None, line="7", phone="2"),  # reaches a, who holds the line
    ]
    until = Until("meta.caller == '2'", CALL)
    reduced = reduce_recording(CALL, recording(*lines), until)
    assert_it_is_shown_and_minimal(reduced, until)
    assert len(reduced.incident.inputs) == 3


def test_a_recording_without_registrations_registers_all_at_the_start() -> None:
    until = Until("In('ready')", CALL)
    lines = [line for line in busy(5) if line["type"] != "connection.created"]
    reduced = reduce_recording(CALL, recording(*lines), until)
    assert "connections:\n  conn_1: {}\n" in reduced.text("call")
    assert_it_is_shown_and_minimal(reduced, until)


EVENTS = st.tuples(
    st.sampled_from(["media.connected", "media.lost", "model.connected", "call.requested", "call.ended"]),
    st.sampled_from(["a", "b", "c", None]),
    st.fixed_dictionaries(
        {},
        optional={
            "kind": st.sampled_from(["audio", "video"]),
            "line": st.sampled_from([7, "x"]),
            "phone": st.just("1"),
            "more": st.just({"deep": 1}),
        },
    ),
    st.sampled_from([0.0, 0.25, 3.0, 31.7]),
)
ASKED = [
    "In('ready')",
    "In('over')",
    "In('over') and event == 'timer.fired'",
    "visits.ready > 1",
    "not audio and model and In('waiting')",
    "meta.caller == '1' and 'connection.terminated' in published",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=25), st.sampled_from(ASKED))
def test_whatever_was_recorded_the_result_shows_it_and_is_minimal(
    events: list[tuple[str, str | None, dict[str, Any], float]], asked: str
) -> None:
    now, lines = 0.0, []
    for event_type, connection_id, data, wait in events:
        now += wait
        lines.append(said(now, event_type, connection_id, **data))
    until = Until(asked, CALL)
    try:
        reduced = reduce_recording(CALL, recording(*lines), until)
    except NeverTrue:
        reject()
    assert_it_is_shown_and_minimal(reduced, until)


def test_the_same_recording_gives_the_same_scenario() -> None:
    until = Until("visits.ready > 1", CALL)
    events = recording(*busy(12))
    assert reduce_recording(CALL, events, until).text("call") == reduce_recording(CALL, events, until).text("call")


def test_ten_thousand_events_take_seconds() -> None:
    definition = load_definition("whatsapp_call")
    lines = []
    for number in range(1_250):
        name, begin = f"wa_{number}", number * 0.3
        lines += [
            said(begin, "connection.created", name),
            said(begin + 0.2, "whatsapp.call_started", name, phone_number=f"+1555{number:07d}"),
            said(begin + 0.9, "webrtc.audio_track_ready", name, track_type="audio"),
            said(begin + 1.1, "ai.connection_initialized", name),
            said(begin + 1.4, "whatsapp.call_accepted", name),
            *(said(begin + 5 + n, "webrtc.ice_connection_changed", name, ice_state="connected") for n in range(2)),
            said(begin + 30, "whatsapp.call_terminated", name),
        ]
    lines.append(said(300, "webrtc.ice_connection_changed", "wa_930", ice_state="failed"))
    events = recording(*sorted(lines, key=lambda line: float(line["at"])))
    assert len(events) > 10_000
    until = Until("In('reconnecting')", definition)
    began = time.process_time()
    reduced = reduce_recording(definition, events, until)
    assert time.process_time() - began < 30
    assert len(reduced.incident.inputs) == 5
    assert_it_is_shown_and_minimal(reduced, until)


# -- how it ends otherwise --


def test_an_interrupt_leaves_the_smallest_so_far() -> None:
    until = Until("visits.ready > 1", CALL)
    replays = 0

    def stop(how_far: str) -> None:
        nonlocal replays
        replays += 1
        if replays == 3:
            raise KeyboardInterrupt

    reduced = reduce_recording(CALL, recording(*busy(30)), until, stop)
    assert not reduced.minimal
    assert 0 < len(reduced.incident.inputs) < len(busy(30))
    assert comes_true(reduced.incident, until)
    assert "Not yet the smallest" in reduced.text("call")
    assert run_trial(CALL, read_scenario(reduced.text("call"), "<reduced>", CALL)).failures == ()


def test_the_time_ends_it_too() -> None:
    until = Until("visits.ready > 1", CALL)
    reduced = reduce_recording(CALL, recording(*busy(10)), until, seconds=0.0)
    assert not reduced.minimal
    assert comes_true(reduced.incident, until)


def test_what_never_came_true_says_how_near_it_came() -> None:
    with pytest.raises(NeverTrue) as caught:
        reduce_recording(CALL, recording(*busy(4)), Until("In('waiting') and visits.ready == 2", CALL))
    assert str(caught.value).splitlines() == [
        "In('waiting') and visits.ready == 2 never came true in the recording (25 inputs of 4 connections)",
        "  phases, and how many connections reached them: waiting 4, ready 4, over 4",
        "  its part In('waiting') came true for 4 of them",
        "  its part visits.ready == 2 came true for 1 of them",
    ]


def test_an_empty_recording_is_no_crash() -> None:
    with pytest.raises(NeverTrue, match="0 inputs of 0 connections"):
        reduce_recording(CALL, [], Until("In('ready')", CALL))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("In('redy')", "call has no state 'redy' (did you mean 'ready'?)"),
        ("visits.redy > 1", "call has no state 'redy' (did you mean 'ready'?)"),
        ("audo", "call has no dependency 'audo' (did you mean 'audio'?)"),
        ("ready", "call has no dependency 'ready' (did you mean In('ready')?)"),
        ("meta.calle == 1", "call remembers nothing as 'meta.calle' (did you mean 'caller'?)"),
        ("published", "ask for one event, as in 'connection.ready' in published"),
        ("data.x in published", "ask for one event, as in 'connection.ready' in published"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_nearest_name(asked: str, told: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Until(asked, CALL)
    assert caught.value.message == told

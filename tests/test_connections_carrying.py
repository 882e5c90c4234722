"""A connection of one definition goes on as one of another, by name; or it is told what has no place there."""

from __future__ import annotations

from typing import Any

import pytest

from bus import Event
from statemachines import parse_definition
from statemachines.connections.carrying import Carrier
from statemachines.table.record import Identity, Record
from statemachines.table.step import Steps, dependency_status

OLD = """
name: call
timeouts: {setup: 30s}
dependencies: {audio: {ready_on: audio.ready, failed_on: audio.failed}, sdp: sdp.answered}
remember: {caller: {on: call.started, value: data.caller}}
states:
  live:
    initial: true
    history: {was_live: {transitions: [{target: ringing}]}}
    transitions: [{event: call.held, target: held}]
    states:
      ringing:
        initial: true
        after: {setup: over, 5s: {cond: visits.ringing < 3, target: ringing}}
        transitions: [{cond: all_ready, target: talking}]
      talking: {transitions: [{event: call.ended, target: over}]}
  held: {transitions: [{event: call.resumed, target: was_live}]}
  over: {final: true}
"""


def driven(steps: Steps, *events: tuple[str, dict[str, Any]]) -> Record:
    created = Event("connection.created", "c")
    identity = Identity("c", None, None, None, {}, 0.0)
    record = steps.register(identity, steps.layout.required_by_default, created, at=0, now=0).after
    for event_type, data in events:
        record = steps.event(record, Event(event_type, "c", data), at=0, now=0).after
    return record


def carrier(new: str) -> tuple[Steps, Carrier]:
    old = Steps(parse_definition(OLD))
    return old, Carrier(old.layout, Steps(parse_definition(new)))


STARTED = ("call.started", {"caller": "+49 170"})


def obstacles(new: str, *events: tuple[str, dict[str, Any]]) -> list[str]:
    steps, carries = carrier(new)
    return carries.obstacles(driven(steps, *events))


def test_states_facts_visits_and_timers_go_by_name_into_whatever_order() -> None:
    new = OLD.replace(
        "{audio: {ready_on: audio.ready, failed_on: audio.failed}, sdp: sdp.answered}",
        "{sdp: sdp.answered, audio: audio.ready}",
    )
    new = new.replace("  held: {transitions: [{event: call.resumed, target: was_live}]}\n", "")
    new = new.replace(
        "states:\n  live", "states:\n  held: {transitions: [{event: call.resumed, target: was_live}]}\n  live"
    )
    steps, carries = carrier(new)
    record = driven(steps, STARTED, ("audio.ready", {}))
    carried = carries.carry(record)
    assert carried.situation.configuration == ("live", "ringing")
    bits = carries.new.bits
    assert {name: dependency_status(carried, bit) for name, bit in bits.items()} == {"sdp": "pending", "audio": "ready"}
    assert carried.required == bits["audio"] | bits["sdp"]
    assert carried.remembered == ("+49 170",)
    assert carried.visits == (1,)
    assert [(timer.deadline, timer.spec.after.written) for timer in carried.timers] == [(30.0, "setup"), (5.0, "5s")]
    assert all(timer.spec is carries.new.timers[timer.spec.number] for timer in carried.timers)


def test_what_the_new_definition_knows_first_begins_blank() -> None:
    new = OLD.replace("sdp: sdp.answered}", "sdp: sdp.answered, greeting: ai.greeted}").replace(
        "remember: {", "remember: {reason: {on: call.ended, value: data.reason}, "
    )
    steps, carries = carrier(new)
    carried = carries.carry(driven(steps, STARTED))
    assert dependency_status(carried, carries.new.bits["greeting"]) == "pending"
    assert not carried.required & carries.new.bits["greeting"], "it is asked of new connections only"
    assert carried.remembered == (None, "+49 170")


def test_a_history_is_carried_and_leads_back() -> None:
    steps, carries = carrier(OLD)
    carried = carries.carry(driven(steps, ("audio.ready", {}), ("sdp.answered", {}), ("call.held", {})))
    assert carried.situation.configuration == ("held",)
    back = Steps(parse_definition(OLD)).event(carried, Event("call.resumed", "c"), at=0, now=0).after
    assert back.situation.configuration == ("live", "talking")


def test_a_timer_with_another_delay_goes_on_and_is_due_when_it_was() -> None:
    steps, carries = carrier(OLD.replace("5s: {cond", "8s: {cond"))
    carried = carries.carry(driven(steps))
    assert [(timer.deadline, timer.spec.after.written) for timer in carried.timers] == [(30.0, "setup"), (5.0, "8s")]


def test_a_timer_that_is_written_in_another_unit_is_the_same() -> None:
    assert obstacles(OLD.replace("5s: {cond", "5000ms: {cond")) == []


HELD: tuple[tuple[str, dict[str, Any]], ...] = (("audio.ready", {}), ("sdp.answered", {}), ("call.held", {}))


@pytest.mark.parametrize(
    ("change", "events", "told"),
    [
        (("ringing", "rings"), (), "there is no state 'ringing' any more (did you mean 'rings'?)"),
        (("was_live", "came_from"), HELD, "there is no history 'was_live' any more"),
        (
            ("was_live: {transitions", "was_live: {type: deep, transitions"),
            HELD,
            "the history 'was_live' was shallow and is now deep",
        ),
        (
            ("  held: {transitions", "  held: {states: {far: {initial: true}}, transitions"),
            HELD,
            "'held' now has states inside, and none of them is active",
        ),
        (("audio: {ready_on: audio.ready, failed_on: audio.failed}, ", ""), HELD, "the dependency 'audio' is ready"),
        (("remember: {caller", "remember: {number"), (STARTED,), "'meta.caller' has a value"),
        (
            ("setup: over, 5s: {cond: visits.ringing < 3, target: ringing}", "setup: over"),
            (),
            "the timer '5s' of 'ringing' runs, and there is none like it any more",
        ),
    ],
)
def test_what_has_no_place_is_told(change: tuple[str, str], events: Any, told: str) -> None:
    assert OLD.replace(*change) != OLD
    found = obstacles(OLD.replace(*change), *events)
    assert len(found) == 1
    assert found[0].startswith(told)


def test_what_is_blank_needs_no_place() -> None:
    assert obstacles(OLD.replace("audio: {ready_on: audio.ready, failed_on: audio.failed}, ", "")) == []
    assert obstacles(OLD.replace("remember: {caller", "remember: {number")) == []
    assert obstacles(OLD.replace("was_live", "came_from")) == []


FLAT = """
name: x
states:
  a: {initial: true, transitions: [{event: call.held, target: b}]}
  b: {transitions: [{event: call.resumed, target: a}]}
"""
AROUND = """
name: x
states:
  around:
    initial: true
    states:
      a: {initial: true, transitions: [{event: call.held, target: b}]}
      b: {transitions: [{event: call.resumed, target: a}]}
"""
TWO = """
name: x
states:
  a:
    initial: true
    parallel: true
    states:
      one: {transitions: [{event: call.held, target: one}]}
      two: {transitions: [{event: call.held, target: two}]}
"""
THREE = f"{TWO}      three: {{transitions: [{{event: call.held, target: three}}]}}\n"
EITHER = """
name: x
states:
  a:
    initial: true
    states:
      one: {initial: true, transitions: [{event: call.held, target: two}]}
      two: {transitions: [{event: call.held, target: one}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (FLAT, AROUND, ["'a' now stands inside 'around', which is not active"]),
        (TWO, THREE, ["'a' now has the region 'three' too, which is not active"]),
        (THREE, TWO, ["there is no state 'three' any more"]),
        (TWO, EITHER, ["of the states inside 'a' only one can now be active at a time"]),
    ],
)
def test_active_states_that_are_no_configuration_any_more_are_told(old: str, new: str, told: list[str]) -> None:
    steps = Steps(parse_definition(old))
    assert Carrier(steps.layout, Steps(parse_definition(new))).obstacles(driven(steps)) == told


def test_deferred_events_need_a_state_that_defers() -> None:
    old = """
name: x
states:
  a: {initial: true, defer: [call.held], transitions: [{event: call.started, target: b}]}
  b: {transitions: [{event: call.held, target: a}]}
"""
    steps = Steps(parse_definition(old))
    record = driven(steps, ("call.held", {}))
    assert Carrier(steps.layout, Steps(parse_definition(old))).obstacles(record) == []
    new = Steps(parse_definition(old.replace("defer: [call.held], ", "")))
    assert Carrier(steps.layout, new).obstacles(record) == ["1 deferred events wait, and no state defers any more"]

"""Living connections, read from JSON lines and judged one by one; what a line leaves out can be anything possible."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import asdict

from bus import Event
from statemachines import DefinitionError, parse_definition
from statemachines.comparison import Comparison, Fate, compare, read_living
from statemachines.connections.connections import Connections
from statemachines.table.layout import Layout

OLD = """
name: call
version: 1
timeouts: {setup: 30s}
dependencies: {audio: {ready_on: audio.ready, lost_on: audio.lost}, sdp: {ready_on: sdp.answered, required: false}}
remember: {caller: {on: call.started, value: data.caller}, tries: {on: call.tried, value: data.tries}}
keys: {wa_id: {on: call.started, value: data.wa_id}}
states:
  created: {initial: true, transitions: [{event: call.started, target: ringing}]}
  ringing:
    after: {setup: over}
    transitions:
      - {cond: all_ready, target: talking}
      - {event: call.ended, cond: data.caller == meta.caller, target: over}
  talking:
    transitions:
      - {event: call.ended, target: over}
      - {event: call.checked, cond: meta.tries > 3, target: over}
      - {event: sdp.checked, cond: sdp, target: over}
  over: {final: true}
"""


def read(*lines: dict[str, Any]) -> list[Any]:
    return read_living([json.dumps(line) for line in lines], "alive.jsonl", Layout(parse_definition(OLD)))


def judged(change: tuple[str, str], *lines: dict[str, Any]) -> tuple[Comparison, list[Fate]]:
    new = OLD.replace(*change).replace("version: 1", "version: 2")
    assert OLD.replace(*change) != OLD
    found = compare(parse_definition(OLD), parse_definition(new), read(*lines))
    return found, [one.fate for one in found.connections or ()]


TALKING: dict[str, Any] = {"connection_id": "c", "configuration": ["talking"]}


def test_known_facts_decide_and_missing_ones_can_be_anything() -> None:
    facts = {"dependencies": {"audio": "ready", "sdp": "pending"}, "remembered": {"tries": 9, "caller": None}}
    _, (far, near, any_possible) = judged(
        ("meta.tries > 3", "meta.tries > 5"),
        {**TALKING, **facts},
        {**TALKING, "remembered": {"tries": 4}},
        TALKING,
    )
    assert far.difference is not None
    assert len(far.difference.events) == 2, "9 tries are enough for both: others must be told first"
    assert near.difference is not None
    assert near.difference.events == ("call.checked",)
    assert any_possible.difference is not None
    assert any_possible.difference.events == ("call.checked",), "it may be one that had 4 tries"
    assert far.cases.total() == 1 < any_possible.cases.total()


def test_a_lost_fact_is_gone_for_those_that_have_it() -> None:
    change = ("sdp: {ready_on: sdp.answered, required: false}", "sdx: {ready_on: sdp.answered, required: false}")
    new = (change[0] + "}", change[1] + "}")
    text = OLD.replace(*new).replace("cond: sdp,", "cond: sdx,").replace("version: 1", "version: 2")
    lines = read(
        {**TALKING, "connection_id": "has", "dependencies": {"sdp": "ready"}},
        {**TALKING, "connection_id": "has_not", "dependencies": {"sdp": "pending"}},
        {**TALKING, "connection_id": "may"},
    )
    found = compare(parse_definition(OLD), parse_definition(text), lines)
    assert {one.connection_id: one.fate.verdict for one in found.connections or ()} == {
        "has": "gone",
        "has_not": "same",
        "may": "gone",
    }
    assert found.verdicts()["gone"] == 2


def test_a_running_timer_is_due_when_its_line_says() -> None:
    ringing = {"connection_id": "c", "configuration": ["ringing"], "dependencies": {"audio": "pending"}}
    _, (fate,) = judged(
        ("setup: over", "setup: created"),
        {**ringing, "timers": [{"state": "ringing", "timer": "setup", "remaining": 12.5}], "metadata": {}},
    )
    assert fate.difference is not None
    assert fate.difference.events == ({"wait": "12.5s"},)


def test_texts_that_nobody_compares_with_are_told_as_other_words() -> None:
    number = "+49 170 1234567"
    lines = [
        {"connection_id": f"c{one}", "phase": "ringing", "remembered": {"caller": f"{number}{one}"}} for one in range(3)
    ]
    found, fates = judged(
        ("data.caller == meta.caller, target: over", "data.caller == meta.caller, target: talking"), *lines
    )
    assert {fate.verdict for fate in fates} == {"changed"}
    assert number not in json.dumps(found.to_dict())
    difference = fates[0].difference
    assert difference is not None
    assert difference.events == ({"publish": "call.ended", "data": {"caller": "other"}},)


def test_connections_that_require_other_dependencies_are_judged_by_these() -> None:
    change = ("cond: all_ready, target: talking", "cond: audio and sdp, target: talking")
    base: dict[str, Any] = {"configuration": ["ringing"], "dependencies": {"audio": "pending", "sdp": "pending"}}
    _, (usual, own) = judged(
        change,
        {"connection_id": "usual", **base},
        {"connection_id": "own", **base, "ready_conditions": {"audio": False, "sdp": False}},
    )
    assert usual.verdict == "changed"
    assert own.verdict == "same"


def test_a_timeout_of_its_own_holds_for_a_connection() -> None:
    base: dict[str, Any] = {"configuration": ["created"], "timers": [], "remembered": {"caller": None, "tries": None}}
    _, (usual, own) = judged(
        ("setup: 30s", "setup: 20s"),
        {"connection_id": "usual", **base},
        {"connection_id": "own", **base, "timeouts": {"setup": 10}},
    )
    assert (usual.verdict, own.verdict) == ("changed", "same")


def test_a_lost_key_is_gone_for_those_known_by_it() -> None:
    _, (known, other) = judged(
        ("keys: {wa_id: {on: call.started, value: data.wa_id}}\n", ""),
        {**TALKING, "keys": {"wa_id": "4917"}},
        TALKING,
    )
    assert known.why == ("it is known by the key 'wa_id', which is not declared any more",)
    assert (known.verdict, other.verdict) == ("gone", "same")


def test_those_that_have_ended_are_not_judged() -> None:
    found, fates = judged(
        ("setup: 30s", "setup: 20s"), {"connection_id": "c", "configuration": ["over"], "ended": True}
    )
    assert fates == []
    assert found.connections == ()


def test_a_connection_where_no_events_lead_is_judged_by_what_is_known() -> None:
    """``terminate_connection`` and ``mark_dependency_ready`` lead where no event does."""
    old = """
name: x
version: 1
dependencies: {audio: audio.ready}
states:
  a: {initial: true, transitions: [{cond: "audio and not audio", target: b}, {event: call.held, target: a}]}
  b: {transitions: [{event: call.resumed, cond: audio, target: a}]}
"""
    where = {"id": "c", "configuration": ["b"]}
    lines = [json.dumps({**where, "dependencies": {"audio": status}}) for status in ("pending", "ready")]
    new = old.replace("call.resumed, cond: audio", "call.ended, cond: audio").replace("ready]", "ready]")
    living = read_living(lines, "-", Layout(parse_definition(old)))
    found = compare(parse_definition(old), parse_definition(new), living)
    differences = [one.fate.difference for one in found.connections or ()]
    assert [len(one.events) for one in differences if one is not None] == [2, 1]


def test_a_connection_state_is_a_line() -> None:
    connections = Connections(parse_definition(OLD))
    connections.register("c", call_id="x", metadata={"note": 1}, at=0, now=0)
    connections.receive(Event("call.started", "c", {"caller": "anna"}), at=0, now=0)
    line = json.dumps(asdict(connections.state("c")))
    (living,) = read_living([line, ""], "-", connections.layout)
    assert living.connection_id == "c"
    assert living.states == (connections.layout.index["ringing"],)
    assert living.remembered == {0: "anna"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "the line is no JSON"),
        ("[]", "the line is no object"),
        ('{"configuration": ["talking"]}', "the connection has no 'connection_id'"),
        ('{"id": "c"}', "connection 'c' has neither a 'configuration' nor a 'phase'"),
        ('{"id": "c", "configuration": ["talkin"]}', "call has no state 'talkin' (did you mean 'talking'?)"),
        ('{"id": "c", "configuration": "talking"}', "configuration: must be"),
        (
            '{"id": "c", "phase": "talking", "dependencis": {}}',
            "unknown field 'dependencis' (did you mean 'dependencies'?)",
        ),
        ('{"id": "c", "phase": "talking", "dependencies": {"audoi": "ready"}}', "call has no dependency 'audoi'"),
        (
            '{"id": "c", "phase": "talking", "dependencies": {"audio": "redy"}}',
            "must be one of 'pending', 'ready', 'failed'",
        ),
        ('{"id": "c", "phase": "talking", "remembered": {"call": 1}}', "call has no remembered fact 'call'"),
        (
            '{"id": "c", "phase": "talking", "timers": [{"state": "ringing", "timer": "9s", "remaining": 1}]}',
            "has no timer '9s'",
        ),
        (
            '{"id": "c", "phase": "talking", "timers": [{"state": "ringing", "timer": "setup", "remaining": -1}]}',
            "must be 0 or more",
        ),
        ('{"id": "c", "phase": "talking", "timeouts": {"setpu": 1}}', "call has no timeout 'setpu'"),
        ('{"id": "c", "phase": "talking", "history": {"was": ["a"]}}', "call has no history 'was'"),
    ],
)
def test_a_line_that_is_no_connection_is_refused_at_its_place(line: str, told: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_living(["", line], "alive.jsonl", Layout(parse_definition(OLD)))
    (problem,) = refused.value.problems
    assert str(problem).startswith("alive.jsonl:2:1: error: ")
    assert told in problem.message


def test_every_wrong_line_is_told_at_once() -> None:
    with pytest.raises(DefinitionError) as refused:
        read_living(["{", "[]"], "alive.jsonl", Layout(parse_definition(OLD)))
    assert [problem.line for problem in refused.value.problems] == [1, 2]

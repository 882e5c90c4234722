"""The properties of a definition: what holds, what does not and the shortest way into it, what holds only emptily."""

from __future__ import annotations

from typing import Any

import pytest

from statemachines import parse_definition
from statemachines.exploration import Bounds, Exploration, Judgement, explore
from statemachines.language.traffic import read_traffic

CALL = """
name: call
dependencies: {audio: {ready_on: audio.connected, lost_on: audio.lost}}
states:
  ringing:
    initial: true
    after: {10s: missed}
    transitions: [{event: call.answered, target: talking}]
  talking:
    enter: [start_audio]
    exit: [stop_audio]
    transitions: [{event: call.ended, target: ended}, {event: call.held, target: waiting}]
  waiting:
    after: {5s: waiting}
    transitions: [{event: call.resumed, target: talking}]
  missed: {final: true}
  ended: {final: true}
"""


def judged(text: str, properties: str, **more: Any) -> dict[str, Judgement]:
    found = explored(f"{text}properties:\n{properties}", **more)
    return {judgement.name: judgement for judgement in found.properties}


def explored(text: str, traffic: str | None = None, **more: Any) -> Exploration:
    definition = parse_definition(text)
    sent = None if traffic is None else read_traffic(traffic, "<traffic>", definition)
    return explore(definition, traffic=sent, **more)


def steps(judgement: Judgement) -> list[Any]:
    assert judgement.holds is False
    assert judgement.counterexample is not None
    return list(judgement.counterexample.steps)


def test_what_is_always_so_holds_and_what_is_not_comes_with_the_shortest_way() -> None:
    found = judged(
        CALL, "  a: {always: \"not In('talking') or audio\"}\n  b: {never: \"In('talking') and In('missed')\"}"
    )
    assert steps(found["a"]) == ["call.answered"]
    assert found["b"].holds is True
    assert found["b"].counterexample is None


def test_what_is_sometimes_so_comes_with_a_witness() -> None:
    found = judged(
        CALL, "  a: {sometimes: \"In('talking') and audio\"}\n  b: {sometimes: \"In('ringing') and In('ended')\"}"
    )
    assert found["a"].witness is not None
    assert sorted(found["a"].witness.steps, key=str) == ["audio.connected", "call.answered"]
    assert found["b"].holds is False
    assert found["b"].counterexample is None


def test_what_cannot_be_reached_any_more_is_told_by_the_way_to_where_it_cannot() -> None:
    found = judged(CALL, "  a: {always_reachable: ended}\n  b: {always_reachable: talking}")
    assert steps(found["a"]) == [{"wait": "10s"}]
    assert steps(found["b"])[-1] == {"wait": "10s"}


def test_no_event_has_to_come_and_a_timer_has_to_fire() -> None:
    found = judged(
        CALL,
        "  a: {leads_to: [\"In('ringing')\", \"not In('ringing')\"]}\n"
        "  b: {leads_to: [\"In('talking')\", \"In('ended')\"]}",
    )
    assert found["a"].holds is True
    assert steps(found["b"]) == ["call.answered"]
    assert found["b"].counterexample is not None
    assert found["b"].counterexample.end == "nothing more has to happen"


def test_a_circle_in_which_time_passes_avoids_a_goal_for_ever() -> None:
    found = judged(CALL, "  a: {leads_to: [\"In('waiting')\", \"In('talking')\"]}")
    assert steps(found["a"]) == ["call.answered", "call.held", {"wait": "5s"}]
    assert found["a"].counterexample is not None
    assert "for ever" in found["a"].counterexample.end


def test_within_is_judged_by_the_time_that_passes() -> None:
    found = judged(
        CALL,
        "  a: {leads_to: [\"In('ringing')\", \"not In('ringing')\"], within: 10s}\n"
        "  b: {leads_to: [\"In('ringing')\", \"not In('ringing')\"], within: 9s}",
    )
    assert found["a"].holds is True
    assert steps(found["b"]) == [{"wait": "9.999s"}]


RESET = """
name: reset
states:
  open:
    initial: true
    after: {10s: closed}
    transitions: [{event: line.used, target: open}]
  closed: {final: true}
"""


def test_an_event_that_sets_a_timer_back_just_before_it_is_due_can_do_so_for_ever() -> None:
    found = judged(RESET, "  a: {leads_to: [\"In('open')\", \"In('closed')\"]}")
    assert steps(found["a"]) == [{"wait": "9.999s"}, "line.used"]


def test_each_first_action_has_its_second_on_the_way_to_an_end() -> None:
    without = CALL.replace("    exit: [stop_audio]\n", "").replace("target: ended}", "target: ended, on: [stop_audio]}")
    leak = without.replace("{event: call.held,", "{event: call.lost, target: missed}, {event: call.held,")
    for text, holds in ((CALL, True), (without, True), (leak, False)):
        (found,) = judged(text, "  a: {closes: {start_audio: stop_audio}}").values()
        assert found.holds is holds
    assert steps(found) == ["call.answered", "call.lost"]


LONELY = (
    CALL.replace("talking:\n", "talking:\n", 1)
    + """properties:
  a: {never: "In('never') and audio"}
  b: {always: "not In('never') or audio"}
  c: {leads_to: ["In('never')", "audio"]}
  d: {closes: {never_called: stop_audio}}
  e: {never: "In('talking') and In('missed')"}
"""
)


def test_what_holds_only_because_its_case_never_occurs_is_called_vacuous() -> None:
    text = LONELY.replace(
        "  missed: {final: true}\n",
        "  missed: {final: true}\n"
        "  never:\n    enter: [never_called]\n    transitions: [{event: call.ended, target: ended}]\n",
    ).replace(
        "[{event: call.answered, target: talking}]",
        '[{event: call.answered, target: talking}, {event: call.odd, cond: "False", target: never}]',
    )
    found = explored(text)
    assert {one.name: (one.holds, one.vacuous) for one in found.properties} == {
        "a": (True, True),
        "b": (True, True),
        "c": (True, True),
        "d": (True, True),
        "e": (True, False),
    }
    assert found.unreachable_states == ("never",)
    assert "ringing -> never on call.odd when False" in found.unfired_transitions


def test_a_bound_leaves_undecided_what_was_not_violated_before_it() -> None:
    properties = (
        "  a: {always: \"not In('talking')\"}\n  b: {always: \"not In('ended')\"}\n"
        "  c: {sometimes: \"In('talking')\"}\n  d: {always_reachable: ended}\n"
    )
    found = explored(f"{CALL}properties:\n{properties}", bounds=Bounds(cases=4))
    assert not found.complete
    assert found.untried > 0
    assert {one.name: one.holds for one in found.properties} == {"a": False, "b": None, "c": True, "d": None}


def test_a_payload_that_a_guard_asks_for_is_tried_and_told() -> None:
    text = """
name: limits
states:
  idle:
    initial: true
    transitions:
      - {event: load.reported, cond: "data.level > 7 and data.level < 9 and data.unit == 'percent'", target: busy}
  busy: {final: true}
properties:
  never_busy: {never: "In('busy')"}
"""
    (step,) = steps(explored(text).properties[0])
    assert step == {"publish": "load.reported", "data": {"level": 8, "unit": "percent"}}


def test_a_kept_value_is_compared_with_an_equal_and_with_another_one() -> None:
    text = """
name: same
remember: {first: {on: {event: key.given, when: meta.first is None and data.key}, value: data.key}}
states:
  idle:
    initial: true
    transitions:
      - {event: key.shown, cond: data.key and data.key == meta.first, target: open}
      - {event: key.shown, cond: data.key and data.key != meta.first and meta.first, target: refused}
  open: {final: true}
  refused: {final: true}
"""
    found = explored(text)
    assert found.unreachable_states == ()
    assert found.dead_ends == ()


def test_what_is_published_and_named_comes_back_at_once() -> None:
    text = """
name: echo
states:
  idle:
    initial: true
    transitions:
      - event: call.asked
        target: asked
        on: [{publish: {event: call.echoed, data: {to: {expr: data.to}}}}]
  asked: {transitions: [{event: call.echoed, cond: data.to == 'me', target: heard}]}
  heard: {final: true}
properties:
  unheard: {never: "In('heard')"}
"""
    found = explored(text)
    assert steps(found.properties[0]) == [{"publish": "call.asked", "data": {"to": "me"}}]


def test_a_machine_that_feeds_itself_is_a_livelock() -> None:
    text = """
name: parrot
states:
  quiet: {initial: true, transitions: [{event: word.said, target: quiet, on: [{publish: word.said}]}]}
"""
    assert explored(text).livelocks == ("quiet: hears its own events without end",)


def test_deferred_events_are_sent_again() -> None:
    text = """
name: patient
states:
  busy: {initial: true, defer: [call.asked], transitions: [{event: work.done, target: idle}]}
  idle: {transitions: [{event: call.asked, target: asked}]}
  asked: {final: true}
properties:
  asked_at_once: {never: "In('asked')"}
"""
    assert steps(explored(text).properties[0]) == ["work.done", "call.asked"]
    assert explored(text.replace("target: idle}]}", "target: idle}]}\n", 1)).unreachable_states == ()
    found = explored(text, "sources: {one: [call.asked, work.done]}")
    assert steps(found.properties[0]) == ["call.asked", "work.done"]


@pytest.mark.parametrize(
    ("transitions", "conflicts"),
    [
        ("{event: x.came, cond: a, target: two}, {event: x.came, cond: b, target: three}", 1),
        ("{event: x.came, cond: a, target: two}, {event: x.came, target: three}", 0),
        ("{event: x.came, cond: a, target: two}, {event: x.came, cond: not a, target: three}", 0),
    ],
)
def test_two_guarded_transitions_that_hold_at_once_are_a_conflict(transitions: str, conflicts: int) -> None:
    text = f"""
name: choice
dependencies: {{a: a.ready, b: b.ready}}
states:
  one: {{initial: true, transitions: [{transitions}]}}
  two: {{final: true}}
  three: {{final: true}}
"""
    assert len(explored(text).conflicts) == conflicts


def test_a_region_that_leaves_what_another_stands_in_is_a_conflict() -> None:
    text = """
name: sides
states:
  both:
    initial: true
    parallel: true
    states:
      left: {states: {l1: {initial: true, transitions: [{event: x.came, target: out}]}}}
      right:
        states:
          r1: {initial: true, transitions: [{event: x.came, target: r2}]}
          r2: {transitions: [{event: y.came, target: r1}]}
  out: {final: true}
"""
    assert explored(text).conflicts == ("l1 -> out on x.came / r1 -> r2 on x.came (on x.came)",)


def test_where_no_transition_is_ever_taken_again_is_a_dead_end() -> None:
    text = """
name: stuck
dependencies: {a: {failed_on: a.failed, ready_on: a.ready}}
remember: {seen: {on: x.came, value: event}}
states:
  start: {initial: true, transitions: [{event: x.came, target: wait}, {event: y.came, target: wait}]}
  wait: {transitions: [{event: z.came, cond: meta.seen is None, target: start}]}
"""
    assert explored(text).dead_ends == ("wait",)


def test_a_state_that_is_only_passed_through_is_no_unreachable_one() -> None:
    text = """
name: passing
states:
  one: {initial: true, transitions: [{event: a.came, target: between}]}
  between: {transitions: [{target: two}]}
  two: {final: true}
"""
    assert explore(parse_definition(text)).unreachable_states == ()

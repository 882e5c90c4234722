"""What becomes of living connections when a new definition comes: same, changed, gone or undecided, and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from attrs import evolve

from statemachines import load_definition, parse_definition
from statemachines.comparison import Comparison, Fate, compare
from statemachines.comparison import comparing as comparing_module
from statemachines.comparison import pairs as pairs_module
from statemachines.exploration.packing import TooMany
from statemachines.exploration.search import Bounds
from tests.comparison_helpers import Both, stimuli_of

CALL = """
name: call
version: 1
timeouts: {setup: 30s}
dependencies: {audio: {ready_on: audio.ready, lost_on: audio.lost}, sdp: sdp.answered}
remember: {caller: {on: call.started, value: data.caller}}
states:
  created: {initial: true, transitions: [{event: call.started, target: ringing}]}
  ringing:
    enter: [ring]
    invoke: {call: dial, failed: dial.failed}
    after: {setup: over}
    transitions: [{cond: all_ready, target: talking}, {event: dial.failed, target: over}]
  talking:
    enter: [{publish: {event: call.connected, data: {from: {expr: meta.caller}}}}]
    transitions: [{event: call.ended, cond: data.code > 3, target: over}]
  over: {final: true}
"""


def compared(change: tuple[str, str], *, old: str = CALL, raised: bool = True, **more: Any) -> Comparison:
    new = old.replace(*change)
    assert new != old
    if raised:
        new = new.replace("version: 1", "version: 2")
    return compare(parse_definition(old), parse_definition(new), **more)


def fates(found: Comparison) -> dict[str, Fate]:
    return {one.phase: one.fate for one in found.configurations}


def verdicts(found: Comparison) -> dict[str, str]:
    return {phase: fate.verdict for phase, fate in fates(found).items()}


def test_what_hears_itself_without_end_is_told_of_and_nothing_is_called_complete() -> None:
    echo = """
name: echo
version: 1
states:
  idle: {initial: true, transitions: [{event: call.begun, target: noisy}]}
  noisy:
    ignore: {publish-loop: shown}
    enter: [{publish: call.echoed}]
    transitions: [{event: call.echoed, target: noisy}, {event: call.ended, target: over}]
  over: {final: true}
"""
    found = compared(("enter: [{publish: call.echoed}]", "enter: [{publish: call.echoed}, shout]"), old=echo)
    assert not found.complete
    assert found.why_cut == "in noisy a connection hears itself without end: it is never at rest to be carried over"
    assert list(fates(found)) == ["idle"]


def test_another_guard_is_told_apart_by_the_payload_between_the_two() -> None:
    found = compared(("data.code > 3", "data.code > 5"))
    assert verdicts(found) == {"created": "changed", "ringing": "changed", "talking": "changed"}
    difference = fates(found)["talking"].difference
    assert difference is not None
    (event,) = difference.events
    assert isinstance(event, dict)
    assert event["publish"] == "call.ended"
    assert 3 < event["data"]["code"] <= 5
    assert difference.old == ("is in over [over] and ends",)
    assert difference.new == ("stays in talking",)


def test_what_lies_behind_is_the_same() -> None:
    found = compared(("cond: all_ready, target: talking", "cond: audio, target: talking"))
    assert verdicts(found) == {"created": "changed", "ringing": "changed", "talking": "same"}


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (("enter: [ring]", "enter: [ring, light]"), "calls ring", "calls light"),
        (("{expr: meta.caller}", "{expr: data.caller}"), None, None),
        (("event: call.connected", "event: call.joined"), "publishes call.connected", "publishes call.joined"),
        (
            ("failed: dial.failed", "done: dial.done"),
            "invokes dial (dial.failed when failed)",
            "invokes dial (dial.done",
        ),
        (("call: dial", "call: dial_out"), "cancels dial", "cancels dial_out"),
    ],
)
def test_actions_payloads_and_invokes_are_compared(change: tuple[str, str], old: str | None, new: str | None) -> None:
    found = compared(change)
    difference = fates(found)["ringing" if "cancel" in str(old) or old is None else "created"].difference
    assert difference is not None
    told, told_new = "; ".join(difference.old), "; ".join(difference.new)
    assert told != told_new
    assert old is None or old in told
    assert new is None or new in told_new


def test_computed_payloads_are_told_apart_by_a_number() -> None:
    old = CALL.replace("{expr: meta.caller}", "{expr: data.number * 2}").replace("cond: all_ready", "event: e.one")
    found = compared(("data.number * 2", "data.number * data.number"), old=old)
    difference = fates(found)["ringing"].difference
    assert difference is not None
    (event,) = difference.events
    assert isinstance(event, dict)
    assert event["data"]["number"] not in (0, 2)


def test_a_new_delay_spares_the_timers_that_run() -> None:
    found = compared(("setup: 30s", "setup: 20s"))
    assert verdicts(found) == {"created": "changed", "ringing": "same", "talking": "same"}
    difference = fates(found)["created"].difference
    assert difference is not None
    assert difference.events == ("call.started", {"wait": "20s"})
    assert difference.new[-1] == "is in over [over] and ends"


def test_a_timer_that_came_is_no_timer_of_those_that_live() -> None:
    found = compared(("  talking:\n", "  talking:\n    after: {60s: over}\n"))
    assert verdicts(found) == {"created": "changed", "ringing": "changed", "talking": "same"}


def test_a_renamed_state_is_gone() -> None:
    found = compared(("talking", "speaking"))
    assert verdicts(found) == {"created": "changed", "ringing": "changed", "talking": "gone"}
    assert fates(found)["talking"].why == ("there is no state 'talking' any more (did you mean 'speaking'?)",)
    assert {(one.kind, one.state) for one in found.changes if one.what == "state"} == {
        ("removed", "talking"),
        ("added", "speaking"),
    }


def test_a_fact_without_a_place_is_gone_only_where_it_has_a_value() -> None:
    found = compared((", sdp: sdp.answered", ""))
    ringing = fates(found)["ringing"]
    assert ringing.verdict == "gone"
    assert ringing.cases["changed"] > 0, "where sdp was not answered yet nothing is lost"
    assert ringing.why == ("the dependency 'sdp' is ready, and not declared any more",)


def test_a_transition_without_event_that_came_waits_for_whatever_comes_next() -> None:
    found = compared(
        ("transitions: [{event: call.ended,", "transitions: [{cond: audio, target: over}, {event: call.ended,")
    )
    difference = fates(found)["talking"].difference
    assert difference is not None
    assert len(difference.events) == 1
    assert difference.old == ("stays in talking",)
    assert difference.new == ("is in over [over] and ends",)


def test_a_phase_that_is_called_otherwise_is_apart_at_once() -> None:
    stays = "transitions: [{event: call.held, target: b}]"
    old = f"name: x\nversion: 1\nstates:\n  a: {{initial: true, states: {{b: {{initial: true, {stays}}}}}}}\n"
    new = f"name: x\nversion: 2\nstates:\n  b: {{initial: true, states: {{a: {{initial: true, {stays}}}}}}}\n"
    found = compare(parse_definition(old), parse_definition(new))
    (fate,) = (one.fate for one in found.configurations)
    assert fate.verdict == "changed"
    assert fate.difference is not None
    assert fate.difference.events == ()
    assert (fate.difference.old, fate.difference.new) == (("is in b [a, b]",), ("is in a [a, b]",))


def test_an_event_of_its_own_comes_back_to_the_side_that_published_it_alone() -> None:
    old = """
name: x
version: 1
states:
  a: {initial: true, transitions: [{event: e.one, target: b}]}
  b: {enter: [{publish: e.two}], transitions: [{event: e.two, target: c}]}
  c: {transitions: [{event: e.three, target: a}]}
"""
    found = compared(("enter: [{publish: e.two}]", "enter: [{publish: e.three}]"), old=old)
    difference = fates(found)["a"].difference
    assert difference is not None
    assert difference.events == ("e.one",)
    assert difference.old == ("publishes e.two", "is in b [b]", "is in c [c]")
    assert difference.new == ("publishes e.three", "is in b [b]")


def test_events_that_follow_each_other_for_ever_are_followed_to_where_they_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = """
name: x
version: 1
states:
  a: {initial: true, transitions: [{event: call.started, target: b}]}
  b: {enter: [{publish: call.rang}], transitions: [{event: call.rang, target: c}]}
  c: {enter: [{publish: call.rang}], transitions: [{event: call.rang, target: b}, {event: call.ended, target: a}]}
"""
    change = ("{event: call.ended, target: a}", "{event: call.ended, target: b}")
    near = compared(change, old=old)
    monkeypatch.setattr(pairs_module, "LONG", 10_000)
    far = compared(change, old=old)

    def told(found: Comparison) -> list[Any]:
        return [
            (one.phase, one.fate.cases, one.fate.difference and one.fate.difference.events)
            for one in found.configurations
        ]

    assert told(near) == told(far)
    assert "changed" in verdicts(near).values()


def test_a_new_connection_is_judged_too() -> None:
    found = compared(("  created: {initial", "  created: {enter: [greet], initial"))
    assert set(verdicts(found).values()) == {"same"}
    assert found.registered.verdict == "changed"
    found = compared(("sdp: sdp.answered", "sdp: {ready_on: sdp.answered, required: false}"))
    assert set(verdicts(found).values()) == {"same"}, "those that live go on to require what they were registered with"
    assert found.registered.verdict == "changed"


def test_visits_are_counted_as_far_as_either_asks() -> None:
    old = """
name: x
version: 1
states:
  a: {initial: true, transitions: [{event: e.one, target: b}]}
  b: {transitions: [{event: e.two, target: a}, {event: e.three, cond: visits.b >= 2, target: c}]}
  c: {final: true}
"""
    found = compared(("visits.b >= 2", "visits.b >= 5"), old=old)
    difference = fates(found)["b"].difference
    assert difference is not None
    assert difference.events == ("e.three",)
    (told,) = (one.fate for one in found.configurations if one.phase == "b")
    assert told.cases["same"] > 0, "beyond 5 visits there is no difference"
    assert told.cases["changed"] > 0


@pytest.mark.parametrize(
    "change",
    [
        ("name: call\n", "# another comment\nname: call\ndescription: As before.\n"),
        ("cond: data.code > 3", "cond: '( data.code  >  3 )'"),
        (
            "{audio: {ready_on: audio.ready, lost_on: audio.lost}, sdp: sdp.answered}",
            "{sdp: {ready_on: [sdp.answered]}, audio: {lost_on: audio.lost, ready_on: audio.ready}}",
        ),
        ("setup: 30s", "setup: 30000ms"),
        ("cond: all_ready", "cond: sdp and audio"),
    ],
)
def test_written_otherwise_is_the_same_everywhere(change: tuple[str, str]) -> None:
    found = compared(change, raised=False)
    assert set(verdicts(found).values()) == {"same"}
    assert found.registered.verdict == "same"
    assert found.complete


def test_written_otherwise_changes_nothing_and_asks_for_no_version() -> None:
    found = compared(("cond: data.code > 3", "cond: '( data.code  >  3 )'"), raised=False)
    assert found.changes == ()
    assert found.warnings == ()


def test_a_version_that_did_not_rise_is_a_warning() -> None:
    (warning,) = compared(("data.code > 3", "data.code > 5"), raised=False).warnings
    assert "version did not rise (1 before, 1 now): write version: 2" in warning
    assert compared(("data.code > 3", "data.code > 5")).warnings == ()


def test_a_key_that_went_is_a_warning() -> None:
    old = CALL.replace("remember:", "keys: {wa_id: {on: call.started, value: data.wa_id}}\nremember:")
    found = compared(("keys: {wa_id: {on: call.started, value: data.wa_id}}\n", ""), old=old)
    assert any("the key 'wa_id' is gone" in warning for warning in found.warnings)


def test_where_a_bound_cuts_it_is_undecided_and_says_so() -> None:
    # 1e9 visits would have to be counted to see it.
    found = compared(("data.code > 3", "data.code > 5"), bounds=Bounds(4, None))
    assert not found.complete
    assert "more than 4" in (found.why_cut or "")
    assert set(verdicts(found).values()) <= {"undecided", "changed"}
    assert "undecided" in verdicts(found).values()
    assert found.to_dict()["complete"] is False


def test_the_same_table_is_the_same_however_little_was_tried() -> None:
    definition = parse_definition(CALL)
    found = compare(definition, evolve(definition, description="x"), bounds=Bounds(3, None))
    assert not found.complete
    assert set(verdicts(found).values()) == {"same"}


def test_an_interrupt_shows_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(found: int, tried: int, moves: int) -> None:
        raise KeyboardInterrupt

    found = compare(parse_definition(CALL), parse_definition(CALL.replace("> 3", "> 5")), progress=stop)
    assert not found.complete
    assert "interrupted" in (found.why_cut or "")


def test_only_so_many_reasons_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing_module, "MOST_REASONS", 1)
    found = compared((", sdp: sdp.answered", ""))
    assert all(len(fate.why) <= 1 for fate in fates(found).values())


@pytest.mark.parametrize("name", ["tcp", "traffic_light", "sip_invite", "media_stream"])
def test_a_shipped_definition_is_the_same_as_itself_by_search_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing_module, "behaviour", lambda definition: object())
    definition = load_definition(name)
    found = compare(definition, definition, bounds=Bounds(3_000, 20))
    assert set(verdicts(found).values()) <= ({"same"} if found.complete else {"same", "undecided"})
    assert found.pairs > 0


def test_the_events_of_a_shipped_change_replay() -> None:
    old = load_definition("sip_invite")
    new = evolve(old, timeouts={name: seconds * 2 for name, seconds in old.timeouts.items()}, version=old.version + 1)
    found = compare(old, new, bounds=Bounds(20_000, 20))
    both = Both(old, new)
    told = [fate.difference for fate in fates(found).values() if fate.difference is not None]
    for difference in told:
        before, after = both.replay(stimuli_of(list(difference.way)), stimuli_of(list(difference.events)))
        assert before != after


STEP = """
name: x
version: 1
states:
  a: {initial: true, transitions: [{event: call.ended, target: b}]}
  b: {transitions: [{event: call.ended, target: c}]}
  c: {final: true}
"""


def test_an_event_that_neither_names_can_tell_two_apart() -> None:
    old = STEP.replace("states:", "dependencies: {media: webrtc.connected}\nstates:")
    change = ("target: c}]", "target: c}, {cond: not media, target: a}]")
    found = compared(change, old=old)
    difference = fates(found)["b"].difference
    assert difference is not None
    assert difference.events == ("other.happened",)
    assert difference.new == ("is in a [a]",)


def test_what_the_old_definition_remembers_is_tried_with_what_the_new_one_asks_of_it() -> None:
    old = STEP.replace("states:", "remember: {tier: {on: call.ended, value: data.tier}}\nstates:")
    new = old.replace("data.tier", "data.level").replace(
        "b: {transitions: [", "b: {transitions: [{event: call.checked, cond: meta.tier == 'gold', target: c}, "
    )
    found = compare(parse_definition(old), parse_definition(new))
    difference = fates(found)["b"].difference
    assert difference is not None
    assert difference.way == ({"publish": "call.ended", "data": {"tier": "gold"}},)
    assert difference.events == ("call.checked",)


def test_a_timer_is_carried_to_a_state_that_the_new_definition_never_enters() -> None:
    old = parse_definition(STEP.replace("b: {", "b: {after: {30s: c}, "))
    (first, *others) = old.states
    (transition,) = first.transitions
    spared = evolve(first, transitions=(evolve(transition, target="c"),))
    found = compare(old, evolve(old, states=(spared, *others)))
    assert verdicts(found) == {"a": "changed", "b": "same"}


def test_pairs_that_were_not_followed_are_undecided() -> None:
    change = ("setup: 30s", "setup: 20s")
    cases = compared(change).cases
    found = compared(change, bounds=Bounds(cases, None))
    assert found.why_cut is not None
    assert found.why_cut.startswith("pairs of cases: ")
    assert verdicts(found)["talking"] == "undecided"


def test_nothing_is_the_same_while_there_may_be_other_cases() -> None:
    told = comparing_module._Told(Counter({"same": 2}))
    nobody: Any = None
    assert told.fate(nobody, certain=False).verdict == "undecided"


def test_a_registration_of_too_many_values_leaves_new_connections_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh(_: object) -> None:
        raise TooMany("more than 1024 different values of something")

    monkeypatch.setattr(pairs_module.Pairs, "fresh", fresh)
    found = compared(("30s", "20s"))
    assert (found.registered.verdict, found.complete) == ("undecided", False)
    assert found.why_cut == "a new connection: more than 1024 different values of something"

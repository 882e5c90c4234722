"""The rules over a loaded definition: what is allowed although it looks odd, and what is warned of."""

from __future__ import annotations

import pytest

from statemachines.language import check_definition, names

EVENTS = """
connection.created connection.ready connection.terminated webrtc.sdp_offer_received webrtc.sdp_answer_generated
webrtc.ice_connection_changed webrtc.audio_track_ready ai.connection_initialized ai.audio_track_ready
ai.data_channel_ready ai.greeting_sent whatsapp.call_started whatsapp.call_accepted whatsapp.call_terminated
whatsapp.audio_ready handler.failed webrtc.restart_failed whatsapp.call_closed call.requested event.dropped
connection.phase_changed ai.connection_failed dependency.marked timer.fired
"""


def found(text: str) -> list[str]:
    """Every problem of a definition with these parts, as ``severity: message``."""
    _, problems = check_definition("name: x\n" + text, "f")
    return [f"{problem.severity}: {problem.message}" for problem in problems]


def in_chart(states: str) -> list[str]:
    return found("dependencies: {dep: a.readied}\nstates:\n" + states)


@pytest.mark.parametrize("event", EVENTS.split())
def test_name_of_the_gateway_is_no_breach_of_the_convention(event: str) -> None:
    assert in_chart(f"  a: {{initial: true, final: true, enter: {{publish: {event}}}}}\n") == []


@pytest.mark.parametrize("event", ["lamp.broken", "invite.timed_out", "tcp.connection_reset", "offer.rolled_back"])
def test_irregular_past_is_no_breach_of_the_convention(event: str) -> None:
    assert in_chart(f"  a: {{initial: true, final: true, enter: {{publish: {event}}}}}\n") == []


@pytest.mark.parametrize("event", ["call.accept", "call.hangup", "call.greeting_send", "ai.start"])
def test_name_that_does_not_say_what_happened_is_warned_of(event: str) -> None:
    (problem,) = in_chart(f"  a: {{initial: true, final: true, enter: {{publish: {event}}}}}\n")
    assert problem.startswith(f"warning: '{event}' does not say what happened")


def test_unconventional_name_is_warned_of_once() -> None:
    text = "  a: {initial: true, enter: {publish: x.go}, exit: {publish: x.go}, after: {1s: b}}\n  b: {final: true}\n"
    assert len(in_chart(text)) == 1


def test_patterns_break_no_convention() -> None:
    assert in_chart("  a: {initial: true, transitions: [{event: ['*', 'ai.*'], target: a}]}\n") == []


def test_warnings_refuse_nothing() -> None:
    definition, problems = check_definition(
        "name: x\ntimeouts: {t: 5s}\nstates: {a: {initial: true, final: true}}\n", "f"
    )
    assert definition is not None
    assert [problem.message for problem in problems] == [
        "timeout 't' is never used: remove it, or name it in an 'after'"
    ]


def test_no_final_state_is_required() -> None:
    assert in_chart("  a: {initial: true, transitions: [{event: x.done, target: b}]}\n  b: {after: {1s: a}}\n") == []


def test_leaf_below_a_state_with_a_way_out_is_no_dead_end() -> None:
    text = "  a: {initial: true, after: {1s: b}, states: {c: {initial: true}}}\n  b: {final: true}\n"
    assert in_chart(text) == []


def test_state_around_a_reachable_state_is_reachable() -> None:
    text = (
        "  a: {initial: true, after: {1s: c}}\n"
        "  b: {transitions: [{event: x.done, target: d}], states: {c: {initial: true}}}\n"
        "  d: {final: true}\n"
    )
    assert in_chart(text) == []


def test_initial_state_of_an_unreachable_state_is_unreachable() -> None:
    text = "  a: {initial: true, final: true}\n  b: {states: {c: {initial: true, final: true}}}\n"
    assert [problem.split(":")[1] for problem in in_chart(text)] == [
        " state 'b' is unreachable",
        " state 'c' is unreachable",
    ]


def test_transition_of_an_unreachable_state_reaches_nothing() -> None:
    text = "  a: {initial: true, final: true}\n  b: {after: {1s: c}}\n  c: {after: {1s: b}}\n"
    assert len(in_chart(text)) == 2


def test_internal_transition_may_stay_in_its_state_or_go_inside() -> None:
    text = (
        "  a:\n    initial: true\n"
        "    transitions: [{event: x.done, internal: true, target: c}, {event: y.done, internal: true, target: a}]\n"
        "    states: {b: {initial: true}, c: {}}\n"
    )
    assert in_chart(text) == []


def test_guarded_eventless_transition_to_itself_is_allowed() -> None:
    assert in_chart("  a: {initial: true, transitions: [{cond: dep, target: a}]}\n") == []


def test_timer_may_lead_back_to_its_state_without_guard() -> None:
    assert in_chart("  a: {initial: true, after: {1s: a}}\n") == []


def test_timer_may_act_without_going_anywhere() -> None:
    assert in_chart("  a: {initial: true, after: {1s: {on: {publish: x.done}}}}\n") == []


def test_event_may_be_swallowed_by_a_transition_that_does_nothing() -> None:
    assert in_chart("  a: {initial: true, transitions: [{event: x.done}]}\n") == []


def test_missing_target_is_not_reported_again_as_an_unreachable_state() -> None:
    problems = in_chart("  a: {initial: true, after: {1s: redy}}\n  ready: {final: true}\n")
    assert problems == ["error: target 'redy' does not exist (did you mean 'ready'?)"]


def test_wrong_part_does_not_hide_what_is_wrong_elsewhere() -> None:
    problems = in_chart(
        "  a: {initial: 5, after: {1s: b}}\n  b: {final: true, enter: {publish: x.go}}\n  C: {after: {1s: q}}\n"
    )
    assert [problem.split(":")[0] for problem in problems] == ["error", "warning", "error", "error"]


def test_dependency_with_a_wrong_body_is_still_a_known_name() -> None:
    problems = found("dependencies: {dep: 5}\nstates: {a: {initial: true, transitions: [{cond: dep, target: a}]}}\n")
    assert len(problems) == 1


def test_guard_may_read_what_is_reserved() -> None:
    text = "  a: {initial: true, transitions: [{cond: event == 'x' or all_ready or any_failed, target: a}]}\n"
    assert in_chart(text) == []


def test_closes_may_name_published_events() -> None:
    text = (
        "states: {a: {initial: true, enter: {publish: x.opened}, exit: stop, after: {1s: a}}}\n"
        "properties: {p: {closes: {x.opened: stop}}}\n"
    )
    assert found(text) == []


def test_wrong_name_is_compared_with_few_of_very_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counted(name: str, known: list[str]) -> str:
        compared.append(len(known))
        return ""

    monkeypatch.setattr(names, "suggestion", counted)
    names.nearest("sate_17", [f"state_{number}" for number in range(10_000)])
    assert max(compared) <= 30


def test_wrong_name_among_very_many_still_finds_the_nearest() -> None:
    assert names.nearest("sate_17", [f"state_{number}" for number in range(10, 200)]) == " (did you mean 'state_17'?)"

"""Guards, triggers, timers and actions in words."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.language import (
    After,
    Call,
    Dependency,
    Property,
    Publish,
    Remembered,
    State,
    Transition,
    Trigger,
    parse_duration,
    parse_expression,
)
from statemachines.language.definition import Definition, History, Invoke
from statemachines.rendering.signs import ASCII, UNICODE
from statemachines.rendering.words import (
    actions_words,
    duration_words,
    guard_words,
    plain,
    property_words,
    remembered_words,
    timer_words,
    transition_words,
    trigger_words,
)

READY = parse_expression("all_ready")


def test_guards() -> None:
    assert plain(guard_words(READY)) == "when all_ready"
    assert plain(guard_words(None, READY)) == "unless all_ready"
    assert plain(guard_words(READY, parse_expression("a"))) == "when all_ready unless a"
    assert plain(guard_words(None)) == ""
    assert plain(guard_words(parse_expression("(a\n   or b)"))) == "when (a or b)"


def test_triggers() -> None:
    assert plain(trigger_words(Trigger("a.b", READY))) == "a.b when all_ready"


def test_timers_give_the_time_and_its_name() -> None:
    assert plain(timer_words(After("setup", "setup", Transition()), {"setup": 30.0})) == "after 30s (setup)"
    assert plain(timer_words(After(0.5, "500ms", Transition()), {})) == "after 500ms"


def test_actions() -> None:
    data = {"caller": parse_expression("meta.caller"), "tags": ["a", {"n": 1}], "ok": True}
    assert plain(actions_words((Publish("a.b"), Call("start")))) == "publish a.b, call start"
    assert plain(actions_words((Publish("a.b", data),))) == (
        'publish a.b {caller: meta.caller, tags: ["a", {n: 1}], ok: true}'
    )


def test_transitions() -> None:
    transition = Transition(("webrtc.*", "ai.*"), "x", READY, on=(Call("go"),), internal=True)
    assert plain(transition_words(transition)) == "webrtc.* or ai.* when all_ready (internal) / call go"
    assert plain(transition_words(transition, on="on ")).startswith("on webrtc.*")
    assert plain(transition_words(Transition(target="x"))) == "at once"


def test_remembered() -> None:
    remembered = Remembered((Trigger("a.b"), Trigger("c.d", READY)), parse_expression("data.x"))
    assert plain(remembered_words(remembered)) == "data.x on a.b or c.d when all_ready"


@pytest.mark.parametrize(
    ("checked", "text"),
    [
        (Property(always=READY), "always all_ready"),
        (Property(never=READY), "never all_ready"),
        (Property(sometimes=READY), "sometimes all_ready"),
        (Property(always_reachable="end"), "end can always be reached"),
        (Property(leads_to=(READY, READY), within=45.0), "all_ready leads to all_ready within 45s"),
        (Property(closes={"a": "b", "c": "d"}), "each a is followed by b, each c is followed by d"),
    ],
)
def test_properties(checked: Property, text: str) -> None:
    assert plain(property_words(checked)) == text


@given(st.integers(1, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_durations_read_back_as_they_were(seconds: float) -> None:
    assert parse_duration(duration_words(seconds)) == pytest.approx(seconds)


@given(st.text())
def test_cleaned_text_moves_no_cursor(text: str) -> None:
    assert UNICODE.clean(text).isprintable()
    assert ASCII.clean(text).isascii()


def test_the_drawings_know_every_field_of_a_definition() -> None:
    """A field added to the language has to be drawn: by the tree, and if it moves connections, by the diagram."""
    drawn = {
        Definition: "name states version description starts_on retain early timeouts dependencies remember keys "
        "properties ignore examples",
        State: "id initial final parallel enter exit transitions after states history defer invoke ignore",
        Invoke: "call done failed",
        Transition: "event target cond unless internal on",
        After: "delay written transition backoff max_delay",
        History: "id target type",
        Dependency: "ready_on lost_on failed_on required",
        Remembered: "on value",
        Trigger: "event when",
        Publish: "event data",
        Call: "name",
        Property: "always never sometimes always_reachable leads_to within closes",
    }
    for cls, fields in drawn.items():
        assert {field.name for field in attrs.fields(cls)} == set(fields.split()), cls.__name__

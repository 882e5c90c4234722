"""What a good file becomes: shorthands, durations, words that stay words, and the shipped definitions."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from attrs import field, frozen

from bus.errors import PhasebusError
from statemachines import language
from statemachines.errors import DefinitionError
from statemachines.language import (
    After,
    Call,
    Dependency,
    DurationError,
    Expression,
    Publish,
    State,
    Transition,
    Trigger,
    Wrong,
    check_definition,
    find_definition,
    load_definition,
    parse_definition,
    parse_duration,
    parse_expression,
    read_file,
    read_yaml,
    shipped_definitions,
    strict_converter,
    structure,
)

ONE = "states: {a: {initial: true, final: true}}\n"


def state(body: str) -> State:
    """The state ``a`` with this body, beside an end."""
    return parse_definition(f"name: x\nstates:\n  a: {{initial: true, {body}}}\n  end: {{final: true}}\n").states[0]


def dependency(body: str) -> Dependency:
    return parse_definition(f"name: x\ndependencies: {{d: {body}}}\n{ONE}").dependencies["d"]


def test_defaults_are_those_of_the_language() -> None:
    definition = parse_definition("name: x\n" + ONE)
    assert (definition.version, definition.retain, definition.early, definition.starts_on) == (1, 5.0, 5.0, ())


def test_dependency_shorthand_is_its_ready_event() -> None:
    assert dependency("call.accepted") == Dependency(ready_on=(Trigger("call.accepted"),))


def test_dependency_shorthand_may_be_a_list() -> None:
    assert dependency("[call.accepted, call.joined]").ready_on == (Trigger("call.accepted"), Trigger("call.joined"))


@pytest.mark.parametrize(
    ("written", "events"),
    [
        ("a.done", ["a.done"]),
        ("[a.done, 'b.*']", ["a.done", "b.*"]),
        ("{event: a.done}", ["a.done"]),
        ("{event: [a.done, '*']}", ["a.done", "*"]),
        ("[a.done, {event: [b.done, c.done]}]", ["a.done", "b.done", "c.done"]),
    ],
)
def test_trigger_takes_a_name_a_list_or_a_mapping(written: str, events: list[str]) -> None:
    assert [trigger.event for trigger in dependency(f"{{ready_on: {written}}}").ready_on] == events


def test_condition_of_a_trigger_holds_for_each_of_its_events() -> None:
    triggers = dependency("{lost_on: {event: [a.lost, b.lost], when: data.x > 1}}").lost_on
    assert [trigger.when for trigger in triggers] == [parse_expression("data.x > 1")] * 2


def test_transition_event_may_be_one_or_many() -> None:
    transitions = state("transitions: [{event: a.done, target: end}, {event: [b.done, '*'], target: end}]").transitions
    assert [transition.event for transition in transitions] == [("a.done",), ("b.done", "*")]


@pytest.mark.parametrize(
    ("written", "actions"),
    [
        ("start", (Call("start"),)),
        ("[start, stop]", (Call("start"), Call("stop"))),
        ("{call: start}", (Call("start"),)),
        ("{publish: a.done}", (Publish("a.done"),)),
        ("{publish: {event: a.done, data: {x: 1}}}", (Publish("a.done", {"x": 1}),)),
        ("[]", ()),
    ],
)
def test_actions_have_their_shorthands(written: str, actions: tuple[object, ...]) -> None:
    assert state(f"enter: {written}, after: {{1s: end}}").enter == actions


def test_expressions_in_published_data_are_parsed_at_any_depth() -> None:
    (action,) = state("exit: {publish: {event: a.done, data: {x: [1, {y: {expr: data.z}}]}}}, after: {1s: end}").exit
    assert isinstance(action, Publish)
    assert action.data == {"x": [1, {"y": parse_expression("data.z")}]}


def test_timer_leads_to_a_target_or_is_a_transition() -> None:
    timers = state("after: {500ms: end, 2m: {cond: data.x, target: end, on: beep}}").after
    assert timers == (
        After(0.5, "500ms", Transition(target="end")),
        After(120.0, "2m", Transition(target="end", cond=parse_expression("data.x"), on=(Call("beep"),))),
    )


def test_timer_may_name_a_timeout() -> None:
    definition = parse_definition(
        "name: x\ntimeouts: {setup: 30s}\nstates: {a: {initial: true, after: {setup: b}}, b: {final: true}}"
    )
    assert (definition.states[0].after[0].delay, definition.timeouts["setup"]) == ("setup", 30.0)


def test_states_keep_the_order_of_the_file() -> None:
    definition = parse_definition(
        "name: x\nstates:\n  z: {final: true}\n  b: {initial: true, after: {1s: z, 2s: y}}\n  y: {final: true}\n"
    )
    assert [found.id for found in definition.walk()] == ["z", "b", "y"]


def test_on_off_yes_and_no_stay_words() -> None:
    source = read_yaml("on: off\nyes: no\nOn: y\nn: ~\n", "f")
    assert source.data == {"on": "off", "yes": "no", "On": "y", "n": None}


def test_dates_and_sexagesimals_stay_text() -> None:
    assert read_yaml("[2020-01-01, 1:30, 1_000, 0b1]", "f").data == ["2020-01-01", "1:30", "1_000", "0b1"]


def test_numbers_are_those_of_yaml_1_2() -> None:
    assert read_yaml("[10, -1, 010, 0x1f, 0o17, 1.5, 1e3]", "f").data == [10, -1, 10, 31, 15, 1.5, 1000.0]


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    definition, problems = check_definition(b"\xef\xbb\xbfname: x\r\n" + ONE.encode(), "f")
    assert definition is not None, problems


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("300ms", 0.3), ("30s", 30), ("5m", 300), ("1h", 3600), ("1.5s", 1.5), ("0s", 0)],
)
def test_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5S", "1e3s", ".5s", "5.s", "5s ", "٥s", "inf", "5s\n"])
def test_what_is_no_duration_is_refused_with_how_one_is_written(text: str) -> None:
    with pytest.raises(DurationError, match=r"500ms, 1\.5s, 30s, 5m or 1h"):
        parse_duration(text)


def test_duration_error_is_a_phasebus_error() -> None:
    assert issubclass(DurationError, PhasebusError)


def test_position_of_every_key_and_value_is_known() -> None:
    source = read_yaml("a: 1\nb:\n  - x\n  - {c: d}\n", "f")
    assert source.position(("b", 1, "c"), key=True) == (4, 6)
    assert source.position(("b", 1, "c")) == (4, 9)


def test_position_of_what_is_not_there_is_that_of_what_is_around() -> None:
    source = read_yaml("a: {b: 1}\n", "f")
    assert source.position(("a", "x", 5, "y")) == (1, 4)


def test_reading_reports_all_that_it_refuses() -> None:
    source = read_yaml("a: 1\na: 2\n5: x\nb: *c\n", "f")
    assert [problem.line for problem in source.problems] == [2, 3, 4]


def test_anchor_that_nobody_uses_is_harmless() -> None:
    assert read_yaml("a: &x 1\n", "f").problems == ()


@frozen
class Step:
    wait: float
    tags: tuple[str, ...] = ()


@frozen
class Scenario:
    name: str
    steps: tuple[Step, ...] = field(default=())
    count: int = 1


def test_other_files_are_structured_with_all_problems_at_their_places() -> None:
    source = read_yaml("nme: x\ncount: '5'\nsteps:\n  - {wait: soon}\n  - {wiat: 5}\n", "s.yaml")
    value, problems = structure(source, Scenario, strict_converter())
    assert value is None
    assert [str(problem) for problem in problems] == [
        "s.yaml:1:1: error: the key 'name' is missing",
        "s.yaml:1:1: error: unknown key 'nme' (did you mean 'name'?)",
        "s.yaml:2:8: error: 'count' must be an integer, not the text '5' (without the quotes)",
        "s.yaml:4:12: error: 'wait' must be a number, not the text 'soon'",
        "s.yaml:5:5: error: the key 'wait' is missing",
        "s.yaml:5:6: error: unknown key 'wiat' (did you mean 'wait'?)",
    ]


def test_other_files_may_have_shorthands_of_their_own() -> None:
    def step(value: object, _: object) -> Step:
        if not isinstance(value, str):
            raise Wrong("must be a duration")
        return Step(parse_duration(value))

    converter = strict_converter()
    converter.register_structure_hook(Step, step)
    value, problems = structure(read_yaml("{name: x, steps: [1s, 2m]}", "f"), Scenario, converter)
    assert (value, problems) == (Scenario("x", (Step(1.0), Step(120.0))), ())


def test_every_shipped_definition_has_no_problem() -> None:
    for name in shipped_definitions():
        _, problems = check_definition(find_definition(name).read_bytes(), name)
        assert problems == []


def test_shipped_definition_is_loaded_by_name_and_by_path() -> None:
    assert load_definition("whatsapp_call") == load_definition(find_definition("whatsapp_call"))


def test_whatsapp_call_requires_the_three_of_the_original() -> None:
    dependencies = load_definition("whatsapp_call").dependencies
    assert [name for name, wanted in dependencies.items() if wanted.required] == [
        "webrtc_audio_ready",
        "openai_connection_ready",
        "whatsapp_call_accepted",
    ]


def test_name_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whatsapp_call").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_definition("whatsapp_call").name == "whatsapp_call.yaml"


def test_file_without_suffix_is_found_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("name: x\n" + ONE)
    monkeypatch.chdir(tmp_path)
    assert load_definition("mine").name == "x"


def test_unknown_name_lists_the_shipped_and_the_nearest() -> None:
    with pytest.raises(DefinitionError, match=r"did you mean 'whatsapp_call'\?\): shipped are .*whatsapp_call"):
        load_definition("whatsap_call")


def test_file_is_read_from_its_path(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: 1\n")
    assert read_file(file).data == {"a": 1}


def test_error_holds_every_problem_and_prints_them_by_line() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_definition("name: X\nretain: 5\n" + ONE, "call.yaml")
    assert [problem.line for problem in caught.value.problems] == [1, 2]
    assert str(caught.value).splitlines()[1].startswith("call.yaml:2:9: error: 'retain' must be a duration")


def test_public_names_are_those_of_all() -> None:
    exported = {name for name, value in vars(language).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert exported == set(language.__all__)
    assert len(exported) < 30


def test_definition_holds_parsed_expressions() -> None:
    guard = load_definition("whatsapp_call").states[0].states[0].transitions[0].cond
    assert isinstance(guard, Expression)
    assert guard.text == "all_ready"

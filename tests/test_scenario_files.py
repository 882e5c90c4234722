"""Scenario files: what each form of a step becomes, what is said of broken ones, and that the shipped ones hold."""

# ruff: noqa: E501  (the table reads best with one case a line)

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachines.errors import DefinitionError, Problem
from statemachines.language import (
    Definition,
    find_definition,
    load_definition,
    parse_definition,
    read_yaml,
    shipped_definitions,
)
from statemachines.simulation.event_lines import EventLine, read_event_lines
from statemachines.simulation.library import SUFFIX
from statemachines.simulation.scenario import (
    Expect,
    Mark,
    Publish,
    Register,
    Registration,
    Scenario,
    ScenarioStep,
    Terminate,
    Wait,
)
from statemachines.simulation.scenario_file import check_scenario, load_scenario, read_scenario
from statemachines.simulation.scenario_steps import FORMS
from statemachines.simulation.simulator import Simulation, run_scenario

MARK = "▸"
CALL = load_definition("whatsapp_call")
TWO = "connections: {conn_a: {}, conn_b: {}}\n"


def step(text: str, before: str = "") -> ScenarioStep:
    """The only step of a scenario."""
    [only] = read_scenario(f"{before}steps:\n  - {text}\n", "s.yaml", CALL).steps
    return only


def actions(text: str) -> list[object]:
    return [one.action for one in read_scenario(text, "s.yaml", CALL).steps]


def refused(text: str | bytes, definition: Definition | None = CALL) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        read_scenario(text, "s.yaml", definition)
    return caught.value.problems


# -- the forms of a step --


@pytest.mark.parametrize(
    "text",
    [
        "{publish: webrtc.audio_track_ready, connection_id: c, data: {ssrc: 1}, call_id: x, tenant_id: t}",
        "{publish: webrtc.audio_track_ready, connection: c, data: {ssrc: 1}, call_id: x, tenant_id: t}",
        "publish: {type: webrtc.audio_track_ready, connection_id: c, data: {ssrc: 1}, call_id: x, tenant_id: t}",
        "publish: {type: webrtc.audio_track_ready, connection: c, data: {ssrc: 1}, call_id: x, tenant_id: t}",
        "{publish: {type: webrtc.audio_track_ready, data: {ssrc: 1}}, connection: c, call_id: x, tenant_id: t}",
    ],
)
def test_publish_takes_its_details_inside_or_beside(text: str) -> None:
    assert step(text).action == Publish("webrtc.audio_track_ready", "c", {"ssrc": 1}, "x", "t")


def test_publish_needs_its_type_only() -> None:
    assert step("publish: ai.greeting_sent").action == Publish("ai.greeting_sent", "conn_1")


def test_payload_is_taken_as_it_stands() -> None:
    assert step("{publish: a.b, data: {on: yes, n: 1.5, x: {expr: y}, l: [null]}}").action == Publish(
        "a.b", "conn_1", {"on": "yes", "n": 1.5, "x": {"expr": "y"}, "l": [None]}
    )


@pytest.mark.parametrize(("written", "seconds"), [("0s", 0.0), ("500ms", 0.5), ("1.5s", 1.5), ("2m", 120.0)])
def test_wait_takes_a_duration(written: str, seconds: float) -> None:
    assert step(f"wait: {written}").action == Wait(seconds)


def test_expect_asks_for_what_it_names() -> None:
    text = (
        "expect: {connection: c, phase: ready, configuration: [live, ready], dependencies: {ai_greeting: pending},"
        " published: [connection.ready], not_published: connection.terminated, called: start_audio, not_called: [stop_audio]}"
    )
    assert step(text, "connections: {c: {}}\n").action == Expect(
        "c",
        "ready",
        ("live", "ready"),
        {"ai_greeting": "pending"},
        ("connection.ready",),
        ("connection.terminated",),
        ("start_audio",),
        ("stop_audio",),
    )


def test_expected_configuration_comes_into_document_order() -> None:
    action = step("expect: {configuration: [restarting_ice, live, reconnecting]}").action
    assert action == Expect("conn_1", configuration=("live", "reconnecting", "restarting_ice"))


def test_register_takes_an_id_or_a_whole_registration() -> None:
    text = "{connection: c, call_id: x, tenant_id: t, dependencies: [ai_greeting], timeouts: {setup: 5s}, metadata: {a: 1}}"
    registration = Registration("x", "t", ("ai_greeting",), {"setup": 5.0}, {"a": 1})
    assert step("register: c").action == Register("c")
    assert step(f"register: {text}").action == Register("c", registration)


def test_registration_without_dependencies_differs_from_one_with_none() -> None:
    given = read_scenario("connections: {a: {dependencies: []}, b: {}}\nsteps: []", "s.yaml", CALL).connections
    assert (given["a"].dependencies, given["b"].dependencies) == ((), None)


@pytest.mark.parametrize("text", ["mark: ai_greeting", "mark: {connection: conn_1, dependency: ai_greeting}"])
def test_mark_names_a_dependency(text: str) -> None:
    assert step(text).action == Mark("conn_1", "ai_greeting")


def test_mark_takes_its_connection_beside_it() -> None:
    assert step("{mark: ai_greeting, connection: conn_b}", TWO).action == Mark("conn_b", "ai_greeting")


def test_terminate_takes_an_id_a_mapping_or_nothing() -> None:
    assert step("terminate: conn_b", TWO).action == Terminate("conn_b")
    assert step("terminate: {connection: conn_b, reason: busy}", TWO).action == Terminate("conn_b", "busy")
    assert step("terminate:").action == Terminate("conn_1")
    assert step("{terminate: , reason: busy}").action == Terminate("conn_1", "busy")


def test_any_step_may_say_when() -> None:
    text = "steps:\n  - {wait: 1s, at: 1s}\n  - {at: 2s, publish: a.b}\n  - expect: {phase: ready}\n    at: 2.5s\n"
    assert [one.at for one in read_scenario(text, "s.yaml", CALL).steps] == [1.0, 2.0, 2.5]


def test_steps_know_their_lines() -> None:
    text = "steps:\n  - wait: 1s\n\n  # later\n  - publish: a.b\n    data: {}\n  - wait: 1s\n"
    assert [one.line for one in read_scenario(text, "s.yaml", CALL).steps] == [2, 5, 7]


def test_json_is_yaml_too() -> None:
    text = json.dumps({"connections": {"c": {}}, "steps": [{"publish": "a.b"}, {"wait": "1s"}]})
    assert actions(text) == [Publish("a.b", "c"), Wait(1.0)]


# -- which connection --


def test_one_connection_need_not_be_named() -> None:
    text = "connections: {c: {}}\nsteps: [publish: a.b, mark: ai_greeting, expect: {phase: ready}, terminate: ]"
    assert actions(text) == [Publish("a.b", "c"), Mark("c", "ai_greeting"), Expect("c", "ready"), Terminate("c")]


def test_connections_left_out_are_one() -> None:
    scenario = read_scenario("steps: [publish: a.b]", "s.yaml", CALL)
    assert scenario.connections == {"conn_1": Registration()}


def test_the_one_connection_is_called_as_the_steps_call_it() -> None:
    scenario = read_scenario("steps: [{publish: a.b, connection: c}, expect: {phase: ready}]", "s.yaml", CALL)
    assert scenario.connections == {"c": Registration()}
    assert scenario.steps[1].action == Expect("c", "ready")


def test_connection_registered_by_a_step_is_not_there_before() -> None:
    scenario = read_scenario("steps: [register: c, publish: a.b]", "s.yaml", CALL)
    assert (scenario.connections, scenario.steps[1].action) == ({}, Publish("a.b", "c"))


def test_connection_that_an_event_begins_is_not_there_before() -> None:
    scenario = read_scenario("steps: [publish: connection.created, expect: {phase: created}]", "s.yaml", CALL)
    assert (scenario.connections, scenario.steps[1].action) == ({}, Expect("conn_1", "created"))


def test_registered_connection_counts_before_strangers() -> None:
    text = "connections: {c: {}}\nsteps: [{publish: a.b, connection: stranger}, publish: a.b]"
    assert actions(text) == [Publish("a.b", "stranger"), Publish("a.b", "c")]


def test_connection_that_only_an_event_names_can_be_expected() -> None:
    text = "connections: {}\nsteps: [{publish: connection.created, connection: c}, expect: {phase: created}]"
    assert actions(text)[1] == Expect("c", "created")


def test_event_with_a_call_id_is_found_by_it() -> None:
    assert step("{publish: a.b, call_id: x}", TWO).action == Publish("a.b", None, call_id="x")


def test_event_that_names_no_connection_on_purpose_is_given_none() -> None:
    assert step("{publish: a.b, connection: null}").action == Publish("a.b", None)
    assert step("{publish: a.b, connection: null}", TWO).action == Publish("a.b", None)


def test_call_id_does_not_keep_an_event_from_naming_its_connection() -> None:
    assert step("{publish: a.b, call_id: x, connection: conn_b}", TWO).action == Publish("a.b", "conn_b", call_id="x")


# -- the definition --


def test_definition_is_looked_for_when_none_is_given() -> None:
    text = "definition: whatsapp_call\nsteps: [expect: {phase: redy}]"
    assert "did you mean 'ready'?" in refused(text, None)[0].message


def test_definition_may_lie_beside_the_scenario_or_above_it(tmp_path: Path) -> None:
    (tmp_path / "my_call.yaml").write_text("name: my_call\nstates: {a: {initial: true, final: true}}\n")
    folder = tmp_path / "scenarios"
    folder.mkdir()
    for file, named in (
        (tmp_path / "s.yaml", "my_call"),
        (folder / "s.yaml", "my_call"),
        (folder / "t.yaml", "../my_call.yaml"),
    ):
        file.write_text(f"definition: {named}\nsteps: [expect: {{phase: b}}]\n")
        with pytest.raises(DefinitionError, match="my_call has no state 'b'"):
            load_scenario(file)


def test_path_to_the_given_definition_is_good(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("name: my_call\nstates: {a: {initial: true, final: true}}\n")
    (tmp_path / "s.yaml").write_text("definition: file.yaml\nsteps: [expect: {phase: a}]\n")
    assert load_scenario(tmp_path / "s.yaml", load_definition(tmp_path / "file.yaml")).definition == "file.yaml"


def test_wrong_definition_is_one_problem() -> None:
    text = "definition: other\nsteps: [expect: {phase: a}, mark: b]"
    assert [str(problem) for problem in refused(text)] == [
        "s.yaml:1:13: error: this scenario is for 'other', not for 'whatsapp_call'"
    ]


def test_bad_definition_is_named_with_its_first_problem(tmp_path: Path) -> None:
    (tmp_path / "my_call.yaml").write_text("name: my_call\nstates: {a: {initial: true, final: true, entr: x}}\n")
    (tmp_path / "s.yaml").write_text("definition: my_call\nsteps: []\n")
    with pytest.raises(DefinitionError, match=r"s.yaml:1:13: .*my_call.yaml:2:42: unknown key 'entr'"):
        load_scenario(tmp_path / "s.yaml")


def test_no_definition_leaves_names_unchecked() -> None:
    scenario = read_scenario("steps: [mark: anything, expect: {phase: any, dependencies: {x: ready}}]", "s.yaml")
    assert scenario.definition is None


def test_configuration_keeps_its_order_without_a_definition() -> None:
    [only] = read_scenario("steps: [expect: {configuration: [b, a]}]", "s.yaml").steps
    assert only.action == Expect("conn_1", configuration=("b", "a"))


def test_created_connection_is_not_there_before_without_a_definition() -> None:
    assert read_scenario("steps: [publish: connection.created]", "s.yaml").connections == {}


@pytest.mark.parametrize("named", ["x" * 5000, "ä" * 200, '"a\\0b"', "/", ".."])
def test_definition_that_can_be_no_file_is_a_problem(tmp_path: Path, named: str) -> None:
    (tmp_path / "s.yaml").write_text(f"definition: {named}\nsteps: []\n")
    with pytest.raises(DefinitionError, match="cannot be used"):
        load_scenario(tmp_path / "s.yaml")


def test_name_of_a_text_may_be_anything() -> None:
    assert read_scenario("definition: whatsapp_call\nsteps: []", "x" * 5000).path == "x" * 5000


# -- broken scenarios --

CASES: dict[str, tuple[str, str]] = {
    "empty": (MARK, "the file is empty"),
    "a list": ("▸- wait: 1s\n", "the file must be a mapping with keys such as definition"),
    "no steps": ("▸description: x\n", "the key 'steps' is missing"),
    "unknown key": ("▸step: []\nsteps: []\n", "(did you mean 'steps'?)"),
    "unlike any key": ("steps: []\n▸zebra: 1\n", "the keys here are definition, description, connections, steps"),
    "key twice": ("steps: []\n▸steps: []\n", "duplicate key 'steps'"),
    "steps a mapping": ("steps: ▸{wait: 1s}\n", "'steps' must be a list of steps, not a mapping: put '- ' before"),
    "steps empty": ("▸steps:\n", "'steps' must be a list of steps, not empty"),
    "step a word": ("steps:\n  - ▸wait\n", "item 1 of 'steps' must be a step, as in"),
    "step of nothing": ("steps:\n  - ▸{}\n", "a step needs one of publish, wait, expect"),
    "only a time": ("steps:\n  - ▸at: 5s\n", "to let time pass write wait: 1.5s"),
    "action misspelt": ("steps:\n  - ▸publsh: a.b\n    data: {}\n", "(did you mean 'publish'?)"),
    "two actions": ("steps:\n  - wait: 1s\n    ▸publish: a.b\n", "a step does one thing, not wait and publish"),
    "unknown sibling": ("steps:\n  - publish: a.b\n    ▸dta: {}\n", "(did you mean 'data'?)"),
    "sibling of another action": ("steps:\n  - {wait: 1s, ▸zebra: {}}\n", "the keys here are wait, at"),
    "unknown detail": ("steps:\n  - publish: {▸typ: a.b, type: a.b}\n", "(did you mean 'type'?)"),
    "event under the definition's key": ("steps:\n  - ▸publish: {▸event: a.b}\n", "the key 'type' is missing"),
    "event missing": ("steps:\n  - ▸publish: {data: {}}\n", "the key 'type' is missing"),
    "event misspelt": ("steps:\n  - publish: ▸Call.Rang\n", "(did you mean 'call.rang'?)"),
    "event one word": ("steps:\n  - publish: ▸rang\n", "two or more such tokens"),
    "event a pattern": ("steps:\n  - publish: ▸webrtc.*\n", "'webrtc.*' is a pattern"),
    "event a number": ("steps:\n  - publish: ▸5\n", "'publish' must be the name of an event"),
    "data a list": ("steps:\n  - {publish: a.b, data: ▸[1]}\n", "'data' must be a mapping of fields, not a list"),
    "detail twice": ("steps:\n  - {publish: {type: a.b, data: {}}, ▸data: {}}\n", "'data' is given twice"),
    "connection twice": ("steps:\n  - {publish: a.b, connection: c, ▸connection_id: c}\n", "'connection' is given twice"),
    "connection a number": ("steps:\n  - {publish: a.b, connection_id: ▸7}\n", "(put it in quotes)"),
    "connection empty": ("steps:\n  - {publish: a.b, connection: ▸''}\n", "'connection' must not be empty"),
    "wait a number": ("steps:\n  - wait: ▸2\n", "as in 2s or 2ms"),
    "wait a word": ("steps:\n  - wait: ▸soon\n", "'soon' is not a duration"),
    "wait negative": ("steps:\n  - wait: ▸-1s\n", "'-1s' is not a duration"),
    "wait empty": ("steps:\n  - ▸wait:\n", "'wait' must be a duration"),
    "wait a mapping": ("steps:\n  - wait: ▸{seconds: 1}\n", "'wait' must be a duration, as in 500ms, 30s or 5m, not a mapping"),
    "at a number": ("steps:\n  - {publish: a.b, at: ▸2}\n", "'at' must be a duration with a unit"),
    "at empty": ("steps:\n  - {publish: a.b, ▸at: }\n", "'at' must be a duration"),
    "at goes back": ("steps:\n  - {wait: 2s}\n  - {publish: a.b, at: 3s}\n  - {publish: a.b, at: ▸2.5s}\n", "it is 3s here already"),
    "at goes back behind a wait": ("steps:\n  - wait: 1.5s\n  - wait: 500ms\n  - {publish: a.b, at: ▸1s}\n", "it is 2s here already"),
    "expect a word": ("steps:\n  - expect: ▸ready\n", "not the text 'ready': write {phase: ready}"),
    "expect nothing": ("steps:\n  - ▸expect: {connection: conn_1}\n", "this expects nothing: give one of phase"),
    "expect empty": ("steps:\n  - ▸expect:\n", "this expects nothing"),
    "phase misspelt": ("steps:\n  - expect: {phase: ▸redy}\n", "whatsapp_call has no state 'redy' (did you mean 'ready'?)"),
    "phase a list": ("steps:\n  - expect: {phase: ▸[ready]}\n", "'phase' must be text, not a list"),
    "state misspelt": ("steps:\n  - expect: {configuration: [live, ▸redy]}\n", "(did you mean 'ready'?)"),
    "dependency misspelt": ("steps:\n  - expect: {dependencies: {▸ai_greting: ready}}\n", "(did you mean 'ai_greeting'?)"),
    "status misspelt": ("steps:\n  - expect: {dependencies: {ai_greeting: ▸redy}}\n", "must be pending, ready or failed, not the text 'redy' (did you mean 'ready'?)"),
    "status a boolean": ("steps:\n  - expect: {dependencies: {ai_greeting: ▸true}}\n", "'ai_greeting' must be pending, ready or failed"),
    "statuses a list": ("steps:\n  - expect: {dependencies: ▸[ai_greeting]}\n", "must map dependencies to pending"),
    "published a pattern": ("steps:\n  - expect: {published: [▸connection.*]}\n", "is a pattern"),
    "published one word": ("steps:\n  - expect: {not_published: ▸ready}\n", "'ready' is not an event name"),
    "called misspelt": ("steps:\n  - expect: {called: [▸start_adio]}\n", "whatsapp_call calls no hook 'start_adio' (did you mean 'start_audio'?)"),
    "not called misspelt": ("steps:\n  - expect: {not_called: ▸stop_adio}\n", "(did you mean 'stop_audio'?)"),
    "unknown expectation": ("steps:\n  - expect: {▸phases: ready}\n", "(did you mean 'phase'?)"),
    "expected of nobody": ("connections: {conn_12: }\nsteps:\n  - expect: {connection: ▸conn_21, phase: ready}\n", "no connection 'conn_21' appears in this scenario (did you mean 'conn_12'?)"),
    "marked for nobody": ("connections: {conn_12: }\nsteps:\n  - {mark: ai_greeting, connection: ▸conn_13}\n", "(did you mean 'conn_12'?)"),
    "nobody terminated": ("connections: {conn_12: }\nsteps:\n  - terminate: ▸conn_13\n", "(did you mean 'conn_12'?)"),
    "which of two": (TWO + "steps:\n  - ▸publish: a.b\n", "which connection? There are conn_a, conn_b: add 'connection'"),
    "which of two, one registered later": ("connections: {conn_a: }\nsteps:\n  - register: conn_b\n  - ▸terminate:\n", "There are conn_a, conn_b"),
    "which of none": ("connections: {}\nsteps:\n  - ▸publish: a.b\n", "this step needs a connection, and there is none"),
    "register nobody": ("steps:\n  - ▸register: {call_id: x}\n", "the key 'connection' is missing"),
    "marked nothing": ("steps:\n  - ▸mark: {connection: conn_1}\n", "the key 'dependency' is missing"),
    "marked misspelt": ("steps:\n  - mark: ▸ai_greting\n", "whatsapp_call declares no dependency 'ai_greting' (did you mean 'ai_greeting'?)"),
    "reason a number": ("steps:\n  - terminate: {reason: ▸5}\n", "'reason' must be text"),
    "connections a list": ("connections: ▸[conn_1]\nsteps: []\n", "'connections' must map ids to registrations"),
    "connection a word": ("connections: {conn_1: ▸call_456}\nsteps: []\n", "'conn_1' must be a mapping with keys such as call_id"),
    "connection's id a number": ("connections: {▸12: {}}\nsteps: []\n", "a key must be text"),
    "connection's id empty": ("connections: {▸'': {}}\nsteps: []\n", "a connection's id must not be empty"),
    "connection twice registered": ("connections: {a: {}, ▸a: {}}\nsteps: []\n", "duplicate key 'a'"),
    "registration misspelt": ("connections: {a: {▸depends: []}}\nsteps: []\n", "(did you mean 'dependencies'?)"),
    "required misspelt": ("connections: {a: {dependencies: [▸webrtc_audio]}}\nsteps: []\n", "(did you mean 'webrtc_audio_ready'?)"),
    "required a boolean": ("connections: {a: {dependencies: ▸true}}\nsteps: []\n", "'dependencies' must be text"),
    "timeout misspelt": ("connections: {a: {timeouts: {▸setpu: 5s}}}\nsteps: []\n", "whatsapp_call has no timeout 'setpu' (did you mean 'setup'?)"),
    "timeout a number": ("connections: {a: {timeouts: {setup: ▸5}}}\nsteps: []\n", "'setup' must be a duration with a unit"),
    "timeout zero": ("connections: {a: {timeouts: {setup: ▸0s}}}\nsteps: []\n", "'setup' must be longer than 0s"),
    "timeouts a list": ("connections: {a: {timeouts: ▸[5s]}}\nsteps: []\n", "must map names to durations"),
    "metadata a word": ("connections: {a: {metadata: ▸x}}\nsteps: []\n", "'metadata' must be a mapping of fields"),
    "call id a number": ("connections: {a: {call_id: ▸456}}\nsteps: []\n", "(put it in quotes)"),
    "call id of two": ("connections:\n  a: {call_id: x}\n  b: {call_id: ▸x}\nsteps: []\n", "the call_id 'x' belongs to 'a' already"),
    "definition misspelt": ("definition: ▸whatsap_call\nsteps: []\n", "(did you mean 'whatsapp_call'?)"),
    "definition a number": ("definition: ▸5\nsteps: []\n", "'definition' must be text"),
    "description a list": ("description: ▸[x]\nsteps: []\n", "'description' must be text"),
    "an alias": ("connections: {a: &x {}, b: ▸*x}\nsteps: []\n", "the alias *x is refused"),
    "a tag": ("steps:\n  - publish: ▸!!str a.b\n", "the tag !!str is refused"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_broken_scenario_is_refused_at_its_place(case: str) -> None:
    marked, fragment = CASES[case]
    before = marked[: marked.index(MARK)]
    place = (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    problems = refused(marked.replace(MARK, ""))
    assert any(
        (problem.path, problem.line, problem.column, problem.severity) == ("s.yaml", *place, "error")
        and fragment in problem.message
        for problem in problems
    ), "\n".join(map(str, problems))


@pytest.mark.parametrize("case", CASES)
def test_one_fault_is_reported_once(case: str) -> None:
    marked, _ = CASES[case]
    assert len(refused(marked.replace(MARK, ""))) == max(1, marked.count(MARK))


def test_every_problem_is_reported_in_the_order_of_the_file() -> None:
    text = """\
definition: whatsapp_cal
connections:
  conn_a: {timeouts: {setup: 5}, depends: []}
  conn_b:
steps:
  - publish: Rang
    at: 5
  - {wait: soon, data: {}}
  - expect: {dependencies: {ai_greeting: maybe}, published: x}
  - terminate: conn_c
"""
    assert [problem.line for problem in refused(text)] == [1, 3, 3, 6, 6, 7, 8, 8, 9, 9, 9, 10]


def test_unknown_definition_is_said_once() -> None:
    [problem] = refused("definition: whatsap_call\nsteps: [expect: {phase: nonsense}]", None)
    assert problem.message == (
        "'whatsap_call' cannot be used: no definition is called 'whatsap_call' (did you mean 'whatsapp_call'?): "
        f"shipped are {', '.join(shipped_definitions())}, or give a path"
    )


def test_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="there is no such file"):
        load_scenario(tmp_path / "none.scenario.yaml")


# -- warnings --


def warnings(steps: str) -> list[str]:
    scenario, problems = check_scenario(read_yaml(f"steps:\n{steps}", "s.yaml"), CALL)
    assert scenario is not None
    return [str(problem) for problem in problems]


def test_event_that_is_nearly_one_of_the_definition_is_a_warning() -> None:
    assert warnings("  - publish: connection.craeted\n") == [
        "s.yaml:2:14: warning: whatsapp_call does not know the event 'connection.craeted' (did you mean 'connection.created'?)"
    ]


def test_foreign_event_is_no_warning() -> None:
    assert warnings("  - publish: billing.invoice_sent\n") == []


def test_expectation_of_what_is_never_published_is_a_warning() -> None:
    assert warnings("  - expect: {phase: ready, not_published: connection.redy}\n") == [
        "s.yaml:2:13: warning: whatsapp_call never publishes 'connection.redy' (did you mean 'connection.ready'?)"
    ]


def test_news_of_phasebus_itself_can_be_expected() -> None:
    assert warnings("  - expect: {published: [connection.created, connection.phase_changed]}\n") == []


# -- whatever is written --


def only_answers(text: str | bytes) -> None:
    """A scenario or problems, and nothing else ever."""
    scenario, problems = check_scenario(read_yaml(text, "any.yaml"), CALL)
    assert isinstance(scenario, Scenario) != any(problem.severity == "error" for problem in problems)
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in problems)


@given(st.text() | st.binary())
def test_any_text_gives_a_scenario_or_problems(text: str | bytes) -> None:
    only_answers(text)


WORDS = st.sampled_from(
    ["conn_1", "c", "a.b", "ready", "pending", "1s", "5s", "ai_greeting", "setup", "whatsapp_call", ""]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted({key for form in FORMS.values() for key in form.keys})) | WORDS, inner, max_size=3
        )
    ),
    max_leaves=6,
)
STEPS = st.lists(
    st.dictionaries(
        st.sampled_from([*FORMS, "at", "data", "connection", "connection_id", "call_id", "reason"]), VALUES, max_size=3
    )
    | VALUES,
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {"steps": STEPS}, optional={"connections": st.dictionaries(WORDS, VALUES, max_size=3) | VALUES}
    )
)
def test_any_data_gives_a_scenario_or_problems(data: object) -> None:
    only_answers(json.dumps(data))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["definition", "description", "steps"]), VALUES))
def test_any_keys_give_a_scenario_or_problems(data: object) -> None:
    only_answers(json.dumps(data))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_mutation_of_a_shipped_scenario_gives_a_scenario_or_problems(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SHIPPED)).read_text()
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(st.text(alphabet="ab:-?[]{}&*!|>'\"%@#,.<=~\\ \n\t01", max_size=30))
    only_answers(text[:at] + put + text[at + data.draw(st.integers(0, 30)) :])


# -- what ships --

SHIPPED = sorted(
    path for name in shipped_definitions() for path in (find_definition(name).parent / "scenarios").glob(f"*{SUFFIX}")
)


def run(definition: Definition, path: Path) -> int:
    """How many of the expectations fail."""
    return run_scenario(Simulation(definition), load_scenario(path, definition)).failed_expectations


def shipped_with(definition: Path) -> list[Path]:
    return [path for path in SHIPPED if path.parent.parent == definition.parent]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name.removesuffix(SUFFIX))
def test_shipped_scenario_is_described_and_without_warning(path: Path) -> None:
    scenario, problems = check_scenario(read_yaml(path.read_bytes(), str(path)))
    assert problems == []
    assert scenario is not None
    assert scenario.description


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name.removesuffix(SUFFIX))
def test_shipped_scenario_holds(path: Path) -> None:
    definition = load_definition(path.parent.parent / f"{path.parent.parent.name}.yaml")
    assert run(definition, path) == 0


@pytest.mark.parametrize(
    "path",
    [path for path in SHIPPED if path.parent.parent.name == "whatsapp_call"],
    ids=lambda path: path.name.removesuffix(SUFFIX),
)
def test_shipped_call_ends_at_most_once(path: Path) -> None:
    scenario = load_scenario(path, CALL)
    summary = run_scenario(Simulation(CALL), scenario, until=120.0)
    assert summary.published["connection.terminated"] <= len(summary.connections)


@pytest.mark.parametrize(
    ("expectation", "failed"),
    [
        ("called: [start_audio, stop_audio]", 0),
        ("called: [stop_audio, start_audio]", 1),
        ("called: [start_audio, start_audio]", 1),
        ("not_called: start_audio", 1),
        ("not_called: [stop_audio, start_audio]", 1),
    ],
)
def test_expected_hooks_are_those_called_in_this_order(expectation: str, failed: int) -> None:
    text = (
        "connections: {c: {dependencies: []}}\nsteps:\n  - expect: {called: start_audio, not_called: stop_audio}\n"
        f"  - terminate: c\n  - expect: {{{expectation}}}\n"
    )
    assert run_scenario(Simulation(CALL), read_scenario(text, "s.yaml", CALL)).failed_expectations == failed


WRONG_CALLS = {
    "no guard on the track's kind": ("when: data.track_type == 'audio'}\n      # The", "when: data.ssrc != 5}\n      # The"),
    "ICE alone makes audio ready": (" and meta.audio_track == 'audio'", ""),
    "ICE never comes back": ("['connected', 'completed']", "['completed']"),
    "ICE is never lost": ("['disconnected', 'failed']", "['closed']"),
    "a failed ICE is not lost": ("['disconnected', 'failed']", "['disconnected']"),
    "the AI cannot fail": (", failed_on: ai.connection_failed", ""),
    "the AI is not required": ("failed_on: ai.connection_failed}", "failed_on: ai.connection_failed, required: false}"),
    "the greeting is required": ("ai.greeting_sent, required: false", "ai.greeting_sent, required: true"),
    "nothing starts by event": ("starts_on: connection.created", "# "),
    "early events wait for too short": ("early: 5s", "early: 4s"),
    "early events wait for too long": ("early: 5s", "early: 6s"),
    "early events do not wait": ("early: 5s", "early: 0s"),
    "set-up lasts longer": ("setup: 30s", "setup: 31s"),
    "set-up is shorter": ("setup: 30s", "setup: 29s"),
    "no set-up timer": ("        after: {setup: terminating}\n", ""),
    "hanging up does nothing": ("whatsapp.call_terminated, target: terminating", "whatsapp.call_left, target: terminating"),
    "hanging up skips the closing": ("whatsapp.call_terminated, target: terminating", "whatsapp.call_terminated, target: terminated"),
    "nothing required is not ready": ("# registered, and never heard of again\n        transitions:\n          - {cond: all_ready, target: ready} ", "\n        transitions:\n          - {cond: all_ready and ai_greeting, target: ready} "),
    "a ready call ignores loss": ("          - {unless: all_ready, target: reconnecting}\n", "          - {event: webrtc.reconnect_requested, target: reconnecting}\n"),
    "set-up ignores failure": ("          - {cond: any_failed, target: terminating}\n      connected:", "      connected:"),
    "ready says nothing": ("enter: [{publish: connection.ready}, start_audio]", "enter: [start_audio]"),
    "the end says nothing": ("    enter: [{publish: {event: connection.terminated, data: {caller: {expr: meta.caller}, reason: {expr: data.reason}}}}]\n", ""),
    "reconnecting never succeeds": ("              - {cond: all_ready, target: greeting_as_it_was}\n", ""),
    "ICE is restarted twice": ("visits.restarting_ice < 3", "visits.restarting_ice < 2"),
    "ICE is restarted four times": ("visits.restarting_ice < 3", "visits.restarting_ice < 4"),
    "ICE is restarted sooner": ("5s: {cond:", "4s: {cond:"),
    "ICE gives up sooner": ("10s: terminating", "9s: terminating"),
    "a refused restart is ignored": ("webrtc.restart_failed, target", "webrtc.restart_lost, target"),
    "closing lasts longer": ("after: {2s: terminated}", "after: {3s: terminated}"),
    "closing is shorter": ("after: {2s: terminated}", "after: {1s: terminated}"),
    "closing waits for its time": ("      - {event: whatsapp.call_closed, target: terminated}\n", "      - {event: whatsapp.call_shut, target: terminated}\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_definition_fails_a_shipped_scenario(case: str) -> None:
    old, new = WRONG_CALLS[case]
    file = find_definition("whatsapp_call")
    text = file.read_text()
    assert text.count(old) == 1, f"{old!r} is in the definition {text.count(old)} times"
    wrong = parse_definition(text.replace(old, new))
    assert any(run(wrong, path) for path in shipped_with(file))


# -- the page about them --

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scenarios.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n", 1)[0])
def test_example_of_the_page_holds(example: str) -> None:
    whole = "\nsteps:" in example
    scenario = read_scenario(example if whole else f"{TWO}steps:\n{example}", "docs/scenarios.md", CALL)
    if whole:
        assert run_scenario(Simulation(CALL), scenario).failed_expectations == 0


def test_event_line_of_the_page_is_one() -> None:
    lines = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith('    {"type"')]
    assert [type(read) for read in read_event_lines(lines, "docs/scenarios.md")] == [EventLine]


def test_page_shows_every_key() -> None:
    keys = {"at", "connection_id"} | {key for form in FORMS.values() for key in form.keys} | set(FORMS)
    assert {key for key in keys if f"{key}:" not in "\n".join(EXAMPLES)} == set()

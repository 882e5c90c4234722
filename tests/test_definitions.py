"""Every definition that ships is loaded, checked and drawn, has scenarios that hold and say something, and a page."""

from __future__ import annotations

import pytest

from bus import EventType
from bus.names import matches
from statemachines import load_definition, shipped_definitions
from statemachines.language import find_definition
from statemachines.language.definition import Definition, Publish
from statemachines.language.names import is_done, is_pattern
from statemachines.rendering.mermaid import render_mermaid
from statemachines.simulation.library import scenarios_of
from statemachines.simulation.scenario_file import understood
from statemachines.table.step import Steps
from statemachines.validation import validate_paths
from tests.definition_helpers import PAGES, SCENARIOS, blocks, page_of, run_shipped

GO_PHASES = {"created", "initializing", "ready", "terminating", "terminated"}
GO_DEPENDENCIES = {
    "webrtc_audio_ready": EventType.AUDIO_TRACK_READY,
    "openai_connection_ready": EventType.AI_CONNECTION_INIT,
    "whatsapp_call_accepted": EventType.WHATSAPP_CALL_ACCEPTED,
    "webrtc_sdp_ready": EventType.SDP_ANSWER_GENERATED,
    "ai_audio_ready": EventType.AI_AUDIO_READY,
    "ai_data_channel_ready": EventType.AI_DATA_CHANNEL_READY,
    "whatsapp_audio_ready": EventType.WHATSAPP_AUDIO_READY,
}


@pytest.fixture(params=shipped_definitions())
def definition(request: pytest.FixtureRequest) -> Definition:
    return load_definition(request.param)


def test_it_has_no_problems_and_no_warnings(definition: Definition) -> None:
    assert validate_paths([find_definition(definition.name).parent]).problems == ()


def test_it_has_scenarios_and_a_description(definition: Definition) -> None:
    assert definition.description
    assert scenarios_of(definition.name)


def test_it_can_be_drawn_and_run(definition: Definition) -> None:
    diagram = render_mermaid(definition)
    assert all(state.id in diagram for state in definition.walk())
    assert Steps(definition).layout.ids


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS)
def test_its_scenario_holds(name: str, scenario: str) -> None:
    run = run_shipped(name, scenario)
    assert run.failures == ()
    assert any(entry.kind == "expect" for entry in run.entries)


def test_its_properties_hold_in_its_scenarios_and_are_witnessed(definition: Definition) -> None:
    runs = {name: run_shipped(definition.name, name) for name in scenarios_of(definition.name)}
    assert {name: run.broken for name, run in runs.items() if run.broken} == {}
    wanted = {name for name, wanted in definition.properties.items() if wanted.sometimes is not None}
    assert wanted - {name for run in runs.values() for name in run.seen} == set()


def test_its_scenarios_enter_every_state(definition: Definition) -> None:
    entered: set[str] = set()
    for scenario in scenarios_of(definition.name):
        run = run_shipped(definition.name, scenario)
        for entry in run.entries:
            if entry.kind == "transition":
                entered.update(entry.details["configuration"])
        entered.update(*(state.configuration for state in run.summary.connections.values()))
    # A state that is passed through is in no configuration, as nothing is ever at rest there.
    passed_through = {
        state.id for state in definition.walk() if any(not (t.event or t.cond or t.unless) for t in state.transitions)
    }
    # The initial ones are entered by the registration.
    initial = {state.id for state in definition.walk() if state.initial}
    assert {state.id for state in definition.walk()} - entered - passed_through - initial == set()


def test_its_scenarios_let_every_timer_fire(definition: Definition) -> None:
    fired = {
        (entry.details["state"], entry.details["timer"])
        for scenario in scenarios_of(definition.name)
        for entry in run_shipped(definition.name, scenario).entries
        if entry.kind == "timer"
    }
    there_are = {(state.id, after.written) for state in definition.walk() for after in state.after}
    assert there_are - fired == set()


def test_its_scenarios_have_every_event_that_moves_it(definition: Definition) -> None:
    happened = {
        entry.details["event"]
        for scenario in scenarios_of(definition.name)
        for entry in run_shipped(definition.name, scenario).entries
        if entry.kind == "transition"
    }
    moving = {
        event for state in definition.walk() for t in state.transitions for event in t.event if not is_done(event)
    }
    assert {event for event in moving if not any(matches(event, other) for other in happened)} == set()


def test_it_has_a_page_with_its_picture_as_it_is(definition: Definition) -> None:
    pictures = list(blocks(page_of(definition.name), "mermaid"))
    assert render_mermaid(definition).strip() in [picture.strip() for picture in pictures], (
        f"bring {PAGES.name}/{definition.name}.md up to date: phasebus show {definition.name} --format mermaid"
    )


def test_its_page_names_every_phase_and_every_event(definition: Definition) -> None:
    prose = page_of(definition.name)
    for picture in blocks(prose, "mermaid"):
        prose = prose.replace(picture, "")
    heard = {event for event in understood(definition) if not is_pattern(event) and not is_done(event)}
    published = {action.event for action in definition.actions() if isinstance(action, Publish)}
    phases = {state.id for state in definition.walk() if not state.states}
    assert {name for name in heard | published | phases if f"`{name}`" not in prose} == set()


def test_the_whatsapp_call_has_every_phase_and_dependency_of_the_original() -> None:
    definition = load_definition("whatsapp_call")
    assert {state.id for state in definition.walk()} >= GO_PHASES
    for name, event_type in GO_DEPENDENCIES.items():
        assert event_type in [trigger.event for trigger in definition.dependencies[name].ready_on]
    required = [name for name, dependency in definition.dependencies.items() if dependency.required]
    assert required == ["webrtc_audio_ready", "openai_connection_ready", "whatsapp_call_accepted"]


def test_the_whatsapp_call_names_every_event_of_the_original() -> None:
    steps = Steps(load_definition("whatsapp_call"))
    told_by_phasebus = {
        EventType.CONNECTION_READY,
        EventType.CONNECTION_TERMINATED,
        EventType.CONNECTION_PHASE_CHANGED,
        EventType.CONNECTION_UNKNOWN,
        EventType.HANDLER_FAILED,
        EventType.EVENT_DROPPED,
    }
    assert [event_type for event_type in EventType if not steps.plan(event_type).named] == [
        event_type for event_type in EventType if event_type in told_by_phasebus
    ]

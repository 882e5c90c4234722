"""Every definition that ships is loaded, checked and drawn; its scenarios are run by the command's tests."""

from __future__ import annotations

import pytest

from bus import EventType
from statemachines import load_definition, shipped_definitions
from statemachines.language import find_definition
from statemachines.language.definition import Definition
from statemachines.rendering.mermaid import render_mermaid
from statemachines.simulation.library import scenarios_of
from statemachines.table.step import Steps
from statemachines.validation import validate_paths

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

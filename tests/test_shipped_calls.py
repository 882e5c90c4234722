"""What the shipped calls do that a scenario cannot say: how often something is published, which hooks are called."""

from __future__ import annotations

import pytest

from bus import EventBus, InvalidEvent, default_chain
from tests.definition_helpers import run_shipped
from tests.lifecycle_helpers import lifecycle_on


@pytest.mark.parametrize(
    ("definition", "scenario", "event_type", "times"),
    [
        ("whatsapp_call", "greeting_output_first", "ai.greeting_requested", 1),
        ("whatsapp_call", "greeting_output_last", "ai.greeting_requested", 1),
        ("whatsapp_call", "greeting_triggered_twice", "ai.greeting_requested", 1),
        ("whatsapp_call", "greeting_kept_over_reconnection", "ai.greeting_requested", 1),
        ("whatsapp_call", "greeting_missed_and_late", "ai.greeting_requested", 1),
        ("whatsapp_call", "silence", "ai.prompt_requested", 5),
        ("whatsapp_call", "silence_broken_by_the_caller", "ai.prompt_requested", 9),
        ("whatsapp_call", "hung_up_twice", "connection.terminated", 1),
        ("whatsapp_call", "hung_up_during_the_closing", "connection.terminated", 1),
        ("whatsapp_call", "closing_heard", "ai.closing_requested", 1),
        ("whatsapp_outbound_call", "permission_comes_first", "whatsapp.permission_requested", 0),
        ("whatsapp_outbound_call", "permitted_and_accepted", "whatsapp.permission_requested", 1),
        ("whatsapp_outbound_call", "answer_before_call_id", "ai.greeting_requested", 1),
        ("whatsapp_outbound_call", "accepted_before_the_model", "ai.greeting_requested", 1),
        ("whatsapp_outbound_call", "rejected", "connection.terminated", 1),
        ("outbound_agent_call", "hung_up_twice", "connection.terminated", 1),
        ("outbound_agent_call", "ringing_tone_is_no_answer", "agent.call_answered", 1),
        ("media_stream", "both_before_the_call_id", "media.first_words_requested", 1),
        ("media_stream", "completed_twice", "connection.terminated", 1),
        ("ari_bridge", "caller_first", "connection.terminated", 1),
    ],
)
def test_it_is_published_so_often(definition: str, scenario: str, event_type: str, times: int) -> None:
    assert run_shipped(definition, scenario).summary.published[event_type] == times


@pytest.mark.parametrize(
    ("definition", "scenario", "hooks"),
    [
        # Closed with the call, and once more when it opens after it.
        (
            "whatsapp_call",
            "session_opened_after_the_end",
            ["close_model_session", "close_peer_connection", "close_model_session"],
        ),
        (
            "whatsapp_outbound_call",
            "cancelled_while_placing",
            [
                *("check_permission", "create_peer_connection", "open_model_session", "place_call"),
                *("hang_up", "close_model_session", "close_peer_connection"),
                *("hang_up", "close_model_session"),
            ],
        ),
        ("whatsapp_outbound_call", "permission_refused", ["check_permission"]),
        (
            "outbound_agent_call",
            "answered_then_media",
            ["create_participant", "start_speaking", "stop_speaking", "remove_participant"],
        ),
        ("outbound_agent_call", "ringing_tone_is_no_answer", ["create_participant", "start_speaking"]),
        (
            "ari_bridge",
            "caller_first",
            ["create_media_channel", "create_bridge", "destroy_bridge", "hang_up_channels"],
        ),
        (
            "ari_bridge",
            "one_leaves_before_the_other",
            ["create_media_channel", "hang_up_channels", "hang_up_channels", "hang_up_channels"],
        ),
        ("media_stream", "completed_twice", ["close_socket", "complete_call"]),
    ],
)
def test_its_hooks_are_called_in_this_order(definition: str, scenario: str, hooks: list[str]) -> None:
    entries = run_shipped(definition, scenario).entries
    assert [entry.details["name"] for entry in entries if entry.kind == "call"] == hooks


@pytest.mark.anyio
async def test_an_end_of_nobody_in_particular_is_refused_where_it_is_published() -> None:
    async with EventBus(middleware=default_chain()) as bus, lifecycle_on(bus, "whatsapp_call") as lifecycle:
        await lifecycle.register_connection("conn_1", dependencies=[])
        with pytest.raises(InvalidEvent, match="connection_id"):
            await bus.publish("whatsapp.call_terminated", {"call_id": "wacid.1"}, connection_id="")
        assert lifecycle.get_connection_state("conn_1").phase == "ready"


def test_prompts_are_numbered() -> None:
    entries = run_shipped("whatsapp_call", "silence").entries
    prompts = [entry.details["data"] for entry in entries if entry.details.get("type") == "ai.prompt_requested"]
    assert prompts == [{"number": number} for number in range(1, 6)]

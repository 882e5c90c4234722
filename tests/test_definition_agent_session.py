"""The agent's gates: in whatever order its services get ready, none is used before it can be, and nothing is lost."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol_helpers import Driven

READY = {
    "transport": "transport.connected",
    "stt": "stt.session_ready",
    "llm": "llm.session_ready",
    "tts": "tts.session_ready",
}
LOST = {
    "transport": "transport.disconnected",
    "stt": "stt.connection_lost",
    "llm": "llm.connection_lost",
    "tts": "tts.connection_lost",
}
HEARING, SPEAKING = {"transport", "stt"}, {"transport", "llm", "tts"}
SPOKEN = [
    "caller.speech_started",
    "caller.speech_dismissed",
    "stt.transcript_completed",
    "llm.answer_begun",
    "tts.speech_completed",
]


@pytest.mark.parametrize("order", list(permutations(READY)))
def test_each_gate_opens_with_the_last_service_that_it_needs(order: tuple[str, ...]) -> None:
    driven = Driven.of("agent_session")
    there: set[str] = set()
    for service in order:
        driven.hear(READY[service])
        there.add(service)
        assert ("release_audio" in driven.calls) == (there >= HEARING)
        assert ("say_greeting" in driven.calls) == (there >= SPEAKING)
        assert ("session.ready" in driven.published) == (len(there) == len(READY))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*READY.values(), *LOST.values(), *SPOKEN]), max_size=30))
def test_no_order_of_events_uses_a_service_that_is_not_there(events: list[str]) -> None:
    driven = Driven.of("agent_session")
    there: set[str] = set()
    for event in events:
        driven.hear(event)
        there |= {service for service, ready in READY.items() if event == ready}
        there -= {service for service, lost in LOST.items() if event == lost}
        assert ("streaming" in driven.configuration) == (there >= HEARING)
        assert ("talking" in driven.configuration) == (there >= SPEAKING)
    audio = [call for call in driven.calls if call in ("hold_audio", "release_audio")]
    assert all(first != second for first, second in pairwise(audio))  # never twice the same


@pytest.mark.parametrize("service", READY)
def test_a_service_that_is_back_goes_on_where_it_was(service: str) -> None:
    driven = Driven.of("agent_session", *READY.values(), "tts.speech_completed", "caller.speech_started")
    before = driven.configuration
    driven.hear(LOST[service])
    assert "reconnecting" in driven.configuration
    assert driven.hear(READY[service]).configuration == before


def test_reconnecting_is_tried_at_growing_intervals() -> None:
    driven = Driven.of("agent_session", *READY.values(), "llm.connection_lost").wait(14.9)
    tries = [at for at, name in driven.timed_calls if name == "reconnect_lost_services"]
    assert tries == [0, 0.5, 1.5, 3.5, 7.5, 11.5]

"""The whole inbound call under any order of events: greeted once, asked five times at most, ended once.

What the gateway's events may do to a call is drawn by hypothesis and played on virtual time, by the code that runs
calls live. What must hold is judged on everything that came of it, not on samples.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from bus import Event
from statemachines import Definition, load_definition, parse_definition
from statemachines.connections.trace import Entry
from statemachines.language import find_definition
from statemachines.simulation.properties import PropertyJudge
from statemachines.simulation.scenario import Registration
from statemachines.simulation.simulator import Simulation
from statemachines.table.step import Step

CALL = "conn_1"
GREETING = "ai.greeting_requested"
PROMPT = "ai.prompt_requested"
CLOSING = "ai.closing_requested"
ENDED = "connection.terminated"
TERMINATE = "terminate"
GREETING_NEEDS = ("openai_connection_ready", "ai_data_channel_ready", "whatsapp_audio_ready")
AT_MOST_PROMPTS = 5
LONGER_THAN_ANY_CALL_S = 2_000.0
EVENTS: dict[str, tuple[str, dict[str, object]]] = {
    "started": ("whatsapp.call_started", {"call_id": "wacid.1", "phone_number": "+12025550142"}),
    "accepted": ("whatsapp.call_accepted", {"call_id": "wacid.1"}),
    "refused": ("whatsapp.accept_failed", {"call_id": "wacid.1"}),
    "output": ("whatsapp.audio_ready", {}),
    "audio": ("webrtc.audio_track_ready", {"track_type": "audio"}),
    "ice lost": ("webrtc.ice_connection_changed", {"ice_state": "disconnected"}),
    "ice back": ("webrtc.ice_connection_changed", {"ice_state": "connected"}),
    "no restart": ("webrtc.restart_failed", {}),
    "session": ("ai.connection_initialized", {}),
    "channel": ("ai.data_channel_ready", {}),
    "model broke": ("ai.connection_failed", {}),
    "greeted": ("ai.greeting_sent", {}),
    "model speaks": ("ai.speech_started", {}),
    "model spoke": ("ai.speech_finished", {}),
    "caller speaks": ("ai.caller_speech_started", {}),
    "caller spoke": ("ai.caller_speech_stopped", {}),
    "function called": ("ai.function_called", {}),
    "function returned": ("ai.function_returned", {}),
    "closing played": ("ai.closing_played", {}),
    "hung up": ("whatsapp.call_terminated", {"call_id": "wacid.1"}),
    "closed": ("whatsapp.call_closed", {"call_id": "wacid.1"}),
}
SETTING_UP = ["started", "accepted", "output", "audio", "session", "channel"]
TALKING = ["ice lost", "ice back", "model speaks", "model spoke", "caller speaks", "caller spoke", "greeted", "output"]
DELAYS_S = [0.0, 0.0, 0.0, 0.1, 1.0, 4.9, 10.0, 20.0, 101.0]

Happening = tuple[str, float]


@define
class Played:
    """One call, played to its end: every entry, and what was wrong on the way."""

    entries: list[Entry] = field(factory=list)
    wrong: list[str] = field(factory=list)

    def published(self) -> list[str]:
        return [entry.details["type"] for entry in self.entries if entry.kind == "publish"]


@cache
def _shipped_judge() -> PropertyJudge:
    return PropertyJudge(load_definition("whatsapp_call"))


def play(definition: Definition, happenings: list[Happening]) -> Played:
    """Register a call, let it all happen, and wait until nothing more can."""
    played = Played()

    judge = _shipped_judge()

    def tell(entry: Entry) -> None:
        played.entries.append(entry)
        if entry.kind == "publish" and entry.details["type"] == GREETING:
            state = simulation.connections.state(CALL)
            if state.phase != "ready" or any(state.dependencies[name] != "ready" for name in GREETING_NEEDS):
                played.wrong.append(f"greeted in {state.phase} with {dict(state.dependencies)}")

    def judged(step: Step) -> None:
        broken, _ = judge.judge(step.after)
        played.wrong += [f"{name} is broken" for name in sorted(broken)]

    simulation = Simulation(definition, tell, judged)
    simulation.register(CALL, Registration(call_id="wacid.1"))
    for name, delay in happenings:
        simulation.advance_to(simulation.now + delay)
        if CALL not in simulation.connections.records:  # over, and forgotten
            break
        if name == TERMINATE:
            simulation.terminate(CALL)
        else:
            event_type, data = EVENTS[name]
            simulation.publish(Event(event_type, CALL, dict(data), timestamp=simulation.now))
        record = simulation.connections.records[CALL]
        if record.ended and record.timers:
            played.wrong.append(f"armed after the end: {record.timers}")
    simulation.advance_to(simulation.now + LONGER_THAN_ANY_CALL_S)
    if simulation.connections.records or simulation.connections.next_deadline() is not None:
        played.wrong.append("something is left after the end")
    return played


def mistakes(played: Played) -> list[str]:
    """What the call did that it must not."""
    found = list(played.wrong)
    counted = Counter(played.published())
    calls = Counter(entry.details["name"] for entry in played.entries if entry.kind == "call")
    if counted[GREETING] > 1:
        found.append(f"greeted {counted[GREETING]} times")
    if counted[CLOSING] > 1:
        found.append(f"{counted[CLOSING]} closing messages")
    if counted[ENDED] != 1:
        found.append(f"ended {counted[ENDED]} times")
    if calls["start_audio"] != calls["stop_audio"]:
        found.append(f"audio started {calls['start_audio']} times, stopped {calls['stop_audio']} times")
    if calls["close_peer_connection"] != 1:
        found.append(f"cleaned up {calls['close_peer_connection']} times")
    return [*found, *_in_order(played.entries)]


def _in_order(entries: list[Entry]) -> list[str]:
    found: list[str] = []
    prompts = 0
    last_word = ended = False
    for entry in entries:
        told = entry.details.get("type", "")
        if entry.kind in ("publish", "call") and ended and told != "connection.phase_changed":
            found.append(f"after the end: {entry.details}")
        if entry.kind == "publish":
            prompts = 0 if told == "connection.ready" else prompts + (told == PROMPT)
            if told in (PROMPT, GREETING) and last_word:
                found.append(f"{told} after the closing message")
            last_word = last_word or told == CLOSING
            ended = ended or told == ENDED
        elif entry.kind == "event" and told == "ai.caller_speech_started":
            prompts = 0
        if prompts > AT_MOST_PROMPTS:
            found.append(f"{prompts} prompts in a row")
    return found


happenings = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(SETTING_UP), st.sampled_from(TALKING), st.sampled_from([*EVENTS, TERMINATE])),
        st.sampled_from(DELAYS_S),
    ),
    max_size=40,
)
"""Anything, in any order, at any time; what happens in most calls more often."""

set_up = st.permutations(SETTING_UP).map(lambda names: [(name, 0.1) for name in names])
"""The set-up of a call that becomes ready, in any order."""


@pytest.fixture(scope="module")
def definition() -> Definition:
    return load_definition("whatsapp_call")


@given(happenings)
def test_whatever_happens_the_call_keeps_its_promises(definition: Definition, happenings: list[Happening]) -> None:
    assert mistakes(play(definition, happenings)) == []


@given(set_up, happenings)
def test_a_call_that_becomes_ready_keeps_its_promises(
    definition: Definition, set_up: list[Happening], happenings: list[Happening]
) -> None:
    played = play(definition, [*set_up, *happenings])
    assert mistakes(played) == []
    assert played.published().count(GREETING) == 1


@given(set_up)
def test_the_greeting_is_asked_for_with_the_last_of_its_conditions(
    definition: Definition, set_up: list[Happening]
) -> None:
    played = play(definition, set_up)
    greeted = next(entry.at for entry in played.entries if entry.details.get("type") == GREETING)
    needed = {EVENTS[name][0] for name in SETTING_UP if name != "started"}
    assert greeted == max(entry.at for entry in played.entries if entry.details.get("type") in needed)


TALKED = [(name, 0.1) for name in SETTING_UP]
NOT_HEARD = [happening for happening in TALKED if happening[0] != "output"]
LOST_AND_BACK = [("ice lost", 1.0), ("ice back", 1.0)]
SILENT = [("model speaks", 1.0), ("model spoke", 1.0)]


@pytest.mark.parametrize(
    ("right", "wrong", "happenings", "mistake"),
    [
        ("target: greeting_as_it_was", "target: ready", [*TALKED, *LOST_AND_BACK], "greeted 2 times"),
        ("and ai_data_channel_ready and whatsapp_audio_ready\n", "\n", TALKED, "greeted in ready with"),
        ("and not In('saying_goodbye')\n", "\n", [*NOT_HEARD, *SILENT, ("output", 122.0)], "after the closing message"),
        ("visits.prompting < 5\n", "visits.prompting < 6\n", [*TALKED, *SILENT], "6 prompts in a row"),
        ("    after: {2s: terminated}\n", "", [*TALKED, ("hung up", 1.0)], "ended 0 times"),
    ],
    ids=["greeted twice", "greeted too early", "greeted too late", "one prompt too many", "never ended"],
)
def test_a_definition_with_a_mistake_breaks_its_promise(
    right: str, wrong: str, happenings: list[Happening], mistake: str
) -> None:
    text = find_definition("whatsapp_call").read_text(encoding="utf-8")
    assert right in text
    found = mistakes(play(parse_definition(text.replace(right, wrong, 1)), happenings))
    assert any(mistake in message for message in found), found

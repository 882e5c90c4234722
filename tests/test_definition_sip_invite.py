"""The INVITE client transaction against RFC 3261: figure 5 arc by arc, and its timers to the millisecond."""

from __future__ import annotations

import pytest

from bus import Event
from tests.lifecycle_helpers import running
from tests.protocol_helpers import Driven

RINGING, ANSWERED, REFUSED = "sip.response_1xx_received", "sip.response_2xx_received", "sip.response_final_received"
UNREACHABLE = "sip.transport_failed"
PATHS = {"calling": (), "proceeding": (RINGING,), "completed": (REFUSED,), "terminated": (ANSWERED,)}

FIGURE_5 = {
    ("calling", RINGING): ("proceeding", "", "1xx to TU"),
    ("calling", ANSWERED): ("terminated", "", "2xx to TU"),
    ("calling", REFUSED): ("completed", "ACK", "response to TU"),
    ("calling", UNREACHABLE): ("terminated", "", "inform TU of transport error"),
    ("proceeding", RINGING): ("proceeding", "", "1xx to TU"),
    ("proceeding", ANSWERED): ("terminated", "", "2xx to TU"),
    ("proceeding", REFUSED): ("completed", "ACK", "response to TU"),
    ("completed", REFUSED): ("completed", "ACK", ""),
    ("completed", UNREACHABLE): ("terminated", "", "inform TU of transport error"),
}
"""(state, event): (state, what is sent, what the transaction user hears)."""

TOLD = {
    "1xx to TU": ["invite.provisional_received"],
    "2xx to TU": ["invite.accepted"],
    "response to TU": ["invite.rejected"],
    "inform TU of transport error": ["invite.transport_failed"],
    "": [],
}


@pytest.mark.parametrize(("state", "event"), FIGURE_5)
def test_arc_of_the_figure(state: str, event: str) -> None:
    leads_to, request, told = FIGURE_5[state, event]
    driven = Driven.of("sip_invite", *PATHS[state])
    calls, published = len(driven.calls), len(driven.published)
    driven.hear(event)
    assert leads_to in driven.configuration
    assert driven.calls[calls:] == ([f"send_{request.lower()}"] if request else [])
    assert driven.published[published:] == TOLD[told]


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (state, event)
        for state in PATHS
        for event in (RINGING, ANSWERED, REFUSED, UNREACHABLE)
        if (state, event) not in FIGURE_5
    ],
)
def test_nothing_else_has_an_effect(state: str, event: str) -> None:
    driven = Driven.of("sip_invite", *PATHS[state])
    calls, published = driven.calls, driven.published
    driven.hear(event)
    assert (state in driven.configuration, driven.calls, driven.published) == (True, calls, published)


def test_timer_a_doubles_and_timer_b_ends_it() -> None:
    driven = Driven.of("sip_invite").wait(1_000)
    times = [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert driven.timed_calls == [(at, "send_invite") for at in times]
    told = [(entry.at, entry.details["type"]) for entry in driven.seen if entry.kind == "publish"]
    assert (32.0, "invite.timed_out") in told
    assert driven.state == "terminated"


@pytest.mark.parametrize("answer", [RINGING, ANSWERED, REFUSED])
def test_an_answer_ends_the_retransmissions(answer: str) -> None:
    driven = Driven.of("sip_invite").wait(2).hear(answer).wait(1_000)
    assert driven.calls.count("send_invite") == 3
    assert "invite.timed_out" not in driven.published


def test_timer_d_keeps_acknowledging_for_32_seconds() -> None:
    driven = Driven.of("sip_invite", RINGING, REFUSED)
    assert driven.wait(31.9).hear(REFUSED).state == "completed"  # and does not begin anew
    assert driven.wait(0.1).state == "terminated"
    assert driven.calls == ["send_invite", "send_ack", "send_ack"]
    assert driven.published == ["invite.provisional_received", "invite.rejected"]


@pytest.mark.anyio
async def test_live_hooks_are_called_at_the_times_of_the_rfc() -> None:
    async with running("sip_invite") as world:
        sent: list[float] = []
        begun = world.clock.monotonic()

        @world.lifecycle.hook("send_invite")
        async def send_invite(event: Event) -> None:
            sent.append(round(world.clock.monotonic() - begun, 3))

        await world.lifecycle.register_connection("c")
        await world.clock.advance(33)
        assert sent == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
        assert world.phase() == "terminated"

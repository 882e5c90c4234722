"""The dialog against RFC 5407's examples of races, and together with its INVITE transaction on one bus."""

from __future__ import annotations

from itertools import permutations

import pytest

from bus import Event, EventBus
from tests.lifecycle_helpers import lifecycle_on
from tests.protocol_helpers import Driven

CALL, HANG_UP, ANSWER = "application.call_requested", "application.hangup_requested", "application.call_answered"
INVITE, ACK, BYE, CANCEL = "sip.invite_received", "sip.ack_received", "sip.bye_received", "sip.cancel_received"
RINGING, ACCEPTED, REJECTED = "invite.provisional_received", "invite.accepted", "invite.rejected"
OK_AGAIN, OK_TO_BYE = "sip.response_2xx_received", "sip.bye_response_received"

RFC_5407 = {
    "3.1.1 the called side receives the INVITE again, while its 200 OK is under way": (
        (INVITE, ANSWER, INVITE, ACK),
        "established",
        ["send_ringing", "send_ok"],
    ),
    "3.1.2 the called side receives a CANCEL, while its 200 OK is under way": (
        (INVITE, ANSWER, CANCEL, ACK, BYE),
        "ended",
        ["send_ringing", "send_ok", "answer_cancel", "send_ok_to_bye"],
    ),
    "3.1.2 the same, seen by the caller": (
        (CALL, RINGING, HANG_UP, ACCEPTED, OK_TO_BYE),
        "ended",
        ["start_invite", "send_cancel", "send_ack", "send_bye"],
    ),
    "3.1.3 the called side receives a BYE of the early state, while its 200 OK is under way": (
        (INVITE, ANSWER, BYE),
        "ended",
        ["send_ringing", "send_ok", "send_ok_to_bye"],
    ),
    "3.1.6 the BYE overtakes the ACK": (
        (INVITE, ANSWER, BYE, ACK),
        "ended",
        ["send_ringing", "send_ok", "send_ok_to_bye"],
    ),
    "3.2.1 the two BYEs cross": (
        (CALL, ACCEPTED, HANG_UP, BYE, OK_TO_BYE),
        "ended",
        ["start_invite", "send_ack", "send_bye", "send_ok_to_bye"],
    ),
    "3.2.2 a re-INVITE crosses our BYE": (
        (CALL, ACCEPTED, HANG_UP, "sip.reinvite_received", OK_TO_BYE),
        "ended",
        ["start_invite", "send_ack", "send_bye", "send_no_such_dialog"],
    ),
    "3.2.4 the called side receives the ACK again, after its BYE": (
        (INVITE, ANSWER, ACK, HANG_UP, ACK),
        "terminating",
        ["send_ringing", "send_ok", "send_bye"],
    ),
}
"""Section: (events, where they lead, what is asked to be sent)."""


@pytest.mark.parametrize("race", RFC_5407)
def test_race_ends_as_rfc_5407_says(race: str) -> None:
    events, state, sent = RFC_5407[race]
    driven = Driven.of("sip_dialog", *events)
    assert state in driven.configuration
    assert driven.calls == sent


@pytest.mark.parametrize("order", list(permutations([RINGING, HANG_UP, ACCEPTED])))
def test_who_hangs_up_is_rid_of_the_call_in_any_order(order: tuple[str, ...]) -> None:
    if order.index(ACCEPTED) < order.index(RINGING):
        order = tuple(event for event in order if event != RINGING)  # what the transaction never reports
    driven = Driven.of("sip_dialog", CALL, *order)
    assert driven.state == "terminating"
    assert driven.calls[-2:] == ["send_ack", "send_bye"]
    assert driven.hear(OK_TO_BYE).state == "ended"
    assert driven.published[-1] == "dialog.ended"


@pytest.mark.parametrize("order", list(permutations([RINGING, HANG_UP, REJECTED])))
def test_a_rejected_call_is_over_in_any_order(order: tuple[str, ...]) -> None:
    driven = Driven.of("sip_dialog", CALL, *order)
    assert driven.state == "ended"
    assert "send_bye" not in driven.calls


def test_no_cancel_before_a_response() -> None:
    driven = Driven.of("sip_dialog", CALL, HANG_UP)
    assert driven.calls == ["start_invite"]
    assert driven.hear(RINGING).calls == ["start_invite", "send_cancel"]


def test_no_bye_before_the_ack() -> None:
    driven = Driven.of("sip_dialog", INVITE, ANSWER, HANG_UP)
    assert "send_bye" not in driven.calls
    assert driven.hear(ACK).calls[-1] == "send_bye"


def test_the_200_ok_is_sent_anew_up_to_t2_and_for_64_t1() -> None:
    driven = Driven.of("sip_dialog", INVITE, ANSWER).wait(1_000)
    times = [at for at, name in driven.timed_calls if name == "send_ok"]
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert (32.0, "send_bye") in driven.timed_calls
    assert driven.state == "ended"


@pytest.mark.anyio
@pytest.mark.parametrize("hung_up_after", ["call", "180", "200"])
async def test_dialog_and_transaction_on_one_bus_end_a_call_that_is_hung_up_as_it_is_answered(
    hung_up_after: str,
) -> None:
    async with EventBus() as bus:
        sent: list[str] = []
        async with lifecycle_on(bus, "sip_dialog") as dialogs, lifecycle_on(bus, "sip_invite") as transactions:

            @dialogs.hook("start_invite")
            async def start_invite(event: Event) -> None:
                await transactions.register_connection("c")

            for lifecycle, requests in ((dialogs, ("cancel", "ack", "bye")), (transactions, ("invite", "ack"))):
                for request in requests:

                    async def send(event: Event, request: str = request) -> None:
                        sent.append(request.upper())

                    lifecycle.hook(f"send_{request}")(send)

            async def happens(*events: str) -> None:
                for event in events:
                    await bus.publish(event, connection_id="c")
                    await bus.drain(5)

            steps = {"call": CALL, "180": "sip.response_1xx_received", "200": "sip.response_2xx_received"}
            for step, event in steps.items():
                await happens(event)
                if step == hung_up_after:
                    await happens(HANG_UP)
            await happens("sip.response_2xx_received")  # the ACK was lost
            assert dialogs.get_connection_state("c").phase == "terminating"
            assert transactions.get_connection_state("c").phase == "terminated"
            await happens(OK_TO_BYE)
            assert dialogs.get_connection_state("c").phase == "ended"
            cancel = [] if hung_up_after == "200" else ["CANCEL"]
            assert sent == ["INVITE", *cancel, "ACK", "BYE", "ACK"]

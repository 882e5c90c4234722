"""TCP against RFC 9293: figure 5 arc by arc, then what section 3.10 adds to it, then nothing else."""

from __future__ import annotations

import pytest

from tests.protocol_helpers import Driven, reaction, shipped

OPEN = ("application.active_open_requested", "segment.syn_ack_received")
PATHS: dict[str, tuple[str, ...]] = {
    "CLOSED": (),
    "LISTEN": ("application.passive_open_requested",),
    "SYN-SENT": ("application.active_open_requested",),
    "SYN-RECEIVED": ("application.passive_open_requested", "segment.syn_received"),
    "ESTABLISHED": OPEN,
    "FIN-WAIT-1": (*OPEN, "application.close_requested"),
    "FIN-WAIT-2": (*OPEN, "application.close_requested", "segment.ack_of_fin_received"),
    "CLOSE-WAIT": (*OPEN, "segment.fin_received"),
    "CLOSING": (*OPEN, "application.close_requested", "segment.fin_received"),
    "LAST-ACK": (*OPEN, "segment.fin_received", "application.close_requested"),
    "TIME-WAIT": (*OPEN, "application.close_requested", "segment.ack_of_fin_received", "segment.fin_received"),
}
"""Each state with a way to it."""

EVENTS = {
    "passive OPEN": "application.passive_open_requested",
    "active OPEN": "application.active_open_requested",
    "SEND": "application.send_requested",
    "CLOSE": "application.close_requested",
    "ABORT": "application.abort_requested",
    "rcv SYN": "segment.syn_received",
    "rcv SYN,ACK": "segment.syn_ack_received",
    "rcv ACK of SYN": "segment.ack_of_syn_received",
    "rcv FIN": "segment.fin_received",
    "rcv ACK of FIN": "segment.ack_of_fin_received",
    "rcv FIN,ACK of FIN": "segment.fin_and_ack_of_fin_received",
    "rcv RST": "segment.rst_received",
}

FIGURE_5 = {
    ("CLOSED", "passive OPEN"): ("LISTEN", ""),
    ("CLOSED", "active OPEN"): ("SYN-SENT", "SYN"),
    ("LISTEN", "rcv SYN"): ("SYN-RECEIVED", "SYN,ACK"),
    ("LISTEN", "SEND"): ("SYN-SENT", "SYN"),
    ("LISTEN", "CLOSE"): ("deleted", ""),
    ("SYN-SENT", "CLOSE"): ("deleted", ""),
    ("SYN-SENT", "rcv SYN"): ("SYN-RECEIVED", "SYN,ACK"),
    ("SYN-SENT", "rcv SYN,ACK"): ("ESTABLISHED", "ACK"),
    ("SYN-RECEIVED", "rcv ACK of SYN"): ("ESTABLISHED", ""),
    ("SYN-RECEIVED", "CLOSE"): ("FIN-WAIT-1", "FIN"),
    ("SYN-RECEIVED", "rcv RST"): ("LISTEN", ""),  # note 1: here it was opened passively
    ("ESTABLISHED", "CLOSE"): ("FIN-WAIT-1", "FIN"),
    ("ESTABLISHED", "rcv FIN"): ("CLOSE-WAIT", "ACK"),
    ("FIN-WAIT-1", "rcv FIN"): ("CLOSING", "ACK"),
    ("FIN-WAIT-1", "rcv ACK of FIN"): ("FIN-WAIT-2", ""),
    ("FIN-WAIT-1", "rcv FIN,ACK of FIN"): ("TIME-WAIT", "ACK"),  # note 2
    ("FIN-WAIT-2", "rcv FIN"): ("TIME-WAIT", "ACK"),
    ("CLOSE-WAIT", "CLOSE"): ("LAST-ACK", "FIN"),
    ("CLOSING", "rcv ACK of FIN"): ("TIME-WAIT", ""),
    ("LAST-ACK", "rcv ACK of FIN"): ("deleted", ""),
}
"""(state, event): (state, what is sent). ``deleted`` is CLOSED at the bottom of the figure: the TCB is gone."""

SECTION_3_10 = {
    # 3.10.5: ABORT
    ("LISTEN", "ABORT"): ("deleted", ""),
    ("SYN-SENT", "ABORT"): ("deleted", ""),
    **{
        (state, "ABORT"): ("deleted", "RST")
        for state in ("SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT")
    },
    **{(state, "ABORT"): ("deleted", "") for state in ("CLOSING", "LAST-ACK", "TIME-WAIT")},
    # 3.10.7.3 and 3.10.7.4, second: RST; note 3 of the figure
    ("SYN-SENT", "rcv RST"): ("deleted", ""),
    **{
        (state, "rcv RST"): ("deleted", "")
        for state in ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT")
    },
    # 3.10.7.4, eighth: FIN
    ("SYN-RECEIVED", "rcv FIN"): ("CLOSE-WAIT", "ACK"),
    ("TIME-WAIT", "rcv FIN"): ("TIME-WAIT", "ACK"),
    # 3.5, figure 7: both open at once
    ("SYN-RECEIVED", "rcv SYN,ACK"): ("ESTABLISHED", ""),
}
ARCS = FIGURE_5 | SECTION_3_10


def in_our_words(state: str) -> str:
    return state.lower().replace("-", "_")


def sent(calls: list[str]) -> str:
    return " ".join(call.removeprefix("send_").upper().replace("_", ",") for call in calls)


@pytest.mark.parametrize(("state", "event"), ARCS)
def test_arc_leads_where_the_rfc_says_and_sends_what_it_says(state: str, event: str) -> None:
    leads_to, segment = ARCS[state, event]
    arrived, calls = reaction("tcp", PATHS[state], EVENTS[event])
    assert (arrived, sent(calls)) == (in_our_words(leads_to), segment)


@pytest.mark.parametrize("state", PATHS)
def test_path_leads_to_its_state(state: str) -> None:
    assert Driven.of("tcp", *PATHS[state]).state == in_our_words(state)


@pytest.mark.parametrize(
    ("state", "event"), [(state, event) for state in PATHS for event in EVENTS if (state, event) not in ARCS]
)
def test_nothing_else_has_an_effect(state: str, event: str) -> None:
    assert reaction("tcp", PATHS[state], EVENTS[event]) == (in_our_words(state), [])


def test_all_eleven_states_are_there_and_closed_twice() -> None:
    leaves = {state.id for state in shipped("tcp").walk() if not state.states}
    assert leaves == {in_our_words(state) for state in PATHS} | {"deleted"}
    assert len(PATHS) == 11


def test_a_rst_ends_what_was_opened_actively() -> None:
    both_at_once = ("application.active_open_requested", "segment.syn_received")
    send_in_listen = ("application.passive_open_requested", "application.send_requested", "segment.syn_received")
    for path in (both_at_once, send_in_listen):
        assert Driven.of("tcp", *path).state == "syn_received"
        assert Driven.of("tcp", *path, "segment.rst_received").state == "deleted"


def test_time_wait_lasts_two_maximum_segment_lifetimes() -> None:
    driven = Driven.of("tcp", *PATHS["TIME-WAIT"])
    assert driven.wait(239.999).state == "time_wait"
    assert driven.wait(0.001).state == "deleted"
    assert driven.published[-1] == "tcp.connection_closed"


@pytest.mark.parametrize("state", ["SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "CLOSING", "LAST-ACK"])
def test_what_waits_for_an_answer_to_syn_or_fin_gives_up_at_the_user_timeout(state: str) -> None:
    driven = Driven.of("tcp", *PATHS[state])
    assert driven.wait(299.9).state == in_our_words(state)
    driven.wait(0.1)
    assert (driven.state, driven.published[-2:]) == ("deleted", ["tcp.connection_timed_out", "tcp.connection_closed"])


@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN-WAIT-2", "CLOSE-WAIT"])
def test_a_connection_may_be_idle_for_ever(state: str) -> None:
    assert Driven.of("tcp", *PATHS[state]).wait(7 * 24 * 3600).state == in_our_words(state)

"""The peer connection against the W3C's tables: signalling, ICE and DTLS arc by arc, and a truth table."""

from __future__ import annotations

from itertools import product

import pytest

from tests.protocol_helpers import Driven

# -- RTCSignalingState, section 4.3.1, figure 1 --

SIGNALING_PATHS: dict[str, tuple[str, ...]] = {
    "stable": (),
    "have-local-offer": ("local offer",),
    "have-remote-offer": ("remote offer",),
    "have-local-pranswer": ("remote offer", "local pranswer"),
    "have-remote-pranswer": ("local offer", "remote pranswer"),
}
DESCRIPTIONS = [
    f"{side} {kind}" for side in ("local", "remote") for kind in ("offer", "answer", "pranswer", "rollback")
]
SIGNALING = {
    ("stable", "local offer"): "have-local-offer",
    ("stable", "remote offer"): "have-remote-offer",
    ("have-local-offer", "local offer"): "have-local-offer",
    ("have-local-offer", "remote answer"): "stable",
    ("have-local-offer", "remote pranswer"): "have-remote-pranswer",
    ("have-local-offer", "local rollback"): "stable",
    ("have-remote-offer", "remote offer"): "have-remote-offer",
    ("have-remote-offer", "local answer"): "stable",
    ("have-remote-offer", "local pranswer"): "have-local-pranswer",
    ("have-remote-offer", "remote rollback"): "stable",
    ("have-remote-pranswer", "remote pranswer"): "have-remote-pranswer",
    ("have-remote-pranswer", "remote answer"): "stable",
    ("have-local-pranswer", "local pranswer"): "have-local-pranswer",
    ("have-local-pranswer", "local answer"): "stable",
    # Not in the figure: section 4.4.2, setRemoteDescription rolls a local offer back that an offer crosses.
    ("have-local-offer", "remote offer"): "have-remote-offer",
}


def signaling_events(*descriptions: str) -> tuple[str, ...]:
    named = (description.replace("rollback", "rolled_back").replace(" ", "_") for description in descriptions)
    return tuple(f"signaling.{name}" if name.endswith("back") else f"signaling.{name}_set" for name in named)


def region(driven: Driven, states: tuple[str, ...] | dict[str, tuple[str, ...]], prefix: str = "") -> str:
    """The active one of a region's states, as the W3C writes it."""
    (active,) = [state for state in states if prefix + state.replace("-", "_") in driven.configuration]
    return active


def was_ignored(driven: Driven) -> bool:
    return driven.seen[-1].kind == "ignored"


@pytest.mark.parametrize(("state", "description"), list(product(SIGNALING_PATHS, DESCRIPTIONS)))
def test_signaling_goes_where_the_figure_says_and_nowhere_else(state: str, description: str) -> None:
    driven = Driven.of("webrtc_peer", *signaling_events(*SIGNALING_PATHS[state]))
    assert region(driven, SIGNALING_PATHS) == state
    driven.hear(*signaling_events(description))
    assert region(driven, SIGNALING_PATHS) == SIGNALING.get((state, description), state)
    assert was_ignored(driven) == ((state, description) not in SIGNALING)


# -- RTCIceTransportState, section 5.6, figure 2 and the list below it --

ICE_PATHS: dict[str, tuple[str, ...]] = {
    "new": (),
    "checking": ("candidates_received",),
    "connected": ("candidates_received", "connection_found"),
    "completed": ("candidates_received", "connection_found", "checks_completed"),
    "disconnected": ("candidates_received", "connection_lost"),
    "failed": ("candidates_received", "checks_failed"),
    "closed": ("transport_closed",),
}
ICE_EVENTS = sorted({event for path in ICE_PATHS.values() for event in path} | {"restarted"})
ICE = {
    ("new", "candidates_received"): "checking",
    ("checking", "connection_found"): "connected",
    ("checking", "connection_lost"): "disconnected",
    ("checking", "checks_failed"): "failed",
    ("disconnected", "candidates_received"): "checking",
    ("disconnected", "connection_found"): "connected",
    ("disconnected", "checks_failed"): "failed",
    ("disconnected", "restarted"): "checking",
    ("connected", "checks_completed"): "completed",
    ("connected", "connection_lost"): "disconnected",
    ("connected", "checks_failed"): "failed",
    ("connected", "restarted"): "checking",
    ("completed", "connection_lost"): "disconnected",
    ("completed", "checks_failed"): "failed",
    ("completed", "restarted"): "connected",
    ("failed", "restarted"): "checking",
    **{(state, "transport_closed"): "closed" for state in ICE_PATHS},
}


@pytest.mark.parametrize(("state", "event"), list(product(ICE_PATHS, ICE_EVENTS)))
def test_ice_goes_where_the_list_says_and_nowhere_else(state: str, event: str) -> None:
    driven = Driven.of("webrtc_peer", *(f"ice.{step}" for step in (*ICE_PATHS[state], event)))
    assert region(driven, ICE_PATHS, "ice_") == ICE.get((state, event), state)


# -- RTCDtlsTransportState, section 5.5 --

DTLS_PATHS: dict[str, tuple[str, ...]] = {
    "new": (),
    "connecting": ("handshake_started",),
    "connected": ("handshake_started", "handshake_completed"),
    "failed": ("handshake_started", "handshake_failed"),
    "closed": ("transport_closed",),
}
DTLS_EVENTS = sorted({event for path in DTLS_PATHS.values() for event in path} | {"error_alert_received"})
DTLS = {
    ("new", "handshake_started"): "connecting",
    ("connecting", "handshake_completed"): "connected",
    ("connecting", "handshake_failed"): "failed",
    ("connecting", "error_alert_received"): "failed",
    ("connected", "error_alert_received"): "failed",
    **{(state, "transport_closed"): "closed" for state in DTLS_PATHS},
}


@pytest.mark.parametrize(("state", "event"), list(product(DTLS_PATHS, DTLS_EVENTS)))
def test_dtls_goes_where_it_may_and_nowhere_else(state: str, event: str) -> None:
    driven = Driven.of("webrtc_peer", *(f"dtls.{step}" for step in (*DTLS_PATHS[state], event)))
    assert region(driven, DTLS_PATHS, "dtls_") == DTLS.get((state, event), state)


# -- RTCPeerConnectionState, section 4.3.3 --

AGGREGATES = ("new", "connecting", "connected", "disconnected", "failed")


def connection_state(ice: list[str], dtls: list[str]) -> str:
    """The rule as the W3C gives it, over any number of transports: the first that applies."""
    if "failed" in ice or "failed" in dtls:
        return "failed"
    if "disconnected" in ice:
        return "disconnected"
    if set(ice) <= {"new", "closed"} and set(dtls) <= {"new", "closed"}:
        return "new"
    if set(ice) <= {"connected", "completed", "closed"} and set(dtls) <= {"connected", "closed"}:
        return "connected"
    return "connecting"


@pytest.mark.parametrize(("ice", "dtls"), list(product(ICE_PATHS, DTLS_PATHS)))
def test_the_aggregate_is_what_the_w3c_says(ice: str, dtls: str) -> None:
    ice_events = [f"ice.{step}" for step in ICE_PATHS[ice]]
    dtls_events = [f"dtls.{step}" for step in DTLS_PATHS[dtls]]
    for events in ([*ice_events, *dtls_events], [*dtls_events, *ice_events]):
        driven = Driven.of("webrtc_peer", *events)
        assert region(driven, AGGREGATES) == connection_state([ice], [dtls])


def test_every_aggregate_occurs_in_the_table() -> None:
    assert {connection_state([ice], [dtls]) for ice, dtls in product(ICE_PATHS, DTLS_PATHS)} == set(AGGREGATES)


@pytest.mark.parametrize("ice", ICE_PATHS)
def test_closing_ends_everything_whatever_it_was(ice: str) -> None:
    driven = Driven.of("webrtc_peer", *(f"ice.{step}" for step in ICE_PATHS[ice]), "peer.closed")
    assert driven.configuration == ("closed",)
    assert driven.published[-1] == "peer.ended"

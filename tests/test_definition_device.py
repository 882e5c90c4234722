"""The device against the four states of LwM2M's firmware update, and its update across every silence."""

from __future__ import annotations

import pytest

from tests.protocol_helpers import Driven, reaction

UPDATING = ("device.provisioned", "firmware.update_offered")
PATHS: dict[str, tuple[str, ...]] = {
    "idle": ("device.provisioned",),
    "downloading": UPDATING,
    "pausing": (*UPDATING, "firmware.download_failed"),
    "downloaded": (*UPDATING, "firmware.downloaded"),
    "installing": (*UPDATING, "firmware.downloaded", "firmware.verified"),
}
ARCS = {
    ("idle", "firmware.update_offered"): ("downloading", []),
    ("downloading", "firmware.downloaded"): ("downloaded", ["verify_firmware"]),
    ("downloading", "firmware.download_failed"): ("pausing", []),
    ("downloaded", "firmware.verified"): ("installing", ["install_firmware"]),
    ("downloaded", "firmware.corrupted"): ("idle", []),
    ("installing", "firmware.installed"): ("idle", []),
    ("installing", "firmware.install_failed"): ("idle", []),
    ("installing", "firmware.update_cancelled"): ("installing", ["refuse_cancel"]),
    **{(state, "firmware.update_cancelled"): ("idle", []) for state in ("downloading", "pausing", "downloaded")},
}
EVENTS = sorted({event for _, event in ARCS})


@pytest.mark.parametrize(("state", "event"), [(state, event) for state in PATHS for event in EVENTS])
def test_the_update_goes_where_the_table_says_and_nowhere_else(state: str, event: str) -> None:
    assert reaction("device", PATHS[state], event) == ARCS.get((state, event), (state, []))


@pytest.mark.parametrize("state", PATHS)
def test_an_update_goes_on_where_it_was_after_a_silence(state: str) -> None:
    driven = Driven.of("device", *PATHS[state][:1]).wait(89.9).hear(*PATHS[state][1:])
    before = driven.configuration
    assert driven.state == state
    assert driven.wait(0.1).state == "stale"
    assert driven.wait(3600).hear("device.heartbeat_received").configuration == before
    assert driven.calls.count("install_firmware") == (state == "installing")


def test_a_heartbeat_keeps_it_online_and_disturbs_nothing() -> None:
    driven = Driven.of("device", *PATHS["downloaded"])
    for _ in range(5):
        driven.wait(10).hear("device.heartbeat_received")
    assert driven.state == "downloaded"
    assert driven.calls.count("verify_firmware") == 1
    assert driven.published == ["device.came_online"]


def test_a_download_is_tried_five_times_at_growing_intervals() -> None:
    driven = Driven.of("device", *UPDATING)
    begun = [round(entry.at, 3) for entry in driven.seen if entry.kind == "invoke"]
    for pause in (5, 15, 45, 120):
        driven.hear("firmware.download_failed", "device.heartbeat_received")
        for _ in range(pause):
            driven.wait(1).hear("device.heartbeat_received")
    begun = [round(entry.at, 3) for entry in driven.seen if entry.kind == "invoke"]
    assert begun == [0, 5, 20, 65, 185]
    assert driven.hear("firmware.download_failed").state == "idle"
    assert driven.published[-1] == "firmware.update_failed"


def test_an_offer_during_an_update_does_not_change_what_is_told_at_its_end() -> None:
    driven = Driven.of("device", "device.provisioned")
    driven.hear("firmware.update_offered", version="2.0").hear("firmware.update_offered", version="3.0")
    driven.hear("firmware.downloaded", "firmware.verified", "firmware.installed")
    (told,) = [entry for entry in driven.seen if entry.details.get("type") == "firmware.update_completed"]
    assert told.details["data"] == {"version": "2.0"}

"""Validation: a wrong event is refused at its publisher, and nobody has received it."""

from __future__ import annotations

from typing import Any

import pytest

from bus import Event, EventBus, EventType, InvalidEvent, WebRTCEventData, WhatsAppEventData
from bus.middleware import Validation
from tests.bus_helpers import Recorder

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("event", "field", "message"),
    [
        (Event("Ready"), "type", "invalid event Ready: type: a name is two or more tokens"),
        (Event("a.*"), "type", "invalid event a.*: type: a name is two or more tokens"),
        (Event("a.b", ""), "connection_id", "invalid event a.b: connection_id: is empty; None is for events"),
        (Event(EventType.SDP_OFFER_RECEIVED), "sdp", "webrtc.sdp_offer_received: sdp: is missing from the payload"),
        (Event(EventType.SDP_ANSWER_GENERATED, data={"sdp": ""}), "sdp", "is missing from the payload"),
        (Event(EventType.AUDIO_TRACK_READY, data=WebRTCEventData(ssrc=1)), "track_type", "is missing"),
        (Event(EventType.WHATSAPP_CALL_STARTED, data=WhatsAppEventData()), "call_id", "is missing"),
        (Event(EventType.WHATSAPP_CALL_ACCEPTED), "call_id", "is missing"),
        (Event(EventType.WHATSAPP_CALL_TERMINATED), "call_id", "is missing"),
    ],
)
async def test_a_wrong_event_is_refused_with_its_field_and_nobody_receives_it(
    event: Event, field: str, message: str
) -> None:
    heard = Recorder()
    async with EventBus(middleware=[Validation()]) as bus:
        bus.subscribe("*", heard)
        bus.subscribe("*", heard, inline=True)
        with pytest.raises(InvalidEvent) as raised:
            await bus.publish_event(event)
        assert bus.stats().total_events == 0
    assert message in str(raised.value)
    assert (raised.value.event_type, raised.value.field) == (event.type, field)
    assert heard.events == []


@pytest.mark.parametrize(
    "event",
    [
        Event("a.b"),
        Event(EventType.SDP_OFFER_RECEIVED, "c", {"sdp": "v=0"}),
        Event(EventType.AUDIO_TRACK_READY, "c", WebRTCEventData(track_type="audio")),
        Event(EventType.WHATSAPP_CALL_ACCEPTED, "c", {"call_id": "1"}),
        Event(EventType.WHATSAPP_CALL_ACCEPTED, call_id="1"),
    ],
)
async def test_a_good_event_passes(event: Event) -> None:
    heard = Recorder()
    async with EventBus(middleware=[Validation()]) as bus:
        bus.subscribe("*", heard)
        await bus.publish_event(event)
    assert heard.events == [event]


async def test_ones_own_required_fields_are_asked_for() -> None:
    required: dict[str, Any] = {"device.seen": ("serial", "model")}
    async with EventBus(middleware=[Validation(required=required)]) as bus:
        with pytest.raises(InvalidEvent, match=r"device\.seen: model"):
            await bus.publish("device.seen", {"serial": 0})
        await bus.publish("device.seen", {"serial": 0, "model": "x"})
        await bus.publish(EventType.SDP_OFFER_RECEIVED)


async def test_without_validation_nothing_is_asked_for() -> None:
    async with EventBus() as bus:
        await bus.publish(EventType.SDP_OFFER_RECEIVED)
        assert bus.stats().total_events == 1

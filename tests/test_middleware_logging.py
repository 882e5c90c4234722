"""Logging: one record a delivery, without what the event carries unless asked."""

from __future__ import annotations

import logging

import pytest

from bus import EventBus, WhatsAppEventData
from bus.middleware import Logging, Recovery
from tests.bus_helpers import Fails, Recorder

pytestmark = pytest.mark.anyio
CALL = WhatsAppEventData(call_id="call_1", phone_number="+4930123456", contact_name="Ada")


async def test_each_delivery_is_one_record_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "phasebus.events")
    async with EventBus(middleware=[Recovery(), Logging()]) as bus:
        bus.subscribe("a.b", Recorder())
        bus.subscribe("a.b", Fails())
        await bus.publish("a.b", connection_id="c", id="1")
    records = [record for record in caplog.records if record.name == "phasebus.events"]
    assert sorted((record.__dict__["handler"], record.__dict__["outcome"]) for record in records) == [
        ("Fails", "failed"),
        ("Recorder", "handled"),
    ]
    (handled,) = (record for record in records if record.__dict__["outcome"] == "handled")
    assert handled.__dict__["event_id"] == "1"
    assert handled.getMessage().startswith("a.b of c handled by Recorder in ")


async def test_no_payload_and_no_phone_number_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with EventBus(middleware=[Recovery(), Logging()]) as bus:
        bus.subscribe("a.b", Recorder())
        bus.subscribe("a.b", Fails())
        bus.subscribe("a.b", Recorder(), queue_size=1, overflow="drop_oldest")
        for _ in range(3):
            await bus.publish("a.b", CALL)
    written = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "+4930123456" not in written
    assert "Ada" not in written


async def test_payloads_are_written_when_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "phasebus.events")
    async with EventBus(middleware=[Logging(payloads=True)]) as bus:
        bus.subscribe("a.b", Recorder())
        await bus.publish("a.b", CALL)
    assert "+4930123456" in caplog.text


async def test_ones_own_logger_and_level_are_used(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mine")
    async with EventBus(middleware=[Logging(logging.getLogger("mine"), logging.DEBUG)]) as bus:
        bus.subscribe("a.b", Recorder())
        await bus.publish("a.b")
        await bus.drain()
        logging.getLogger("mine").setLevel(logging.INFO)
        await bus.publish("a.b")
    assert [(record.name, record.levelno) for record in caplog.records] == [("mine", logging.DEBUG)]

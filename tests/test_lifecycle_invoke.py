"""A state may invoke a coroutine: it runs while the state is active, and is cancelled when that is left."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from bus import Event
from statemachines import UnknownHook
from tests.bus_helpers import Recorder, settle
from tests.lifecycle_helpers import running

pytestmark = pytest.mark.anyio

MODEL = """
name: model
states:
  closed: {initial: true, transitions: [{event: call.started, target: opening}]}
  opening:
    enter: [{publish: model.asked}]
    invoke: {call: open_session, done: model.opened, failed: model.broke}
    transitions:
      - {event: model.opened, target: open}
      - {event: model.broke, target: closed}
      - {event: call.ended, target: over}
      - {event: call.restarted, target: opening}
  open: {transitions: [{event: call.ended, target: over}]}
  over: {final: true, enter: [{publish: model.left}]}
"""


class Session:
    """Waits until it is told to go on; notes what becomes of it."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.go = anyio.Event()
        self.begun: list[Event] = []
        self.log: list[str] = []

    async def __call__(self, event: Event) -> Any:
        self.begun.append(event)
        try:
            await self.go.wait()
        except BaseException:
            self.log.append("cancelled")
            raise
        self.log.append("returned")
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


async def test_what_it_returns_is_published_as_done() -> None:
    session, heard = Session({"session_id": "s1"}), Recorder()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        world.bus.subscribe("model.opened", heard)
        await world.lifecycle.register_connection("c", call_id="wamid", tenant_id="t")
        cause = await world.publish("call.started")
        await settle()
        assert [event.id for event in session.begun] == [cause.id]
        assert world.phase() == "opening"
        session.go.set()
        await settle()
        assert world.phase() == "open"
    (done,) = heard.events
    assert (done.data, done.connection_id, done.call_id, done.tenant_id) == ({"session_id": "s1"}, "c", "wamid", "t")
    assert done.causation_id == cause.id


@pytest.mark.parametrize(("result", "data"), [(None, {}), (7, {"result": 7})])
async def test_what_is_no_mapping_is_the_result(result: Any, data: dict[str, Any]) -> None:
    session, heard = Session(result), Recorder()
    session.go.set()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        world.bus.subscribe("model.opened", heard)
        await world.lifecycle.register_connection("c")
        await world.publish("call.started")
        await settle()
    assert [event.data for event in heard.events] == [data]


async def test_an_error_is_published_as_failed_and_as_handler_failed() -> None:
    session, heard, failures = Session(ConnectionError("no route")), Recorder(), Recorder()
    session.go.set()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        world.bus.subscribe("model.broke", heard)
        world.bus.subscribe("handler.failed", failures)
        await world.lifecycle.register_connection("c")
        await world.publish("call.started")
        await settle()
        assert world.phase() == "closed"
    (broke,) = heard.events
    assert (broke.field("error"), broke.is_error) == ("ConnectionError: no route", True)
    assert [event.field("handler") for event in failures.events] == ["invoke open_session"]


async def test_leaving_the_state_cancels_it_and_nothing_is_published() -> None:
    session, heard = Session(), Recorder()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        world.bus.subscribe("model.*", heard)
        await world.lifecycle.register_connection("c")
        await world.publish("call.started")
        await settle()
        await world.publish("call.ended")
        session.go.set()  # too late
        await settle()
        assert (session.log, world.phase()) == (["cancelled"], "over")
    assert heard.types == ["model.asked", "model.left"]


async def test_one_that_had_returned_when_its_state_was_left_publishes_nothing() -> None:
    session, heard = Session(), Recorder()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        world.bus.subscribe("model.opened", heard)
        await world.lifecycle.register_connection("c")
        await world.publish("call.started")
        await settle()
        session.go.set()
        await world.publish("call.ended")  # in the moment between its return and its next turn
        await settle()
        assert world.phase() == "over"
    assert heard.types == []


async def test_entering_the_state_again_cancels_the_first_and_starts_another() -> None:
    session = Session()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        await world.lifecycle.register_connection("c")
        await world.publish("call.started")
        await settle()
        again = await world.publish("call.restarted")
        await settle()
        assert [event.type for event in session.begun] == ["call.started", "call.restarted"]
        assert session.log == ["cancelled"]
        session.go.set()
        await settle()
        assert session.log == ["cancelled", "returned"]
        assert session.begun[-1].id == again.id
        assert world.phase() == "open"


async def test_one_that_is_left_before_it_has_begun_never_begins() -> None:
    session = Session()

    async def leave(event: Event) -> None:
        await world.publish("call.ended")

    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        world.bus.subscribe("model.asked", leave, inline=True)
        await world.lifecycle.register_connection("c")
        await world.publish("call.started")
        await settle()
        assert (world.phase(), session.begun) == ("over", [])
        assert len(world.lifecycle._engine.invocations) == 0


async def test_terminating_and_closing_cancel_what_runs() -> None:
    first, second = Session(), Session()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", lambda event: (first if event.connection_id == "a" else second)(event))
        for name in ("a", "b"):
            await world.lifecycle.register_connection(name)
            await world.publish("call.started", name)
        await settle()
        await world.lifecycle.terminate_connection("a")
        await settle()
        assert (first.log, second.log) == (["cancelled"], [])
        await world.lifecycle.aclose()
        await settle()
        assert second.log == ["cancelled"]


async def test_without_a_hook_it_says_so_once_and_somebody_outside_may_do_it(caplog: pytest.LogCaptureFixture) -> None:
    async with running(MODEL) as world:
        for name in ("a", "b"):
            await world.lifecycle.register_connection(name)
            await world.publish("call.started", name)
        await settle()
        assert world.phase("a") == "opening"
        await world.publish("model.opened", "a")
        assert world.phase("a") == "open"
        with pytest.raises(UnknownHook, match="did you mean 'open_session'"):
            world.lifecycle.hook("open_sesion", lambda event: None)
    told = [record.getMessage() for record in caplog.records if record.name == "phasebus.lifecycle"]
    assert told == ["model invokes 'open_session', but none is registered: lifecycle.hook('open_session')"]


async def test_draining_does_not_wait_for_it() -> None:
    session = Session()
    async with running(MODEL) as world:
        world.lifecycle.hook("open_session", session)
        await world.lifecycle.register_connection("c")
        await world.publish("call.started")
        await settle()
        with anyio.fail_after(1):
            await world.bus.drain()
        assert session.log == []

"""Two lifecycles that feed each other for ever: cut at a depth, the loop told, the connections where they belong."""

from __future__ import annotations

import pytest

from bus import CausalityLoop, Event, EventBus
from bus.causality import MAX_CAUSATION_DEPTH, loop_of
from tests.lifecycle_helpers import lifecycle_on

SIDE = """
name: {name}
states:
  left:
    initial: true
    transitions:
      - {{event: {hears}, target: right, on: [{{publish: {says}}}]}}
      - {{event: {name}.stopped, target: over}}
  right:
    transitions:
      - {{event: {hears}, target: left, on: [{{publish: {says}}}]}}
      - {{event: {name}.stopped, target: over}}
  over: {{final: true}}
"""
ASKING = SIDE.format(name="asking", hears="b.answered", says="a.asked")
ANSWERING = SIDE.format(name="answering", hears="a.asked", says="b.answered")


@pytest.mark.anyio
async def test_two_lifecycles_that_feed_each_other_are_cut_and_the_loop_is_told() -> None:
    async with EventBus() as bus, lifecycle_on(bus, ASKING) as asking, lifecycle_on(bus, ANSWERING) as answering:
        failures: list[Event] = []
        bus.subscribe("handler.failed", failures.append, inline=True)
        await asking.register_connection("c")
        await answering.register_connection("c")
        await bus.publish("b.answered", connection_id="c")
        await bus.drain()

        failed, *others = failures  # of one step: what it would have published, and its change of phase
        assert len(others) <= 1
        assert isinstance(failed.error, CausalityLoop)
        loops = ("(a.asked → b.answered → a.asked)", "(b.answered → a.asked → b.answered)")
        assert any(loop in str(failed.error) for loop in loops), str(failed.error)
        assert failed.data.handler in ("lifecycle asking", "lifecycle answering")

        # One step each for every event that was published, and none for the one that was not.
        told = bus.stats().events_by_type
        for lifecycle, heard in ((asking, told["b.answered"]), (answering, told["a.asked"])):
            assert lifecycle.stats().processed - lifecycle.stats().ignored == heard
        assert told["a.asked"] + told["b.answered"] == MAX_CAUSATION_DEPTH + 1
        for lifecycle, heard in ((asking, told["b.answered"]), (answering, told["a.asked"])):
            assert lifecycle.get_connection_state("c").phase == ("right" if heard % 2 else "left")

        # Both live on: the next event is the first of its own chain.
        await bus.publish("asking.stopped", connection_id="c")
        await bus.publish("answering.stopped", connection_id="c")
        assert asking.get_connection_state("c").phase == answering.get_connection_state("c").phase == "over"


def test_the_loop_is_what_repeats_at_the_end_of_the_chain() -> None:
    assert loop_of(["x.begun", "a.b", "c.d", "a.b", "c.d"]) == "c.d → a.b → c.d"
    assert loop_of(["a.b", "a.b"]) == "a.b → a.b"
    assert loop_of(["a.b", "c.d", "e.f"]) == "a.b → c.d → e.f"

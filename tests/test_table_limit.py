"""The step table never grows without bound, and what was given up is worked out again the same."""

from __future__ import annotations

from random import Random

import pytest

from bus import Event
from statemachines import Definition, parse_definition
from statemachines.table import table as table_module
from statemachines.table.record import Identity, Record
from statemachines.table.step import CREATED, Steps
from statemachines.table.table import Branch, Situation
from tests.lifecycle_helpers import running

REGIONS, STATES, GUARDS = 4, 5, 8

LIMIT = 50


def hostile() -> Definition:
    """Regions whose states combine, an event with many guards in one of them, and a guard with many ``In`` tests."""
    lines = ["name: hostile", "dependencies: {all_there: it.never}", "states:", "  all:", "    initial: true"]
    lines += ["    parallel: true", "    states:"]
    for region in range(REGIONS):
        lines += [f"      r{region}:", "        states:"]
        for state in range(STATES):
            following = f"r{region}_s{(state + 1) % STATES}"
            lines += [f"          r{region}_s{state}:", *(["            initial: true"] if state == 0 else [])]
            lines += ["            transitions:", f"              - {{event: it.went_{region}, target: {following}}}"]
            if state == 0:
                lines += [
                    f"              - {{event: it.asked, cond: data.g{guard} == 1, target: {following}}}"
                    for guard in range(GUARDS)
                ]
            if state == 1:
                inside = " and ".join(f"not In('r{other}_s2')" for other in range(REGIONS))
                lines += [f'              - {{event: it.looked, cond: "{inside}", target: {following}}}']
    return parse_definition("\n".join(lines))


def start(steps: Steps) -> Record:
    identity = Identity("c", None, None, None, {}, 0.0)
    return steps.register(identity, 0, Event(CREATED, "c"), at=0, now=0).after


def stream(number: int, seed: int) -> list[Event]:
    random = Random(seed)
    events = []
    for _ in range(number):
        kind = random.randrange(REGIONS + 2)
        if kind == REGIONS:
            data = {f"g{guard}": random.randrange(2) for guard in range(GUARDS)}
            events.append(Event("it.asked", "c", data))
        else:
            events.append(Event("it.looked" if kind > REGIONS else f"it.went_{kind}", "c"))
    return events


def test_a_hostile_stream_keeps_the_table_bounded_and_changes_no_step() -> None:
    roomy, narrow = Steps(hostile()), Steps(hostile())
    narrow.table.max_cases = LIMIT
    here, there = start(roomy), start(narrow)
    for event in stream(3_000, seed=1):
        here = roomy.event(here, event, at=0, now=0).after
        there = narrow.event(there, event, at=0, now=0).after
        assert there.situation.configuration == here.situation.configuration
        assert len(narrow.table) <= LIMIT
        assert len(narrow.table._situations) <= LIMIT
        assert len(narrow.table._filled) <= LIMIT
    assert len(roomy.table) > 4 * LIMIT
    assert narrow.table.evicted == narrow.table.misses - len(narrow.table) > 4 * LIMIT


def test_what_the_table_says_that_it_holds_is_what_is_there() -> None:
    steps = Steps(hostile())
    steps.table.max_cases = LIMIT
    record = start(steps)
    for event in stream(500, seed=2):
        record = steps.event(record, event, at=0, now=0).after

    def paths(node: object) -> int:
        if node is None:
            return 0
        return paths(node.if_true) + paths(node.if_false) if isinstance(node, Branch) else 1

    held = {(situation, event_class) for situation, event_class in steps.table._filled}
    assert len(held) == len(steps.table._filled)
    assert sum(paths(situation.cases[event_class]) for situation, event_class in held) == len(steps.table)


def test_one_event_with_ever_new_guard_outcomes_does_not_outgrow_the_table() -> None:
    steps = Steps(hostile())
    steps.table.max_cases = 5
    record = start(steps)
    for number in range(2**GUARDS):
        data = {f"g{guard}": number >> guard & 1 for guard in range(GUARDS)}
        steps.event(record, Event("it.asked", "c", data), at=0, now=0)
        assert len(steps.table) <= 5


def test_compiled_guards_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "MAX_GUARDS", 4)
    steps = Steps(hostile())
    record = start(steps)
    for event in stream(1_000, seed=3):
        record = steps.event(record, event, at=0, now=0).after
        assert len(steps.table._guards) <= 4 + GUARDS + REGIONS  # one step may ask so many
    assert steps.table.evicted


def test_a_connection_may_stay_in_a_situation_that_the_table_gave_up() -> None:
    steps = Steps(hostile())
    steps.table.max_cases = 3
    record = start(steps)
    kept: Situation = record.situation
    other = record
    for event in stream(200, seed=4):
        other = steps.event(other, event, at=0, now=0).after
    assert kept not in steps.table._situations.values()
    step = steps.event(record, Event("it.nothing", "c"), at=0, now=0)
    assert step.ignored
    moved = steps.event(record, Event("it.went_0", "c"), at=0, now=0)
    assert moved.changed_configuration
    assert "r0_s1" in moved.after.situation.configuration


@pytest.mark.anyio
async def test_statistics_tell_what_the_table_holds_and_gave_up() -> None:
    async with running(hostile()) as world:
        world.lifecycle._connections.steps.table.max_cases = LIMIT
        await world.lifecycle.register_connection("c")
        for event in stream(300, seed=5):
            await world.bus.publish_event(event)
        stats = world.lifecycle.stats()
        assert stats.hits + stats.misses == 301
        assert 0 < stats.cases <= LIMIT
        assert stats.evicted == stats.misses - stats.cases > 0

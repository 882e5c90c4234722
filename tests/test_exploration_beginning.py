"""Several definitions on one bus whose connections begin by events: what comes early, what is retained, what is new."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bus import EventBus
from statemachines import ConnectionLifecycle, StepNeverSettles, UnknownConnection, VirtualClock, parse_definition
from statemachines.exploration import Exploration, Judgement, explore_together
from statemachines.exploration.exploring import all_cases
from statemachines.exploration.result import Way
from statemachines.exploration.search import Bounds, Graph, search
from statemachines.exploration.stories import tell
from statemachines.exploration.waiting import Waiting, Word
from statemachines.exploration.worlds import Worlds
from statemachines.language.definition import Definition
from statemachines.language.durations import parse_duration
from statemachines.language.traffic import Item, Traffic, read_traffic
from statemachines.table.step import Steps
from tests.several_reference import EVENTS, Endless, Input, OnOneBus, Place, driven, pairs, place_of, wanted_of

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"

CALL = """
name: call
states:
  ringing: {initial: true, transitions: [{event: call.answered, target: talking, on: [{publish: billing.started}]}]}
  talking: {transitions: [{event: call.ended, target: over}]}
  over: {final: true}
"""
BILLING = """
name: billing
starts_on: billing.started
early: 5s
retain: 10s
dependencies: {card: card.accepted}
states:
  free:
    initial: true
    enter: [{publish: bill.opened}]
    transitions: [{cond: card, target: paid}, {event: billing.stopped, target: closed}]
  paid: {transitions: [{event: billing.stopped, target: closed}]}
  closed: {final: true}
properties:
  is_billed: {sometimes: "In('paid')"}
  is_somewhere: {always: "In('free') or In('paid') or In('closed')"}
"""


def explored(*texts: str, sources: str | None = None) -> Exploration:
    definitions = [parse_definition(text) for text in texts]
    traffic = None if sources is None else read_traffic(f"sources: {sources}", "<traffic>", definitions[0])
    found = explore_together(definitions, Bounds(100_000, None), traffic=traffic)
    assert found.untried == 0
    assert found.complete or SCATTERED in str(found.why_cut)
    return found


SCATTERED = "early events of more than 2 different times"
"""What exploring tells that it met and did not try."""


def judged(found: Exploration, name: str) -> Judgement:
    return next(one for one in found.properties if one.name == name)


def with_property(text: str, name: str, wanted: str) -> str:
    head = text if "properties:" in text else f"{text}properties:\n"
    return f"{head}  {name}: {wanted}\n"


# -- beginning --


def test_what_an_event_starts_is_not_there_before_and_nothing_is_asked_of_it() -> None:
    found = explored(CALL, BILLING, sources="{phone: [call.ended]}")
    assert "billing.free" in found.unreachable_states
    assert judged(found, "billing.is_somewhere").holds is True
    assert judged(found, "billing.is_billed").holds is False


def test_what_another_publishes_starts_it() -> None:
    found = explored(CALL, BILLING, sources="{phone: [call.answered], bank: [card.accepted]}")
    witness = judged(found, "billing.is_billed").witness
    assert witness is not None
    assert witness.steps == ("call.answered", "card.accepted")
    assert witness.phases == ("talking + free", "talking + paid")


def test_what_starts_it_is_tried_from_outside_too() -> None:
    witness = judged(explored(CALL, BILLING), "billing.is_billed").witness
    assert witness is not None
    assert set(witness.steps) == {"billing.started", "card.accepted"}


def test_it_goes_by_the_condition_under_which_an_event_starts_it() -> None:
    guarded = BILLING.replace("starts_on: billing.started", "starts_on: {event: billing.started, when: data.plan > 1}")
    witness = judged(explored(CALL, guarded), "billing.is_billed").witness
    assert witness is not None
    started = next(step for step in witness.steps if isinstance(step, dict))
    assert started["data"]["plan"] > 1


REGISTERED = """
name: registered
dependencies: {line: line.opened}
states:
  on: {initial: true, enter: [{publish: it.begun}], transitions: [{cond: all_ready, target: off}]}
  off: {final: true}
"""
FOLLOWING = """
name: following
starts_on: connection.created
dependencies: {line: line.opened, other: other.came}
states:
  waiting: {initial: true, transitions: [{cond: all_ready, target: done}]}
  done: {final: true}
properties:
  is_done: {sometimes: "In('done')"}
"""


def test_the_registration_of_another_starts_it_with_the_dependencies_that_it_tells_of() -> None:
    witness = judged(explored(REGISTERED, FOLLOWING), "following.is_done").witness
    assert witness is not None
    assert witness.steps == ("line.opened",)  # and no other.came, which it would require by itself


def test_one_that_is_told_of_dependencies_it_does_not_know_never_begins() -> None:
    found = explored(REGISTERED, FOLLOWING.replace("line: line.opened, ", ""), sources="{phone: [line.opened]}")
    assert "following.waiting" in found.unreachable_states


def test_nobody_hears_of_its_own_registration() -> None:
    hearing = "{event: connection.created, target: off}, {cond"
    alone = explored(REGISTERED.replace("{cond", hearing), BILLING, sources="{bank: [card.accepted]}")
    assert "registered.off" in alone.unreachable_states
    beside = explored(REGISTERED.replace("{cond", hearing), CALL, sources="{bank: [card.accepted]}")
    assert "registered.off" not in beside.unreachable_states


def test_what_two_publish_at_the_start_both_comes_back() -> None:
    other = REGISTERED.replace("registered", "second").replace("it.begun", "second.begun")
    hearing = """
name: hearing
states:
  none: {initial: true, transitions: [{event: it.begun, target: one}]}
  one: {transitions: [{event: second.begun, target: both}]}
  both: {final: true}
properties: {hears_both: {sometimes: "In('both')"}}
"""
    found = explored(REGISTERED, other, hearing, sources="{phone: [it.unheard]}")
    assert judged(found, "hearing.hears_both").holds is True


# -- early --

ALWAYS_BILLED = "{always: \"not (In('free') and card)\"}"


def test_what_comes_early_is_processed_after_the_beginning() -> None:
    found = explored(CALL, BILLING, sources="{all: [card.accepted, call.answered]}")
    witness = judged(found, "billing.is_billed").witness
    assert witness is not None
    assert witness.steps == ("card.accepted", "call.answered")
    assert witness.phases == ("ringing + -", "talking + paid")


def test_with_no_early_it_is_lost() -> None:
    found = explored(CALL, BILLING.replace("early: 5s", "early: 0s"), sources="{all: [card.accepted, call.answered]}")
    assert judged(found, "billing.is_billed").holds is False


def test_what_waited_long_enough_comes_no_more() -> None:
    billing = with_property(BILLING, "pays", "{leads_to: [\"In('free')\", \"In('paid')\"]}")
    found = explored(CALL, billing, sources="{all: [card.accepted, call.answered]}")
    missed = judged(found, "billing.pays")
    assert missed.counterexample is not None
    assert missed.counterexample.steps == ("card.accepted", {"wait": "5s"}, "call.answered")
    assert missed.counterexample.end == "nothing more has to happen"


def test_what_came_early_is_processed_in_its_order() -> None:
    ordered = """
name: ordered
starts_on: it.started
states:
  on: {initial: true, transitions: [{event: it.came, target: came}, {event: it.went, target: went}]}
  came: {transitions: [{event: it.went, target: both}]}
  went: {final: true}
  both: {final: true}
"""
    found = explored(ordered, CALL, sources="{all: [it.came, it.went, it.started]}")
    assert "ordered.both" not in found.unreachable_states
    swapped = explored(ordered, CALL, sources="{all: [it.went, it.came, it.started]}")
    assert "ordered.both" in swapped.unreachable_states
    assert "ordered.went" not in swapped.unreachable_states


LISTENING = """
name: listening
states:
  calm: {initial: true, transitions: [{event: connection.unknown, target: alarmed}]}
  alarmed: {final: true}
properties: {nothing_is_lost: {never: "In('alarmed')"}}
"""


def test_that_nobody_came_for_an_early_event_is_told() -> None:
    found = explored(BILLING, LISTENING, sources="{bank: [card.accepted]}")
    lost = judged(found, "listening.nothing_is_lost").counterexample
    assert lost is not None
    assert lost.steps == ("card.accepted", {"wait": "5s"})


@pytest.mark.parametrize(("times", "lost"), [(64, False), (65, True)])
def test_of_too_many_early_events_the_oldest_goes(times: int, lost: bool) -> None:
    definitions = [parse_definition(BILLING), parse_definition(LISTENING)]
    traffic = Traffic({"bank": (Item("card.accepted"),) * times})
    world = Worlds(definitions, traffic).make(None)
    case = world.start()
    for _ in range(times):  # all at the same time
        found: list[int] = []
        world.expand(case, found)
        case = found[1]
    while (then := world.forced(case)) is not None:
        case = then
    assert world.members[1].ended(case) is lost


# -- the end, and after --

COUNTING = """
name: counting
states:
  none: {initial: true, transitions: [{event: bill.opened, target: one}]}
  one: {transitions: [{event: bill.opened, target: two}]}
  two: {final: true}
properties: {one_bill: {never: "In('two')"}}
"""


def test_while_it_is_retained_nothing_starts_another_and_afterwards_it_does() -> None:
    found = explored(BILLING, COUNTING, sources="{all: [billing.started, billing.stopped, billing.started]}")
    second = judged(found, "counting.one_bill").counterexample
    assert second is not None
    assert second.steps == ("billing.started", "billing.stopped", {"wait": "10s"}, "billing.started")


def test_one_that_is_not_retained_is_forgotten_at_once() -> None:
    found = explored(
        BILLING.replace("retain: 10s", "retain: 0s"),
        COUNTING,
        sources="{all: [billing.started, billing.stopped, billing.started]}",
    )
    second = judged(found, "counting.one_bill").counterexample
    assert second is not None
    assert second.steps == ("billing.started", "billing.stopped", "billing.started")


def test_one_that_is_not_retained_is_gone_before_what_it_published_last_is_heard() -> None:
    again = BILLING.replace("retain: 10s", "retain: 0s").replace(
        "closed: {final: true}", "closed: {final: true, enter: [{publish: billing.started}]}"
    )
    found = explored(again, COUNTING, sources="{all: [billing.started, billing.stopped]}")
    assert judged(found, "counting.one_bill").holds is False


def test_the_next_connection_keeps_no_promise_of_the_one_before() -> None:
    billing = with_property(BILLING, "can_be_paid", "{always_reachable: paid}")
    billing = with_property(billing, "is_paid", "{leads_to: [\"In('free')\", \"In('paid')\"]}")
    found = explored(CALL, billing)
    stopped = judged(found, "billing.can_be_paid").counterexample
    assert stopped is not None
    assert stopped.steps == ("billing.started", "billing.stopped")
    assert judged(found, "billing.is_paid").holds is False


def test_what_is_retained_or_waits_early_keeps_nobody_else_waiting() -> None:
    call = with_property(CALL, "ends", "{leads_to: [\"In('talking')\", \"In('over')\"]}")
    found = explored(call, BILLING, sources="{all: [call.answered, billing.stopped]}")
    way = judged(found, "call.ends").counterexample
    assert way is not None
    assert way.steps == ("call.answered", "billing.stopped")  # and not the 10 s of the billing, which has ended


# -- which early events are needless --


def test_an_early_event_that_changes_no_outcome_is_left_out() -> None:
    waiting = Waiting(lambda word, _: frozenset(word), [9])  # facts that only become true
    assert waiting.needed((1, 2, 1), (2, 1, 0)) == (1, 2)


def test_an_early_event_that_matters_once_an_older_one_is_gone_stays() -> None:
    waiting = Waiting(lambda word, _: word[:1], [9])  # the first decides
    assert waiting.needed((1, 2), (1, 0)) == (0, 1)


def test_of_what_came_at_the_same_time_nothing_is_gone_before_the_rest() -> None:
    waiting = Waiting(lambda word, _: word[:1], [9])
    assert waiting.needed((1, 2), (0, 0)) == (0,)


def test_a_new_beginning_for_which_it_is_not_needless_is_noticed() -> None:
    def outcome(word: Word, beginning: int) -> int:
        return len(word) if beginning == 8 else 0

    waiting = Waiting(outcome, [9])
    assert waiting.needed((1,), (0,)) == ()
    waiting.begins(9)
    assert not waiting.grown
    waiting.begins(8)
    assert waiting.grown


# -- against real connections --


def examples(usual: int, soak: int) -> settings:
    return settings(max_examples=soak if SOAK else usual, deadline=None, suppress_health_check=list(HealthCheck))


def settled(graph: Graph) -> list[int]:
    return [case for case in graph if graph.world.forced(case) is None]


def configurations(places: set[Place]) -> set[Place]:
    return {tuple(one and one[0] for one in place) for place in places}


@examples(12, 600)
@given(
    pairs(), st.lists(st.lists(st.sampled_from([*EVENTS, "connection.created"]), max_size=3), min_size=2, max_size=2)
)
def test_what_some_sources_bring_leads_where_real_connections_are_driven(
    definitions: list[Definition], sources: list[list[str]]
) -> None:
    traffic = Traffic({f"source_{n}": tuple(map(Item, items)) for n, items in enumerate(sources)})
    try:
        plain = search(Worlds(definitions, traffic).make(None), Bounds(1_000, None))
        merged = all_cases(Worlds(definitions, traffic), Bounds(1_000, None))
    except StepNeverSettles:
        assume(False)
    assume(plain.complete and merged.complete)

    def sent(inputs: tuple[Input, ...]) -> frozenset[tuple[int, ...]]:
        """How far the sources may have come."""
        ways = {(0,) * len(sources)}
        for one in inputs:
            if isinstance(one, str):
                ways = {
                    (*way[:n], way[n] + 1, *way[n + 1 :])
                    for way in ways
                    for n, items in enumerate(sources)
                    if items[way[n] : way[n] + 1] == [one]
                }
        return frozenset(ways)

    def coming(inputs: tuple[Input, ...]) -> set[str]:
        return {items[way[n]] for way in sent(inputs) for n, items in enumerate(sources) if way[n] < len(items)}

    found = None
    try:
        found = driven(definitions, 1_000, coming, sent)
    except Endless:
        assume(False)
    assume(found is not None)
    assert found is not None
    theirs = {one.place(wanted_of(plain.world)) for one in found}
    assert {place_of(plain.world, case) for case in settled(plain)} == theirs
    assert configurations({place_of(merged.world, case) for case in settled(merged)}) == configurations(theirs)


@examples(6, 300)
@given(st.booleans().flatmap(lambda unknown: pairs(unknown=unknown)))
def test_any_events_lead_where_real_connections_are_driven_and_every_way_replays(definitions: list[Definition]) -> None:
    try:
        graph = all_cases(Worlds(definitions), Bounds(250, None))
    except StepNeverSettles:
        assume(False)
    world = graph.world
    steps = [Steps(definition) for definition in definitions]
    for case in settled(graph)[:: max(1, len(graph.cases) // 12)]:
        way = tell(world, graph, graph.path(graph.numbers[case]))
        real = OnOneBus(definitions, steps).play(inputs_of(way))
        assert configurations({real.place(wanted_of(world))}) == configurations({place_of(world, case)}), way
    assume(graph.complete)
    types = dict.fromkeys(symbol.type for symbol in world.moves._symbols)
    found = None
    try:
        found = driven(definitions, 250, lambda inputs: types, most_held=2)
    except Endless:
        assume(False)
    theirs = {one.place(wanted_of(world)) for one in found or ()}
    assert configurations(theirs) <= configurations({place_of(world, case) for case in settled(graph)})


def inputs_of(way: Way) -> list[Input]:
    """The steps of a way, as somebody has to play them who knows nothing of exploring."""
    return [
        one if isinstance(one, str) else one["publish"] if "publish" in one else parse_duration(one["wait"])
        for one in way.replay
    ]


# -- live --


@pytest.mark.anyio
@pytest.mark.parametrize(
    "texts",
    [(CALL, BILLING), (BILLING, COUNTING), (REGISTERED, FOLLOWING), (BILLING, LISTENING)],
    ids=lambda t: t[0][6:13],
)
async def test_every_way_replays_on_live_lifecycles(texts: tuple[str, ...]) -> None:
    definitions = [parse_definition(text) for text in texts]
    graph = all_cases(Worlds(definitions), Bounds(300, None))
    cases = settled(graph)
    for case in cases[:: max(1, len(cases) // 25)]:
        way = tell(graph.world, graph, graph.path(graph.numbers[case]))
        wanted = tuple(
            member.cases.situation(case).phase if member.is_there(case) else None for member in graph.world.members
        )
        live = await phases_after(definitions, inputs_of(way))
        for phase, expected, member in zip(live, wanted, graph.world.members, strict=True):
            stays = member.life is None and phase is None  # what no event starts is not told apart once it has ended
            assert phase == expected or (stays and member.ended(case)), way


async def phases_after(definitions: list[Definition], inputs: list[Input]) -> tuple[str | None, ...]:
    clock = VirtualClock()
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(EventBus())
        lifecycles = [
            await stack.enter_async_context(ConnectionLifecycle(bus, definition, clock=clock))
            for definition in definitions
        ]
        for lifecycle, definition in zip(lifecycles, definitions, strict=True):
            if not definition.starts_on:
                await lifecycle.register_connection("conn_1")
        for one in inputs:
            if isinstance(one, str):
                await bus.publish(one, {}, connection_id="conn_1")
                await bus.drain()
            else:
                await clock.advance(one)
        return tuple(map(phase_of, lifecycles))


def phase_of(lifecycle: ConnectionLifecycle) -> str | None:
    try:
        return lifecycle.get_connection_state("conn_1").phase
    except UnknownConnection:
        return None

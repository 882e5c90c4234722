"""Only what the sources of a traffic file send: in their orders, and lost, doubled or overtaken as often as it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachines import Definition, DefinitionError, load_definition, parse_definition
from statemachines.exploration import Exploration, Judgement, explore
from statemachines.exploration.exploring import all_cases
from statemachines.exploration.judging import Judge
from statemachines.exploration.search import Bounds, search
from statemachines.exploration.worlds import Worlds
from statemachines.explored_scenarios import counterexamples
from statemachines.language.traffic import Item, Traffic, read_traffic
from statemachines.simulation.scenario_file import read_scenario
from statemachines.simulation.simulator import Simulation, run_scenario

GATE = """
name: gate
dependencies: {media: media.connected, call: call.accepted}
states:
  waiting:
    initial: true
    after: {5s: gone}
    transitions: [{event: call.started, target: started}]
  started:
    after: {5s: gone}
    transitions: [{cond: all_ready, target: ready}, {event: call.ended, target: gone}]
  ready: {transitions: [{event: call.ended, target: gone}]}
  gone: {final: true}
properties:
  ready: {leads_to: ["In('waiting')", "In('ready') or In('gone')"]}
  ends: {leads_to: ["In('waiting')", "In('gone')"]}
  in_order: {never: "In('waiting') and call"}
  never_missed: {always: "not In('gone') or all_ready"}
"""


def explored(traffic: str, text: str = GATE) -> dict[str, Judgement]:
    return {one.name: one for one in _explore(traffic, text).properties}


def _explore(traffic: str, text: str = GATE) -> Exploration:
    definition = parse_definition(text)
    return explore(definition, traffic=read_traffic(traffic, "<traffic>", definition))


def steps(judgement: Judgement) -> list[Any]:
    assert judgement.counterexample is not None, judgement
    return list(judgement.counterexample.steps)


ALL = "sources: {phone: [call.started, call.accepted, call.ended], media: [media.connected]}\n"


def test_a_source_keeps_its_order() -> None:
    found = explored(ALL)
    assert found["in_order"].holds is True
    assert found["ends"].holds is True


def test_between_sources_any_order_can_happen() -> None:
    found = explored("sources: {phone: [call.started, call.ended], network: [call.accepted], media: [media.connected]}")
    assert steps(found["in_order"]) == ["call.accepted"]


def test_an_item_that_was_sent_surely_comes_unless_it_is_lost() -> None:
    assert explored(ALL)["ends"].holds is True
    found = explored(f"{ALL}faults: {{lose: 1}}")
    assert {"lose": "call.ended"} in steps(found["ends"])


def test_an_item_with_a_chance_comes_or_not() -> None:
    found = explored(
        "sources: {phone: [call.started, call.accepted, {publish: call.ended, chance: 0.5}], m: [media.connected]}"
    )
    assert found["ends"].holds is False
    assert found["ready"].holds is True


def test_what_makes_no_difference_stays_away_from_a_counterexample() -> None:
    text = """
name: door
states:
  shut: {initial: true, transitions: [{event: door.opened, target: open}]}
  open: {transitions: [{event: door.closed, target: shut}]}
properties:
  opened: {leads_to: ["In('shut')", "In('open')"]}
"""
    assert steps(explored("sources: {wind: [{publish: door.closed, chance: 0.5}]}", text)["opened"]) == []


def test_an_item_can_come_so_late_that_a_timer_is_due_first() -> None:
    found = explored(ALL)
    assert steps(found["never_missed"]) == [{"wait": "5s"}]


def test_an_overtaken_item_comes_later() -> None:
    assert explored(ALL)["in_order"].holds is True
    found = explored(f"{ALL}faults: {{reorder: 1}}")
    assert steps(found["in_order"]) == ["call.accepted"]
    late = explored(f"{ALL}faults: {{reorder: 1}}", GATE.replace("In('waiting') and call", "In('started') and call"))
    assert late["in_order"].holds is False


def test_a_doubled_item_comes_again() -> None:
    text = """
name: once
states:
  idle: {initial: true, transitions: [{event: call.asked, target: asked}]}
  asked: {transitions: [{event: call.asked, target: twice}]}
  twice: {final: true}
properties:
  once: {never: "In('twice')"}
"""
    sources = "sources: {one: [call.asked]}\n"
    assert explored(sources, text)["once"].holds is True
    assert steps(explored(f"{sources}faults: {{duplicate: 1}}", text)["once"]) == [
        "call.asked",
        {"duplicate": "call.asked"},
    ]


def test_what_the_connection_requires_can_be_named() -> None:
    found = _explore("connections: {dependencies: [media]}\nsources: {a: [call.started, media.connected]}")
    assert {one.name: one.holds for one in found.properties}["ready"] is True
    assert found.registration == {"dependencies": ["media"]}


def test_after_the_traffic_only_timers_fire_and_resting_is_no_dead_end() -> None:
    found = _explore("sources: {a: [call.started, call.accepted], b: [media.connected]}")
    assert found.dead_ends == ()
    assert {one.name: one.holds for one in found.properties}["ends"] is False


@pytest.mark.parametrize(
    "faults", ["{}", "{lose: 1}", "{duplicate: 1}", "{reorder: 1}", "{lose: 1, duplicate: 1, reorder: 1}"]
)
def test_counterexamples_replay_in_the_simulation(faults: str) -> None:
    definition = parse_definition(GATE)
    found = explore(definition, traffic=read_traffic(f"{ALL}faults: {faults}", "<traffic>", definition))
    scenarios = counterexamples(definition, found)
    assert len(scenarios) == sum(one.holds is False for one in found.properties)
    for written in scenarios:
        summary = run_scenario(Simulation(definition), read_scenario(written.text, "<found>", definition))
        assert summary.failed_expectations == 0, written.text


# -- the reductions --

ITEMS = [
    Item("whatsapp.call_started"),
    Item("whatsapp.call_accepted"),
    Item("whatsapp.call_terminated"),
    Item("webrtc.audio_track_ready", {"track_type": "audio"}),
    Item("webrtc.ice_connection_changed", {"ice_state": "disconnected"}),
    Item("ai.connection_initialized"),
    Item("ai.connection_failed", chance=0.5),
    Item("telemetry.reported"),
    Item("billing.checked", chance=0.5),
]
sources = st.lists(st.lists(st.sampled_from(ITEMS), max_size=3), min_size=1, max_size=3)
faults = st.fixed_dictionaries({name: st.integers(0, 1) for name in ("lose", "duplicate", "reorder")})


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sources, faults, st.booleans())
def test_the_reductions_change_no_verdict_and_no_configuration(
    sent: list[list[Item]], faults: dict[str, float], twins: bool
) -> None:
    if twins:
        sent = [sent[0], *sent]
    traffic = Traffic({f"s{n}": tuple(items) for n, items in enumerate(sent)}, faults=faults)
    reduced, plain = (_everything(traffic, reduce=reduce) for reduce in (True, False))
    assert reduced[:2] == plain[:2]
    assert reduced[2] <= plain[2]


def _everything(traffic: Traffic, *, reduce: bool, definition: Definition | None = None) -> tuple[Any, Any, int]:
    worlds = Worlds([definition or load_definition("whatsapp_call")], traffic, reduce=reduce)
    graph = all_cases(worlds, Bounds(None, None)) if reduce else search(worlds.make(None), Bounds(None, None))
    world = graph.world
    verdicts = {one.name: (one.holds, one.vacuous) for one in Judge(world, graph, world.moves, frozenset()).all()}
    return verdicts, {world.moves.cases.states(case) for case in graph}, len(graph.cases)


def test_sources_that_send_the_same_are_interchangeable() -> None:
    items = tuple(ITEMS[:3])
    traffic = Traffic({"a": items, "b": items, "c": items})
    assert _everything(traffic, reduce=True)[2] * 2 < _everything(traffic, reduce=False)[2]


def test_events_that_change_nothing_multiply_nothing() -> None:
    idle = Item("telemetry.reported")
    items = (Item("call.started"), Item("call.accepted"), Item("call.ended"))
    with_idle, without = Traffic({"a": items, "b": (idle, idle, idle)}), Traffic({"a": items})
    gate = parse_definition(GATE)
    assert _everything(with_idle, reduce=True, definition=gate) == _everything(without, reduce=True, definition=gate)
    assert (
        _everything(with_idle, reduce=False, definition=gate)[2] > _everything(without, reduce=True, definition=gate)[2]
    )


# -- the file --


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sources: {a: [Call]}", "<t>:1:15: error: "),
        ("sources: {}", "<t>:1:1: error: 'sources' must map names to lists of events"),
        ("faults: {lose: 1}", "<t>:1:1: error: the key 'sources' is missing"),
        ("sources: {a: [x.came]}\nfaults: {loose: 1}", "<t>:2:10: error: unknown key 'loose' (did you mean 'lose'?)"),
        ("sources: {a: [x.came]}\nfaults: {lose: 1.5}", "<t>:2:16: error: 'lose' must be a whole number of times"),
        ("definition: other\nsources: {a: [x.came]}", "<t>:1:13: error: this traffic is for 'other', not for 'gate'"),
        ("sources: {a: [{publish: x.came, chance: 2}]}", "error: 'chance' must be from 0 to 1"),
        ("sources: {a: [{publish: x.came, after: {normal: 2s}}]}", "error: 'after' must be a duration"),
        (
            "connections: {dependencies: [medio]}\nsources: {a: [x.came]}",
            "declares no dependency 'medio' (did you mean 'media'?)",
        ),
    ],
)
def test_a_wrong_traffic_file_is_refused_at_its_place(text: str, complaint: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_traffic(text, "<t>", parse_definition(GATE))
    assert complaint in str(refused.value)


def test_all_forms_of_an_item_are_read() -> None:
    text = """
connections: {rate: 30/m}
sources:
  a:
    - x.came
    - {publish: x.came, data: {n: 1}, after: 1.5s, chance: 0.9}
    - {publish: {type: x.came, data: {n: 2}}, after: {uniform: [0s, 2s]}}
    - {publish: x.came, after: {lognormal: {median: 4s, p99: 20s}}}
    - {publish: x.came, after: {exponential: 60s}}
"""
    traffic = read_traffic(text, "<t>", parse_definition(GATE))
    assert traffic.rate_hz == 0.5
    assert [item.after for item in traffic.sources["a"]] == [
        0.0,
        1.5,
        ("uniform", (0.0, 2.0)),
        ("lognormal", (4.0, 20.0)),
        ("exponential", (60.0,)),
    ]
    assert [item.data for item in traffic.sources["a"]][1:3] == [{"n": 1}, {"n": 2}]

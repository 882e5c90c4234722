"""What becomes of drawn calls: the same as of the same events one by one, counted in memory that does not grow."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachines import Definition, load_definition, parse_definition
from statemachines.connections.trace import Entry
from statemachines.language.library import shipped_definitions
from statemachines.language.traffic import Traffic, find_traffic, load_traffic, read_traffic, traffic_of
from statemachines.rendering.traffic import _WORDS
from statemachines.simulation.calls import _COUNTED, Call, CallRunner, UnknownPhase, find_phase
from statemachines.simulation.library import open_scenario, scenario_names
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.simulation.times import Times
from statemachines.simulation.traffic_summary import Drawn, TrafficSummary, summarise

GATE = parse_definition("""
name: gate
early: 5s
retain: 1s
dependencies: {media: media.connected, call: call.accepted}
states:
  waiting:
    initial: true
    after: {30s: gone}
    transitions: [{cond: all_ready, target: ready}]
  ready: {enter: [{publish: connection.ready}], transitions: [{event: call.ended, target: gone}]}
  gone: {final: true}
""")
SHIPPED = [(definition, name) for definition in shipped_definitions() for name in traffic_of(definition)]


def traffic(text: str, definition: Definition = GATE) -> Traffic:
    return read_traffic(text, "<traffic>", definition)


def ran(text: str, calls: int = 1, definition: Definition = GATE, seed: int = 1) -> list[Call]:
    return list(CallRunner(definition, traffic(text, definition), seed, find_phase(definition)).run(calls))


def summary_of(definition: Definition, sent: Traffic, calls: int, seed: int = 1) -> TrafficSummary:
    drawn = Drawn(definition, calls, seed, find_phase(definition))
    return summarise(drawn, CallRunner(definition, sent, seed, drawn.phase), lambda call: None, lambda number: None)


def test_a_call_tells_when_it_reached_what_and_what_was_last() -> None:
    (call,) = ran("sources: {a: [{publish: media.connected, after: 2s}, {publish: call.accepted, after: 3s}]}")
    assert call.reached == {"waiting": 0.0, "ready": 5.0}
    assert (call.phase, call.ended, call.last, call.events) == ("ready", None, ("call",), 2)


def test_what_became_ready_in_one_step_was_last_together() -> None:
    both = parse_definition(
        "name: both\ndependencies: {a: it.came, b: it.came}\nstates:\n"
        "  waiting: {initial: true, transitions: [{cond: all_ready, target: ready}]}\n  ready: {final: true}\n"
    )
    assert ran("sources: {a: [it.came]}", definition=both)[0].last == ("a", "b")


def test_timers_go_on_after_the_last_event() -> None:
    (call,) = ran("sources: {a: [{publish: media.connected, after: 2s}]}")
    assert (call.reached["gone"], call.ended, call.timers) == (30.0, 30.0, 1)


def test_what_comes_after_the_end_is_counted() -> None:
    late = "sources: {a: [media.connected, call.accepted, call.ended, {publish: call.ended, after: 500ms}]}"
    assert ran(late)[0].counts == {"finished": 1}


def test_what_comes_before_the_registration_is_early_and_not_lost() -> None:
    (call,) = ran("sources: {a: [media.connected, {publish: connection.created, after: 2s}, call.accepted]}")
    assert call.counts == {"early": 1}
    assert call.reached == {"waiting": 2.0, "ready": 2.0}


def test_a_call_whose_registration_is_lost_is_nobody() -> None:
    text = "sources: {a: [connection.created, call.accepted]}\nfaults: {lose: 0.5}"
    call = next(call for call in ran(text, 50) if call.faults == (("lose", "connection.created"),))
    assert (call.phase, call.reached, call.counts) == (None, {}, {"early": 1, "expired": 1})


def test_an_event_that_a_definition_starts_on_registers_with_the_dependencies_of_the_traffic() -> None:
    started = parse_definition(
        "name: started\nstarts_on: call.requested\ndependencies: {media: media.connected, call: call.accepted}\n"
        "states:\n  waiting: {initial: true, transitions: [{cond: all_ready, target: ready}]}\n  ready: {final: true}\n"
    )
    source = "sources: {a: [{publish: call.requested, after: 1s}, {publish: call.accepted, after: 1s}]}"
    assert "ready" not in ran(source, definition=started)[0].reached
    (call,) = ran(f"connections: {{dependencies: [call]}}\n{source}", definition=started)
    assert call.reached == {"waiting": 1.0, "ready": 2.0}


def test_a_call_that_goes_round_for_ever_comes_to_an_end() -> None:
    clock = parse_definition(
        "name: clock\nstates: {tick: {initial: true, after: {1ms: tock}}, tock: {after: {1ms: tick}}}"
    )
    (call,) = ran("sources: {a: [{publish: it.came, after: 1s}]}", definition=clock)
    assert call.timers == pytest.approx(2000, abs=2)


@pytest.mark.parametrize(("name", "phase"), [("whatsapp_call", "ready"), ("agent_session", "connected"), ("tcp", None)])
def test_the_phase_that_matters_is_ready_or_publishes_its_like(name: str, phase: str | None) -> None:
    assert find_phase(load_definition(name)) == phase


def test_a_phase_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownPhase, match="did you mean 'ready'"):
        find_phase(GATE, "redy")


@pytest.mark.parametrize(("definition", "name"), SHIPPED)
def test_most_shipped_calls_reach_the_phase_that_they_are_for(definition: str, name: str) -> None:
    loaded = load_definition(definition)
    summary = summary_of(loaded, load_traffic(find_traffic(definition, name), loaded), 150)
    assert 0.6 < summary.share(summary.times.total) < 1
    assert summary.alive <= 3
    assert sum(summary.ended_in.values()) == summary.calls == 150


@pytest.mark.parametrize(("definition", "name"), SHIPPED)
def test_a_call_told_step_by_step_is_the_call_that_is_counted(definition: str, name: str) -> None:
    """With everything told, everything is built: what is only counted otherwise must come to the same."""
    loaded = load_definition(definition)
    sent = load_traffic(find_traffic(definition, name), loaded)
    quiet = CallRunner(loaded, sent, 1, find_phase(loaded))
    published: dict[str, int] = {}
    for call in quiet.run(25):
        told = CallRunner(loaded, sent, 1, find_phase(loaded))
        entries: list[Entry] = []
        assert told.tell(call.number, entries.append) == call
        for entry in entries:
            if entry.kind == "publish":
                published[entry.details["type"]] = published.get(entry.details["type"], 0) + 1
    assert {name: count for name, count in quiet.published.items() if count} == published


SCENARIOS = [
    (definition, scenario)
    for definition in shipped_definitions()
    for scenario in scenario_names(definition, load_definition(definition))[:6]
]


@pytest.mark.parametrize(("definition", "scenario"), SCENARIOS)
def test_a_scenario_that_nobody_is_told_of_comes_to_the_same(definition: str, scenario: str) -> None:
    loaded = load_definition(definition)
    told = Simulation(loaded, lambda entry: None)
    untold = Simulation(loaded)
    steps = open_scenario(definition, loaded, scenario)
    first, second = (run_scenario(simulation, steps, 600.0) for simulation in (told, untold))
    assert first.to_dict() == second.to_dict()
    assert list(first.published) == list(second.published)
    assert first.failed_expectations == 0


def test_an_interrupt_leaves_what_there_is() -> None:
    def stop(number: int) -> Callable[[Call], None]:
        def each(call: Call) -> None:
            if call.number == number:
                raise KeyboardInterrupt

        return each

    sent = traffic("sources: {a: [media.connected, call.accepted]}")
    found = summarise(Drawn(GATE, 100, 1, "ready"), CallRunner(GATE, sent, 1, "ready"), stop(7), lambda number: None)
    assert (found.interrupted, found.calls, found.times.total) == (True, 7, 7)
    assert found.to_dict()["asked"] == 100


def test_calls_that_overlap_are_alive_at_once() -> None:
    text = "connections: {rate: 1/s}\nsources: {a: [media.connected, call.accepted, {publish: call.ended, after: 20s}]}"
    assert 12 <= summary_of(GATE, traffic(text), 300).at_once <= 45
    brief = text.replace("20s", "1ms").replace("1/s", "1/h")
    assert summary_of(GATE, traffic(brief), 300).at_once == 1


def test_every_count_has_its_words() -> None:
    assert set(_WORDS) == set(_COUNTED)


def test_the_summary_is_json() -> None:
    text = "sources: {a: [media.connected, {publish: call.accepted, after: 2s}]}\nfaults: {lose: 0.1}"
    plain = json.loads(json.dumps(summary_of(GATE, traffic(text), 200).to_dict()))
    whole = sum(not call.faults for call in ran(text, 200))
    assert plain["reached"]["ready"] == {"calls": whole, "p50": 2.0, "p95": 2.0, "p99": 2.0, "longest": 2.0}
    assert plain["last_dependency"] == {"call": whole}
    assert plain["histogram"] == [{"low": 2.0, "high": 3.0, "count": whole}]
    assert plain["events"]["came"] + sum(plain["faults"]["lose"].values()) == 400
    assert plain["published"]["connection.ready"] == whole < 200


times_in_seconds = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200)


@settings(max_examples=100)
@given(times_in_seconds, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_the_nearest_rank_within_half_a_percent(seconds: list[float], part: float) -> None:
    times = Times()
    for each in seconds:
        times.add(each)
    exact = sorted(seconds)[max(1, math.ceil(part * len(seconds) - 1e-9)) - 1]
    assert times.quantile(part) == pytest.approx(exact, rel=0.0051)


@settings(max_examples=100)
@given(times_in_seconds)
def test_every_time_is_in_one_bin(seconds: list[float]) -> None:
    times = Times()
    for each in seconds:
        times.add(each)
    bins = times.bins()
    assert sum(each.count for each in bins) == len(seconds)
    assert all(one.high == two.low for one, two in pairwise(bins))
    assert len(bins) <= 22


def test_a_million_times_need_no_more_memory_than_their_digits() -> None:
    times = Times()
    for number in range(1, 100_001):
        times.add(number / 1000)
    assert len(times.sorted()) <= 900 * 5 + 1
    assert times.quantile(0.5) == 50.0

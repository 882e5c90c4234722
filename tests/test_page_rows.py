"""The rows of random charts, looked up by the page's script, lead where the simulator goes; or there is no row."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from bus import Event
from statemachines import StepNeverSettles
from statemachines.exploration.playable import playable
from statemachines.exploration.rows import Mark, Playable
from statemachines.language import load_definition, parse_definition
from statemachines.language.definition import Definition
from statemachines.rendering.page import page_data
from statemachines.simulation.simulator import Simulation
from tests.exploration_helpers import timed_definitions
from tests.page_helpers import Pages, page_of

PLAYED = """
([data, acts]) => {
  const table = new Table(data);
  const play = new Play(table);
  const seen = [];
  for (const [kind, value] of acts) {
    if (kind === 'act') play.act(value);
    else play.waitUntil(play.now + value);
    const position = play.position;
    if (position.beyond) break;
    const timers = table.isOver(position) ? [] : position.timers.map((timer) => timer.due).sort((a, b) => a - b);
    seen.push([play.now, table.configuration(position), timers]);
  }
  return seen;
}
"""
Act = tuple[str, float]


@pytest.fixture
def player(pages: Pages) -> Page:
    return pages.shipped("traffic_light")


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(timed_definitions(), st.data())
def test_random_charts_are_played_as_they_are_simulated(
    player: Page, definition: Definition, data: st.DataObject
) -> None:
    try:
        rows = playable(definition, max_cases=40, max_rows=4_000)
    except StepNeverSettles:
        assume(False)
    labels = [number for number, label in enumerate(rows.labels) if label.symbol and label.kind == "event"]
    act = st.tuples(st.just("act"), st.sampled_from(labels).map(float))
    wait = st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 2.5]))
    acts = data.draw(st.lists(act | wait, min_size=5, max_size=12))
    seen = player.evaluate(PLAYED, [json.loads(json.dumps(page_data(rows))), acts])
    assert seen == simulated(definition, rows, acts)[: len(seen)]
    if rows.bound.complete:
        assert len(seen) == len(acts)


def simulated(definition: Definition, rows: Playable, acts: list[Act]) -> list[Any]:
    """What the same acts lead to in a simulation: time, configuration, and when timers are due, after each."""
    simulation = Simulation(definition)
    simulation.register("conn_1")
    seen: list[Any] = []
    for kind, value in acts:
        if kind == "wait":
            simulation.advance_to(simulation.now + value)
        else:
            happen(simulation, rows, int(value))
        record = simulation.connections.records.get("conn_1")
        timers = [] if record is None or record.ended else sorted(timer.deadline for timer in record.timers)
        state = simulation.summary.connections["conn_1"]
        seen.append([simulation.now, list(state.configuration), timers])
    return seen


def happen(simulation: Simulation, rows: Playable, label: int) -> None:
    symbol = rows.labels[label].symbol
    if isinstance(symbol, Mark):
        simulation.mark("conn_1", symbol.dependency)
    elif symbol is not None:
        simulation.publish(Event(symbol.type, "conn_1", symbol.data, timestamp=simulation.now))


def test_a_definition_is_complete_or_says_that_it_is_not() -> None:
    whole = playable(load_definition("sip_invite"))
    assert whole.bound.complete
    assert whole.bound.tried == whole.bound.found
    part = playable(load_definition("sip_invite"), max_cases=10)
    assert not part.bound.complete
    assert part.bound.tried == 10 < part.bound.found
    few = playable(load_definition("sip_invite"), max_rows=20)
    assert not few.bound.complete
    assert few.bound.rows < whole.bound.rows


def test_within_the_depth_that_is_named_every_way_is_known(player: Page) -> None:
    definition = load_definition("sip_dialog")
    rows = playable(definition, max_cases=60)
    depth = rows.bound.depth
    assert depth >= 2
    labels = [number for number, label in enumerate(rows.labels) if label.symbol and label.kind == "event"]
    ways: list[list[Act]] = [[("act", one), ("act", other)] for one in labels for other in labels]
    data = page_data(rows)
    known = player.evaluate(f"([data, ways]) => ways.map((acts) => ({PLAYED})([data, acts]).length)", [data, ways])
    assert set(known) == {2}


def test_timers_due_together_fire_in_the_order_they_were_armed(player: Page) -> None:
    definition = parse_definition(
        """
        name: x
        states:
          outer:
            initial: true
            after: {1s: by_outer}
            states: {inner: {initial: true, after: {1s: by_inner}}, by_inner: {after: {1h: by_outer}}}
          by_outer: {final: true}
        """
    )
    acts: list[Act] = [("wait", 1.0)]
    rows = playable(definition)
    (seen,) = player.evaluate(PLAYED, [page_data(rows), acts])
    assert [seen] == simulated(definition, rows, acts)
    assert seen[1] == ["by_outer"]


def test_facts_that_no_step_reads_are_followed_beside_the_rows() -> None:
    definition = parse_definition(
        """
        name: x
        dependencies:
          read: a.became_ready
          unread: {ready_on: b.became_ready, lost_on: b.became_lost, failed_on: b.became_failed, required: false}
        remember: {caller: {on: a.became_ready, value: data.caller}}
        states: {waiting: {initial: true, transitions: [{cond: read, target: done}]}, done: {final: true}}
        """
    )
    rows = playable(definition)
    assert rows.unseen == ("meta.caller",)
    became = {
        str(label.symbol.type): rows.beside[n]["unread"]
        for n, label in enumerate(rows.labels)
        if n in rows.beside and label.symbol
    }
    assert became == {
        "b.became_ready": ("ready", "ready", "ready"),
        "b.became_lost": ("pending", "pending", "failed"),
        "b.became_failed": ("failed", "failed", "failed"),
        "dependency.marked": ("ready", "ready", "ready"),
    }


def test_no_name_of_a_guard_reaches_the_page_s_script() -> None:
    """There is nothing to evaluate: conditions stand in the picture alone."""
    data = page_of("whatsapp_call").partition('id="data">')[2].partition("</script>")[0]
    assert "all_ready" not in data
    assert "visits.prompting <" not in data

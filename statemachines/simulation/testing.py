"""What ``phasebus test`` does: run the scenarios there are, and say what they cover and what they would notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from statemachines.language.definition import Definition
from statemachines.simulation.collecting import Case, Refused, collect
from statemachines.simulation.mutation import Mutant, survivors
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.trial import run_trial
from statemachines.table.coverage import Coverage
from statemachines.table.step import Step, Steps


@frozen
class Outcome:
    """What came of one scenario; ``expectations`` counts what it expects.

    :ivar failures: what did not hold, or what is wrong with its file, each in one line
    :ivar refused: whether it could not be run at all
    """

    name: str
    definition: str
    path: str
    expectations: int = 0
    failures: tuple[str, ...] = ()
    refused: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it ran and everything held."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "kind": "scenario",
            "name": self.name,
            "definition": self.definition,
            "path": self.path,
            "ok": self.ok,
            "refused": self.refused,
            "expectations": self.expectations,
            "failures": list(self.failures),
            "seconds": round(self.seconds, 6),
        }


@frozen
class Covered:
    """What all scenarios of a definition cover of it."""

    definition: str
    coverage: Coverage

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {"kind": "coverage", "definition": self.definition, **self.coverage.to_dict()}


@frozen
class Mutated:
    """How many changes of a definition there are, and which no scenario notices."""

    definition: str
    mutants: int
    survivors: tuple[Mutant, ...]

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "kind": "mutation",
            "definition": self.definition,
            "mutants": self.mutants,
            "noticed": self.mutants - len(self.survivors),
            "survivors": [{"change": mutant.change, "part": mutant.part} for mutant in self.survivors],
        }


class _Tested:
    """A definition whose scenarios are run, and those of them that hold."""

    def __init__(self, definition: Definition, coverage: Coverage | None) -> None:
        self.definition = definition
        self.coverage = coverage
        self.held: list[Scenario] = []
        self._steps = Steps(definition)

    def run(self, case: Case) -> Outcome:
        see = _look_away if self.coverage is None else self.coverage.see
        trial = run_trial(self.definition, case.scenario, see, self._steps)
        if trial.ok:
            self.held.append(case.scenario)
        return Outcome(
            case.name,
            self.definition.name,
            case.scenario.path,
            trial.expectations,
            trial.failures,
            seconds=trial.seconds,
        )


def _look_away(step: Step) -> None:
    pass


Progress = Callable[[str], None]


def run_scenarios(
    paths: Iterable[str | Path],
    *,
    coverage: bool = False,
    mutation: bool = False,
    progress: Progress = lambda how_far: None,
) -> Iterator[Outcome | Covered | Mutated]:
    """Run every scenario that the paths name; then, for each definition, say what is covered and noticed.

    ``progress`` hears of the mutants that were tried: by far the longest part.
    """
    tested: dict[int, _Tested] = {}
    for case in collect(paths):
        if isinstance(case, Refused):
            yield Outcome(case.name, "", case.name, failures=tuple(map(str, case.problems)), refused=True)
            continue
        definition = case.definition
        if id(definition) not in tested:
            tested[id(definition)] = _Tested(definition, Coverage(definition) if coverage else None)
        yield tested[id(definition)].run(case)
    for group in tested.values():
        name = group.definition.name
        if group.coverage is not None:
            yield Covered(name, group.coverage)
        if mutation:
            yield _mutated(group, progress)


def _mutated(group: _Tested, progress: Progress) -> Mutated:
    name = group.definition.name
    tried, unnoticed = survivors(group.definition, group.held, lambda tried: progress(f"{name}: {tried} mutants tried"))
    return Mutated(name, tried, tuple(unnoticed))


def summary_of(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The last line of ``phasebus test --json``."""
    found = list(outcomes)
    refused = sum(outcome.refused for outcome in found)
    passed = sum(outcome.ok for outcome in found)
    return {
        "kind": "summary",
        "scenarios": len(found),
        "passed": passed,
        "failed": len(found) - passed - refused,
        "refused": refused,
    }

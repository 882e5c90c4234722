"""What exploring found, as scenario files: counterexamples, differences, and scenarios that together cover everything.

Exploring finds the ways; the simulation plays each once and says what is to be expected after each step, so nothing
but the step table ever decides what happens. Only the last configuration is what exploring found: where the two
disagreed, the scenario would fail.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from statemachines.comparison.result import Comparison
from statemachines.connections.consequences import PHASE_CHANGED
from statemachines.connections.trace import Entry
from statemachines.exploration.result import Exploration, Step, Way
from statemachines.language.definition import Call, Definition
from statemachines.language.definition import Publish as PublishAction
from statemachines.language.durations import parse_duration
from statemachines.language.library import called_from
from statemachines.simulation.library import SUFFIX
from statemachines.simulation.scenario import Action, Expect, Publish, Registration, Scenario, ScenarioStep, Wait
from statemachines.simulation.scenario_file import DEFAULT_CONNECTION
from statemachines.simulation.scenario_writing import scenario_text, seconds_until
from statemachines.simulation.simulator import Simulation, Watch, take_step
from statemachines.table.coverage import Coverage, Goal, Kind
from statemachines.table.step import CREATED, Steps

MARK = "Written by phasebus, which will write it anew: change a copy."
"""The first line of a file that may be overwritten."""

MAX_NAME = 100
_MOMENT = 1e-6
"""In seconds: a wait that ends so near to a timer is one for the timer."""
_NOT_EXPECTED = (CREATED, PHASE_CHANGED)
"""Published at every turn, and said by the phases already."""
_PARTS: Mapping[str, Kind] = {"states": "state", "transitions": "transition", "guard_outcomes": "guard"}


@frozen
class Written:
    """A scenario by the name of its file, and what it is the first to cover."""

    name: str
    scenario: Scenario
    covers: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The file."""
        return scenario_text(self.scenario, [MARK, *(f"covers {words}" for words in self.covers)])


# -- playing --


def play(
    definition: Definition,
    way: Way,
    registration: Registration | None = None,
    steps: Steps | None = None,
    watch: Watch = lambda step: None,
) -> tuple[Scenario, str]:
    """The way as a scenario, with what to expect after each step, and a name for it. ``watch`` sees its steps."""
    player = _Player(definition, registration or Registration(), steps or Steps(definition), watch)
    for step in way.replay:
        player.take(step)
    scenario = Scenario(None, {DEFAULT_CONNECTION: player.registration}, tuple(player.written(way.configuration)))
    return scenario, player.name()


@define
class _Player:
    """Plays a way step by step, and notes what came of each."""

    definition: Definition
    registration: Registration
    steps: Steps
    watch: Watch
    _simulation: Simulation = field(init=False)
    _entries: list[Entry] = field(factory=list)
    _taken: list[tuple[Action, Expect]] = field(factory=list)
    _dependencies: dict[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._simulation = Simulation(self.definition, self._entries.append, self.watch, self.steps)
        self._simulation.register(DEFAULT_CONNECTION, self.registration)
        self._dependencies = dict(self._state.dependencies)

    @property
    def _state(self) -> Any:
        return self._simulation.summary.connections[DEFAULT_CONNECTION]

    def take(self, step: Step) -> None:
        """Let a step happen."""
        begin = len(self._entries)
        action = self._action(step)
        take_step(self._simulation, ScenarioStep(action))
        self._taken.append((action, self._expected(self._entries[begin:])))

    def _action(self, step: Step) -> Action:
        if isinstance(step, str):
            return Publish(step, DEFAULT_CONNECTION)
        if "publish" in step:
            return Publish(step["publish"], DEFAULT_CONNECTION, step.get("data", {}))
        seconds, now = parse_duration(step["wait"]), self._simulation.now
        due = self._simulation.connections.next_deadline()
        if due is not None and abs(due - (now + seconds)) < _MOMENT:
            return Wait(seconds_until(due, now))
        return Wait(seconds)

    def _expected(self, entries: Sequence[Entry]) -> Expect:
        """What a step is to be judged by: where the connection is, and what is new."""
        state, before = self._state, self._dependencies
        self._dependencies = dict(state.dependencies)
        changed = {name: status for name, status in state.dependencies.items() if status != before[name]}
        return Expect(
            DEFAULT_CONNECTION,
            phase=state.phase if state.phase in state.configuration else None,
            configuration=state.configuration if _is_parallel(state) else None,
            dependencies=changed or None,
            published=_published(entries),
            called=_called(entries),
        )

    def written(self, configuration: Sequence[str]) -> Iterator[ScenarioStep]:
        """All steps, each with its expectation, and at the end everything that happened and what did not."""
        for action, expected in self._taken[:-1]:
            yield ScenarioStep(action)
            yield ScenarioStep(expected)
        for action, _ in self._taken[-1:]:
            yield ScenarioStep(action)
        yield ScenarioStep(self._whole(tuple(configuration) or self._state.configuration))

    def _whole(self, configuration: tuple[str, ...]) -> Expect:
        published, called = _published(self._entries), _called(self._entries)
        actions = list(self.definition.actions())
        told = dict.fromkeys(action.event for action in actions if isinstance(action, PublishAction))
        hooks = dict.fromkeys(action.name for action in actions if isinstance(action, Call))
        last = self._expected(())
        return evolve(
            self._taken[-1][1] if self._taken else last,
            phase=last.phase,
            configuration=configuration,
            published=published,
            not_published=tuple(name for name in told if name not in published),
            called=called,
            not_called=tuple(name for name in hooks if name not in called),
        )

    def name(self) -> str:
        """By the last change of phase: ``ready_to_over_on_call_ended``."""
        timer = ""
        name = f"stays in {self._state.phase}"
        for entry in self._entries:
            if entry.kind == "timer":
                timer = str(entry.details["timer"])
            elif entry.kind == "transition":
                event = str(entry.details["event"])
                cause = f"after {timer}" if event == "timer.fired" else f"on {event}"
                name = f"{entry.details['from']} to {entry.details['to']} {cause}"
        return re.sub(r"[^a-z0-9]+", "_", name.lower())[:MAX_NAME].strip("_")


def _is_parallel(state: Any) -> bool:
    """Whether the phase, which is then no leaf, does not say everything."""
    return bool(state.configuration) and state.phase != state.configuration[-1]


def _published(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(e.details["type"] for e in entries if e.kind == "publish" and e.details["type"] not in _NOT_EXPECTED)


def _called(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(entry.details["name"] for entry in entries if entry.kind == "call")


# -- what exploring found --


def counterexamples(definition: Definition, exploration: Exploration) -> list[Written]:
    """The scenario of each counterexample, by the name of its property. It shows, and expects only where it ends."""
    found = []
    for judgement in exploration.properties:
        way = judgement.counterexample
        if way is not None:
            description = f"{judgement.name} does not hold{': ' + way.end if way.end else ''}"
            found.append(_shown(definition, judgement.name, description, way, _registration(exploration)))
    return found


def differences(old: Definition, comparison: Comparison) -> list[Written]:
    """The events that tell two definitions apart, for each configuration whose future changes: they hold with the old.

    With the new definition such a scenario begins anew, and usually fails: a connection that the new one has had from
    the start need not stand where one stands that was carried over.
    """
    found = []
    phases = Counter(one.phase for one in comparison.configurations)
    for number, one in enumerate(comparison.configurations, start=1):
        difference = one.fate.difference
        if difference is not None:
            name = one.phase if phases[one.phase] == 1 else f"{one.phase}_{number}"
            description = f"{one.phase}: before {'; '.join(difference.old)}; now {'; '.join(difference.new)}"
            way = Way((*difference.way, *difference.events), (), "", difference.configuration, difference.replay)
            found.append(_shown(old, name, description, way))
    return found


def _shown(
    definition: Definition, name: str, description: str, way: Way, registration: Registration | None = None
) -> Written:
    """The way as a scenario that expects only where it ends."""
    scenario, _ = play(definition, way, registration)
    steps = [step for step in scenario.steps if not isinstance(step.action, Expect)]
    if way.configuration:
        steps.append(ScenarioStep(Expect(DEFAULT_CONNECTION, configuration=way.configuration)))
    return Written(name, evolve(scenario, steps=tuple(steps), description=description))


def _registration(exploration: Exploration) -> Registration:
    dependencies = exploration.registration.get("dependencies")
    return Registration(dependencies=None if dependencies is None else tuple(dependencies))


@frozen
class Suite:
    """Scenarios that together cover all that exploring reached, or say what they do not.

    :ivar missing: what none of them covers, and why
    """

    definition: str
    scenarios: tuple[Written, ...]
    coverage: Coverage
    missing: Mapping[Goal, str]

    @property
    def steps(self) -> int:
        """How many steps they have, expectations not counted."""
        return sum(not isinstance(step.action, Expect) for written in self.scenarios for step in written.scenario.steps)

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        parts: dict[str, Any] = self.coverage.to_dict()
        for name, kind in _PARTS.items():
            parts[name]["missing"] = [
                {"what": self.coverage.goals[goal], "why": why} for goal, why in self.missing.items() if goal[0] == kind
            ]
        return {
            "kind": "covering",
            "definition": self.definition,
            "scenarios": len(self.scenarios),
            "steps": self.steps,
            **parts,
        }


def covering_suite(definition: Definition, exploration: Exploration) -> Suite:
    """The scenarios of an exploration that was asked to ``cover``."""
    assert exploration.covering is not None, "explore(…, cover=True) finds the ways"
    steps, registration = Steps(definition), _registration(exploration)
    whole = Coverage(definition)
    found: list[Written] = []
    names: dict[str, int] = {}
    for way in exploration.covering.ways:
        before = set(whole.covered)
        scenario, name = play(definition, way, registration, steps, whole.see)
        new = [words for goal, words in whole.goals.items() if goal in whole.covered - before]
        number = names[name] = names.get(name, 0) + 1
        description = f"Covers {_count(len(new))} that the scenarios before it do not."
        found.append(
            Written(
                f"cover_{name}" + (f"_{number}" if number > 1 else ""),
                evolve(scenario, description=description),
                tuple(_positive(words) for words in new),
            )
        )
    return Suite(definition.name, tuple(found), whole, _missing(exploration, whole))


def _count(number: int) -> str:
    return f"{number} {'thing' if number == 1 else 'things'}"


def _positive(words: str) -> str:
    """The words of an outcome that is missing, said of one that is there."""
    return words.replace(" was never ", " is ")


def _missing(exploration: Exploration, coverage: Coverage) -> dict[Goal, str]:
    assert exploration.covering is not None
    return {
        goal: _why_not(goal, words, exploration)
        for goal, words in coverage.goals.items()
        if goal not in coverage.covered
    }


def _why_not(goal: Goal, words: str, exploration: Exploration) -> str:
    covering = exploration.covering
    if covering is not None and goal in covering.reached:
        return (
            "reached, but interrupted before a way was found"
            if covering.interrupted
            else "reached, but not when played"
        )
    if goal[0] == "state" and words in exploration.only_by_hand:
        return "only terminate_connection leads there"
    if exploration.why_cut is not None:
        return f"not reached within the bound: {exploration.why_cut}"
    by = "what the traffic brings" if exploration.by_traffic else "any event or time-out, in any order"
    return f"not reached by {by}, for a connection registered so"


# -- files --


@frozen
class Files:
    """What became of files: ``kept`` are those in the way that somebody else wrote, ``left`` are from another time."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    left: tuple[Path, ...]

    def told(self) -> Iterator[tuple[str, tuple[Path, ...]]]:
        """What to say about each: words with a place for the path."""
        yield "wrote {}", self.written
        yield "kept {}: somebody else wrote it; rename it, or give another DIR, to have the scenario too", self.kept
        yield "left {}: it is from an earlier exploration, and nothing was found for it now", self.left


def write_scenarios(scenarios: Sequence[Written], folder: Path, called: str) -> Files:
    """Write scenarios into a folder, made if it is not there. A file that was not written like this is left alone.

    ``called`` is what the user calls the definition: its name, or a path from here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    called = called_from(called, folder)
    written, kept = [], []
    for one in scenarios:
        path = folder / f"{one.name}{SUFFIX}"
        if path.exists() and not _is_ours(path):
            kept.append(path)
            continue
        path.write_text(evolve(one, scenario=evolve(one.scenario, definition=called)).text, encoding="utf-8")
        written.append(path)
    names = {*written, *kept}
    left = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if path not in names and _is_ours(path)]
    return Files(tuple(written), tuple(kept), tuple(left))


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline(len(MARK) + 8).decode("utf-8", "replace").strip() == f"# {MARK}"

"""The races of ``examples/races``: each is found where the mistake is, is really one, and is gone where mended."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from examples.races.race import FOLDER, RACES, Race
from examples.races.table import table
from statemachines.exploration import explore
from statemachines.explored_scenarios import counterexamples
from statemachines.language.definition import Property
from statemachines.language.expressions import Expression
from statemachines.language.traffic import load_traffic
from statemachines.simulation.mutation import mutants
from statemachines.simulation.properties import PropertyJudge
from statemachines.simulation.scenario_file import read_scenario
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.table.step import Step
from statemachines.validation import validate_paths
from tests.cli_helpers import Command

BROKEN = {
    "checked_then_subscribed": "greeted",
    "answer_before_call_id": "who_picks_up_is_talked_to",
    "signal_before_its_channel": "greeted",
    "opened_after_the_end": "sessions_are_closed",
    "accept_refused": "refused_is_ended",
    "greeting_twice": "greeted_once",
    "ended_by_nobody": "the_end_is_heard",
    "broadcast_lost": "cleaned_up",
    "same_call_twice": "only_hanging_up_ends_it",
    "talks_before_media": "nobody_speaks_to_the_ringing_tone",
    "snapshot_then_stream": "configured_for_the_number",
    "listener_too_late": "the_message_is_answered",
    "one_gate_for_several": "nothing_is_sent_too_early",
    "stasis_start_order": "bridged",
    "cancel_crosses_200_ok": "who_hangs_up_is_rid_of_it",
}
"""The one property that each mistake breaks."""
LIMIT = "10s"
A_LONG_TIME_S = 3600.0
DOCS = Path(__file__).parent.parent / "docs"

every_race = pytest.mark.parametrize("race", RACES, ids=[race.name for race in RACES])


def explored(race: Race, kind: str, phasebus: Command, *, status: int) -> dict[str, Any]:
    """What the command says, which is all there is, within the time that it may take."""
    done = phasebus("explore", race.path(kind), "--traffic", race.traffic, "--time", LIMIT, "--json")
    assert done.status == status
    (found,) = done.lines
    assert found["complete"] is True
    return found


@every_race
def test_the_mistake_is_found_and_nothing_else(race: Race, phasebus: Command) -> None:
    found = explored(race, "mistaken", phasebus, status=1)
    verdicts = {name: (one["holds"], one["vacuous"]) for name, one in found["properties"].items()}
    assert verdicts == {name: (name != BROKEN[race.name], False) for name in verdicts}
    assert found["properties"][BROKEN[race.name]]["counterexample"]


@every_race
def test_the_mended_one_has_no_race_left(race: Race, phasebus: Command) -> None:
    found = explored(race, "mended", phasebus, status=0)
    assert {(one["holds"], one["vacuous"]) for one in found["properties"].values()} == {(True, False)}
    assert any(one["witness"] for one in found["properties"].values())
    for alarm in ("unreachable_states", "dead_ends", "conflicts", "livelocks", "unfired_transitions"):
        assert found[alarm] == [], alarm


@every_race
def test_the_counterexample_is_a_scenario_that_simulate_replays(race: Race, phasebus: Command, tmp_path: Path) -> None:
    phasebus("explore", race.path("mistaken"), "--traffic", race.traffic, "--scenarios", tmp_path)
    path = tmp_path / f"{BROKEN[race.name]}.scenario.yaml"
    done = phasebus("simulate", race.path("mistaken"), path, "--json")
    assert done.status == 0
    assert done.lines[-1]["failed_expectations"] == 0


@every_race
def test_the_simulation_sees_the_property_broken(race: Race) -> None:
    name = BROKEN[race.name]
    wanted = race.definition("mistaken").properties[name]
    replay = Replay(race, name)
    if wanted.never is not None:
        assert replay.seen[-1] == {"broken"}
    elif wanted.leads_to is not None:
        first = next(place for place, seen in enumerate(replay.seen) if "first" in seen)
        assert all("then" not in seen for seen in replay.seen[first:])
        assert replay.end - replay.at[first] >= (wanted.within or A_LONG_TIME_S)
    else:
        ((opened, closed),) = (wanted.closes or {}).items()
        assert opened in replay.called
        assert closed not in replay.called
        assert replay.ended


class Replay:
    """A counterexample in the simulation, and a long time after it if nothing more has to happen.

    What a property speaks of is looked for after each step: ``seen`` and ``at`` (seconds) have one place for each.
    """

    def __init__(self, race: Race, name: str) -> None:
        definition = race.definition("mistaken")
        found = race.explored("mistaken")
        (way,) = (one.counterexample for one in found.properties if one.name == name)
        assert way is not None
        parts = {part: Property(sometimes=wanted) for part, wanted in _parts(definition.properties[name])}
        judge = PropertyJudge(evolve(definition, properties=parts))
        self.seen: list[set[str]] = []
        self.at: list[float] = []
        self.called: list[str] = []
        self.ended = False

        def look(step: Step) -> None:
            self.seen.append(judge.judge(step.after)[1])
            self.at.append(simulation.now)
            self.ended = step.after.ended

        simulation = Simulation(
            definition,
            lambda entry: self.called.append(entry.details["name"]) if entry.kind == "call" else None,
            look,
        )
        (text,) = (written.text for written in counterexamples(definition, found) if written.name == name)
        assert run_scenario(simulation, read_scenario(text, "<found>", definition)).failed_expectations == 0
        if way.end == "nothing more has to happen":
            simulation.advance_to(simulation.now + A_LONG_TIME_S)
        self.end = simulation.now


def _parts(wanted: Property) -> Iterator[tuple[str, Expression]]:
    if wanted.never is not None:
        yield "broken", wanted.never
    yield from zip(("first", "then"), wanted.leads_to or (), strict=False)


# -- that they are what they say --


@every_race
def test_both_definitions_promise_the_same(race: Race) -> None:
    mistaken, mended = race.definition("mistaken"), race.definition("mended")
    assert mistaken.name == mended.name == race.name
    assert mistaken.properties == mended.properties
    assert mistaken.states != mended.states or mistaken.remember != mended.remember


@every_race
def test_the_files_have_no_problems(race: Race) -> None:
    assert validate_paths([race.path("mended")]).problems == ()
    assert not validate_paths([race.path("mistaken")]).failed


def test_there_are_fifteen_and_each_folder_is_one() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/mended.yaml")}
    assert len(RACES) == 15
    assert {race.name for race in RACES} == folders == set(BROKEN)


@every_race
def test_its_page_says_what_happened_where_why_and_how_it_ends(race: Race) -> None:
    for part in ("What happened", "Where", "Why", "How the YAML ends it"):
        assert race.page.count(f"**{part}.** ") == 1, part


def test_the_page_shows_what_exploring_finds() -> None:
    page = (DOCS / "races.md").read_text(encoding="utf-8")
    assert table() in page, "put the output of 'python -m examples.races' on the page"


@every_race
def test_a_change_of_the_mended_one_can_bring_the_race_back(race: Race) -> None:
    """Or its property would be too weak, or the traffic too tame, to tell right from wrong."""
    mended = race.definition("mended")
    traffic = load_traffic(race.traffic, mended)
    changed = [explore(mutant.definition, traffic=traffic) for mutant in mutants(mended)]
    assert any(one.name == BROKEN[race.name] and one.holds is False for found in changed for one in found.properties)


def test_what_the_mended_ones_do_live_is_played(phasebus: Command) -> None:
    done = phasebus("test", FOLDER, "--json")
    assert done.status == 0
    assert done.lines[-1]["passed"] == 3


# -- the page that follows one of them --

STORY = (DOCS / "finding_a_race.md").read_text(encoding="utf-8")
TOLD = FOLDER / "checked_then_subscribed"
SESSIONS = re.findall(r"^```\n\$ phasebus (.+)\n((?:.*\n)*?)```", STORY, re.MULTILINE)


@pytest.mark.parametrize(("command", "shown"), SESSIONS, ids=[command.split()[0] for command, _ in SESSIONS])
def test_the_story_shows_what_the_command_says(
    command: str, shown: str, phasebus: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(FOLDER, tmp_path / "examples" / "races")
    monkeypatch.chdir(tmp_path)
    mistaken, traffic = TOLD / "mistaken.yaml", TOLD / "calls.traffic.yaml"
    phasebus("explore", mistaken, "--traffic", traffic, "--scenarios", "found")
    said = phasebus(*command.split()).out
    assert _lines(said) == _lines(shown), said


def test_the_story_quotes_the_files() -> None:
    files = "".join(path.read_text(encoding="utf-8") for path in sorted(TOLD.glob("*.yaml")))
    quotes = re.findall(r"^```yaml\n(.*?)^```", STORY, re.MULTILINE | re.DOTALL)
    assert len(quotes) == 5
    assert [quote for quote in quotes if quote not in files] == []


@pytest.mark.parametrize("kind", ["mistaken", "mended"])
def test_the_story_shows_pictures_that_the_command_draws(kind: str, phasebus: Command) -> None:
    path = "opening,subscribing,listening" if kind == "mistaken" else "opening,greeting"
    drawn = phasebus("show", TOLD / f"{kind}.yaml", "--format", "svg", "--highlight", path).out
    assert drawn.strip() == (DOCS / "races" / f"{kind}.svg").read_text(encoding="utf-8").strip(), "run 'make pictures'"


def _lines(text: str) -> list[str]:
    """The lines of a command's output, without what it took and without trailing spaces."""
    return [re.sub(r"tried in [\d.]+ s", "tried in 0.0 s", line).rstrip() for line in text.strip().splitlines()]

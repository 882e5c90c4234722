"""``phasebus explore``: its JSON, its words for people, its scenarios, and how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from statemachines import load_definition, shipped_definitions
from statemachines.exploration import Bounds, explore
from statemachines.exploration.search import search
from tests.cli_helpers import Command

CALL = """
name: call
timeouts: {setup: 30s}
dependencies:
  audio: {ready_on: {event: webrtc.audio_track_ready, when: data.track_type == 'audio'}}
  accepted: whatsapp.call_accepted
states:
  created: {initial: true, transitions: [{event: whatsapp.call_started, target: initializing}]}
  initializing: {after: {setup: terminated}, transitions: [{cond: all_ready, target: ready}]}
  ready: {transitions: [{event: whatsapp.call_terminated, target: terminated}]}
  terminated: {final: true}
properties:
  can_end: {always_reachable: terminated}
  some_call_is_ready: {sometimes: "In('ready')"}
  setup_ends: {leads_to: ["In('initializing')", "In('ready') or In('terminated')"], within: 45s}
"""


@pytest.fixture
def call(tmp_path: Path) -> Path:
    path = tmp_path / "call.yaml"
    path.write_text(CALL)
    return path


SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"


@pytest.fixture
def slow_setup(tmp_path: Path) -> Path:
    """The same with a promise that it does not keep."""
    path = tmp_path / "slow.yaml"
    path.write_text(CALL.replace("within: 45s", "within: 20s"))
    return path


@pytest.mark.parametrize("name", shipped_definitions())
def test_every_shipped_definition_is_explored_and_keeps_its_promises(name: str) -> None:
    # In the soak to the end: three of them take up to half a minute.
    found = explore(load_definition(name), Bounds(None, None) if SOAK else Bounds(3_000, 15))
    assert found.complete or not SOAK
    assert [one for one in found.properties if one.holds is False or one.vacuous] == []
    if found.complete:
        assert found.unreachable_states == ()
        assert found.dead_ends == ()
        assert found.livelocks == ()


def test_the_json_has_the_fields_of_the_contract(phasebus: Command, call: Path) -> None:
    done = phasebus("explore", call, "--json")
    assert done.status == 0
    (found,) = done.lines
    assert found["complete"] is True
    assert {"configurations", "transitions", "cases", "conflicts", "unfired_transitions"} <= set(found)
    assert found["unreachable_states"] == []
    assert found["dead_ends"] == []
    assert set(found["properties"]) == {"can_end", "some_call_is_ready", "setup_ends"}
    ready = found["properties"]["some_call_is_ready"]
    assert set(ready) == {"holds", "counterexample", "witness", "vacuous"}
    assert ready["holds"] is True
    assert {"publish": "webrtc.audio_track_ready", "data": {"track_type": "audio"}} in ready["witness"]


def test_a_failed_property_ends_with_status_1_and_the_shortest_way(phasebus: Command, slow_setup: Path) -> None:
    done = phasebus("explore", slow_setup, "--json")
    assert done.status == 1
    failed = done.lines[0]["properties"]["setup_ends"]
    assert failed["holds"] is False
    assert len(failed["counterexample"]) == 2
    assert failed["counterexample"][1] in ({"wait": "30s"}, {"wait": "29.999s"})


def test_people_read_the_way_step_by_step(phasebus: Command, slow_setup: Path) -> None:
    out = phasebus("explore", slow_setup).out
    assert "✗ setup_ends" in out
    assert "✓ can_end" in out
    assert "it is too late by now" in out
    assert "That is all of it." in out
    assert max(map(len, out.splitlines())) <= 120


def test_a_counterexample_is_a_scenario_that_simulate_replays(
    phasebus: Command, slow_setup: Path, tmp_path: Path
) -> None:
    assert phasebus("explore", slow_setup, "--scenarios", tmp_path / "found").status == 1
    path = tmp_path / "found" / "setup_ends.scenario.yaml"
    done = phasebus("simulate", slow_setup, path, "--json")
    assert done.status == 0
    assert done.lines[-1]["failed_expectations"] == 0


def test_what_was_reached_is_covered_by_scenarios_that_test_runs(phasebus: Command, call: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    done = phasebus("explore", call, "--scenarios", folder, "--json")
    assert done.status == 0
    (found,) = done.lines
    suite = found["scenarios"]
    assert sorted(suite["written"]) == sorted(map(str, folder.iterdir()))
    assert suite["states"] == {"covered": 4, "total": 4, "percent": 100.0, "missing": []}
    assert suite["guard_outcomes"]["percent"] == suite["transitions"]["percent"] == 100.0
    assert "definition: ../call.yaml\n" in next(folder.iterdir()).read_text()
    assert phasebus("test", folder).status == 0
    assert phasebus("test", folder, "--coverage", "--json").lines[-2]["transitions"]["percent"] == 100.0


def test_people_read_what_is_not_covered_and_why(phasebus: Command, call: Path, tmp_path: Path) -> None:
    out = phasebus("explore", call, "--scenarios", tmp_path / "found", "--cases", 4).out
    assert "call: " in out
    assert "states not covered:\n    ready (not reached within the bound: there are more than 4 cases)" in out


def test_a_file_in_the_way_is_kept_and_ends_with_status_1(phasebus: Command, call: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    assert phasebus("explore", call, "--scenarios", folder).status == 0
    mine = sorted(folder.iterdir())[0]
    mine.write_text("steps: []\n")
    done = phasebus("explore", call, "--scenarios", folder)
    assert done.status == 1
    assert f"kept {mine}: somebody else wrote it" in done.err
    assert mine.read_text() == "steps: []\n"


def test_a_traffic_file_narrows_what_is_tried(phasebus: Command, call: Path, tmp_path: Path) -> None:
    path = tmp_path / "quiet.traffic.yaml"
    path.write_text("sources: {phone: [whatsapp.call_accepted]}\n")
    done = phasebus("explore", call, "--traffic", path, "--json")
    assert done.status == 1
    assert done.lines[0]["properties"]["some_call_is_ready"]["holds"] is False
    assert "ready" in done.lines[0]["unreachable_states"]


def test_a_wrong_traffic_file_is_told_in_words(phasebus: Command, call: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.traffic.yaml"
    path.write_text("sources: {phone: [Accepted]}\n")
    done = phasebus("explore", call, "--traffic", path)
    assert done.status == 1
    assert f"{path}:1:19: error: " in done.err


def test_a_bound_is_told_honestly(phasebus: Command, call: Path) -> None:
    done = phasebus("explore", call, "--cases", 10, "--json")
    assert done.status == 0
    found = done.lines[0]
    assert found["complete"] is False
    assert found["properties"]["can_end"]["holds"] is None
    assert "Not all of it: there are more than 10 cases" in phasebus("explore", call, "--cases", 10).out


def test_an_interrupt_shows_what_there_is(phasebus: Command, call: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(world: Any, bounds: Any, progress: Any, graph: Any = None) -> Any:
        def stop(found: int, tried: int, moves: int) -> None:
            if tried:
                raise KeyboardInterrupt

        monkeypatch.setattr("statemachines.exploration.search.CHECK_EVERY", 3)
        return search(world, bounds, stop, graph)

    monkeypatch.setattr("statemachines.exploration.exploring.search", interrupted)
    done = phasebus("explore", call, "--json")
    assert done.status == 0
    assert json.loads(done.out)["why_cut"] == "interrupted"


def test_wrong_use_ends_with_status_2(phasebus: Command) -> None:
    assert phasebus("explore").status == 2
    assert phasebus("explore", "whatsapp_call", "--time", "long").status == 2

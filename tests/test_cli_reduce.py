"""``phasebus reduce``: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli_helpers import Command

DOOR = """
name: door
timeouts: {patience: 10s}
states:
  shut: {initial: true, transitions: [{event: door.pushed, cond: data.strength > 2, target: ajar}]}
  ajar:
    after: {patience: broken}
    transitions: [{event: door.pulled, target: shut}]
  broken: {final: true}
"""
LINES = [
    {
        "type": "door.pushed",
        "connection_id": f"d{number % 7}",
        "at": number / 10,
        "data": {"strength": number % 4, "by": "Ann"},
    }
    for number in range(200)
]


@pytest.fixture
def door(tmp_path: Path) -> Path:
    (tmp_path / "door.yaml").write_text(DOOR)
    (tmp_path / "doors.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return tmp_path


def test_the_scenario_is_written_and_tested_as_any_other(phasebus: Command, door: Path) -> None:
    target = door / "found" / "incident.scenario.yaml"
    target.parent.mkdir()
    done = phasebus(
        "reduce", door / "door.yaml", "--events", door / "doors.jsonl", "--until", "In('broken')", "-o", target
    )
    assert (done.status, done.out) == (0, "")
    assert "2 of 207 inputs and 1 of 7 connections are left" in done.err
    assert f"wrote {target}" in done.err
    text = target.read_text()
    assert "definition: ../door.yaml\n" in text
    assert "Ann" not in text
    assert phasebus("test", door / "found").status == 0
    assert phasebus("simulate", door / "door.yaml", target).status == 0


def test_without_a_file_it_goes_to_standard_output(phasebus: Command, door: Path) -> None:
    text = (door / "doors.jsonl").read_text()
    done = phasebus("reduce", door / "door.yaml", "--events", "-", "--until", "In('ajar')", stdin=text)
    assert done.status == 0
    assert "data: {strength: 3}" in done.out
    assert "steps:" in done.out


def test_the_json_says_what_became_of_it(phasebus: Command, door: Path) -> None:
    done = phasebus("reduce", door / "door.yaml", "--events", door / "doors.jsonl", "--until", "In('broken')", "--json")
    (told,) = done.lines
    assert told["inputs"] == {"recorded": 207, "left": 2}
    assert told["connections"] == {"recorded": 7, "left": 1}
    assert told["minimal"] is True
    assert told["at"] == 10.0
    assert "at: 10s" in told["scenario"]


def test_what_never_comes_true_ends_with_status_1(phasebus: Command, door: Path) -> None:
    done = phasebus(
        "reduce", door / "door.yaml", "--events", door / "doors.jsonl", "--until", "In('broken') and data.by == 'Bob'"
    )
    assert done.status == 1
    assert "never came true in the recording (207 inputs of 7 connections)" in done.err
    assert "its part In('broken') came true for" in done.err


def test_a_line_that_is_no_event_is_told_and_the_others_are_reduced(phasebus: Command, door: Path) -> None:
    path = door / "doors.jsonl"
    path.write_text("nonsense\n" + path.read_text())
    done = phasebus("reduce", door / "door.yaml", "--events", path, "--until", "In('ajar')")
    assert done.status == 1
    assert f"{path}:1:1: error: this is not JSON" in done.err
    assert "In('ajar')" in done.out


def test_wrong_use_ends_with_status_2(phasebus: Command, door: Path) -> None:
    events = door / "doors.jsonl"
    assert phasebus("reduce", door / "door.yaml", "--events", events).status == 2
    done = phasebus("reduce", door / "door.yaml", "--events", events, "--until", "In('ajr')")
    assert done.status == 2
    assert "door has no state 'ajr' (did you mean 'ajar'?)" in done.err

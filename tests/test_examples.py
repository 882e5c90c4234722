"""Scenarios that a definition carries: checked with it, at their own lines, and played by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statemachines import DefinitionError, load_definition, parse_definition
from statemachines.simulation.library import open_scenario, scenario_names
from statemachines.validation import validate_paths
from tests.cli_helpers import Command

DEFINITION = """\
name: door
dependencies: {closed: door.closed}
states:
  open:
    initial: true
    after: {9h: shut}
    transitions: [{cond: all_ready, target: shut}]
  shut: {final: true}
examples:
  it_shuts:
    description: Somebody closes it.
    steps:
      - publish: door.closed
      - expect: {phase: shut}
  it_stays: {steps: [wait: 5s, expect: {phase: open}]}
  from_a_file: parts/slow.scenario.yaml
"""
SLOW = "steps:\n  - wait: 1h\n  - expect: {phase: open}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "slow.scenario.yaml").write_text(SLOW)
    (tmp_path / "door.yaml").write_text(DEFINITION)
    return tmp_path


def problems(text: str) -> list[str]:
    Path("door.yaml").write_text(text)
    return [str(problem) for problem in validate_paths(["door.yaml"]).problems]


def test_good_examples_are_no_problem(folder: Path) -> None:
    assert problems(DEFINITION) == []


def test_a_wrong_example_is_a_problem_at_its_line_in_the_definition(folder: Path) -> None:
    assert problems(DEFINITION.replace("{phase: shut}", "{phase: shot}")) == [
        "door.yaml:14:25: error: door has no state 'shot' (did you mean 'shut'?)"
    ]


def test_every_example_is_checked(folder: Path) -> None:
    text = DEFINITION.replace("publish: door.closed", "publsh: door.closed").replace("wait: 5s", "wait: 5")
    assert [line.partition(": error")[0] for line in problems(text)] == ["door.yaml:13:9", "door.yaml:15:28"]


def test_a_problem_in_an_example_file_is_reported_there_and_once(folder: Path) -> None:
    Path("parts/slow.scenario.yaml").write_text(SLOW.replace("phase", "phse"))
    found = [str(problem) for problem in validate_paths(["."]).problems]
    assert [line.partition(": error")[0] for line in found] == ["parts/slow.scenario.yaml:3:14"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("parts/slw.scenario.yaml", "there is no file 'parts/slw.scenario.yaml' here (did you mean"),
        ("../x.yaml", "'../x.yaml' leads out of the definition's folder"),
        ("/etc/x.yaml", "'/etc/x.yaml' is an absolute path"),
    ],
)
def test_an_example_is_read_from_the_definitions_folder_alone(folder: Path, path: str, message: str) -> None:
    (found,) = problems(DEFINITION.replace("parts/slow.scenario.yaml", path))
    assert found.startswith("door.yaml:16:16: error: ")
    assert message in found


@pytest.mark.parametrize("examples", ["[a]", "{a: 5}", "{a: [wait]}", "5", "{A: {steps: []}}"])
def test_examples_are_scenarios_by_name(examples: str) -> None:
    with pytest.raises(DefinitionError, match=r"1:\d+: error: '(examples|a|A)' "):
        parse_definition(f"{{examples: {examples}, name: x, states: {{a: {{initial: true, final: true}}}}}}")


def test_a_definition_that_extends_another_has_its_own_examples(folder: Path) -> None:
    Path("gate.yaml").write_text("{extends: door.yaml, name: gate, examples: {one: {steps: [wait: 1s]}}}")
    assert list(load_definition("gate.yaml").examples) == ["one"]


def test_names_of_examples_come_before_those_of_files_beside(folder: Path) -> None:
    (folder / "scenarios").mkdir()
    for name in ("it_shuts", "another"):
        (folder / "scenarios" / f"{name}.scenario.yaml").write_text(SLOW)
    loaded = load_definition("door.yaml")
    assert scenario_names("door.yaml", loaded) == ["it_shuts", "it_stays", "from_a_file", "another"]
    assert len(open_scenario("door.yaml", loaded, "it_shuts").steps) == 2
    assert open_scenario("door.yaml", loaded, "it_shuts").description == "Somebody closes it."


@pytest.mark.parametrize(("example", "phase"), [("it_shuts", "shut"), ("it_stays", "open"), ("from_a_file", "open")])
def test_an_example_is_played_by_its_name(folder: Path, phasebus: Command, example: str, phase: str) -> None:
    result = phasebus("simulate", "door.yaml", example, "--json")
    assert result.status == 0
    summary = json.loads(result.out.splitlines()[-1])
    assert summary["connections"]["conn_1"]["phase"] == phase


def test_a_failing_example_fails_the_command(folder: Path, phasebus: Command) -> None:
    Path("door.yaml").write_text(DEFINITION.replace("{phase: shut}", "{phase: open}"))
    assert phasebus("simulate", "door.yaml", "it_shuts").status == 1


def test_a_wrong_example_is_refused_when_played(folder: Path, phasebus: Command) -> None:
    Path("door.yaml").write_text(DEFINITION.replace("{phase: shut}", "{phase: shot}"))
    result = phasebus("simulate", "door.yaml", "it_shuts")
    assert (result.status, result.out) == (1, "")
    assert "door.yaml:14:25: error: door has no state 'shot'" in result.err


def test_an_unknown_example_is_answered_with_the_nearest(folder: Path, phasebus: Command) -> None:
    result = phasebus("simulate", "door.yaml", "it_shut")
    assert (result.status, "did you mean 'it_shuts'?" in result.err) == (1, True)
    assert "it_shuts, it_stays, from_a_file" in phasebus("simulate", "door.yaml").err

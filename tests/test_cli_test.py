"""``phasebus test``: scenarios run as tests, what they cover, and which mistakes they would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli_helpers import Command, Done

DOOR = """
name: door
timeouts: {patience: 10s}
states:
  shut:
    initial: true
    transitions: [{event: door.pushed, cond: data.strength > 2, target: ajar}]
  ajar:
    enter: [{call: ring}]
    transitions: [{event: door.pulled, target: shut}]
    after: {patience: broken}
  broken: {final: true}
properties:
  whole: {never: "In('broken')"}
"""
OPENED = """
definition: door
steps:
  - publish: door.pushed
    data: {strength: 3}
  - expect: {phase: ajar, called: ring}
"""
HELD = """
definition: door
steps:
  - publish: door.pushed
    data: {strength: 1}
  - expect: {phase: shut, not_called: ring}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "door.yaml").write_text(DOOR)
    write(tmp_path, opened=OPENED, held=HELD)
    return tmp_path


def write(folder: Path, **scenarios: str) -> None:
    for name, text in scenarios.items():
        (folder / f"{name}.scenario.yaml").write_text(text)


def told(done: Done, kind: str) -> list[dict[str, Any]]:
    return [line for line in done.lines if line["kind"] == kind]


def test_each_scenario_of_a_folder_has_a_line_and_all_are_counted(phasebus: Command, folder: Path) -> None:
    done = phasebus("test", folder)
    assert done.status == 0
    assert done.out.splitlines() == ["✓ door held", "✓ door opened", "", "✓ 2 of 2 scenarios hold"]


def test_what_failed_is_said_with_its_place_and_ends_with_status_1(phasebus: Command, folder: Path) -> None:
    write(folder, wrong=OPENED.replace("phase: ajar", "phase: shut"))
    done = phasebus("test", folder / "wrong.scenario.yaml")
    assert done.status == 1
    assert "wrong.scenario.yaml:6: phase should be shut, is ajar" in done.out
    assert "0 of 1 scenarios hold, 1 failed" in done.out


def test_a_property_that_breaks_on_the_way_fails_the_scenario(phasebus: Command, folder: Path) -> None:
    write(folder, waited=OPENED + "  - wait: 10s\n")
    done = phasebus("test", folder / "waited.scenario.yaml", "--json")
    assert done.status == 1
    assert told(done, "scenario")[0]["failures"] == ["the property whole did not hold"]


def test_what_cannot_be_run_is_told_with_its_problems_and_the_rest_is_run(phasebus: Command, folder: Path) -> None:
    write(folder, odd="definition: door\nsteps:\n  - expct: {phase: shut}\n")
    done = phasebus("test", folder, "--json")
    assert done.status == 1
    assert done.lines[-1] == {"kind": "summary", "scenarios": 3, "passed": 2, "failed": 0, "refused": 1}
    assert "odd.scenario.yaml:3:" in str(told(done, "scenario"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.scenario.yaml", "no such file"),
        ("whatsap_call", "did you mean 'whatsapp_call'"),
        ("empty", "no scenario in this folder"),
        ("door.yaml", "comes with no scenarios"),
        ("nobodys.scenario.yaml", "which definition it is for"),
    ],
)
def test_a_path_that_names_no_scenario_says_why(phasebus: Command, folder: Path, name: str, message: str) -> None:
    (folder / "empty").mkdir()
    write(folder, nobodys="steps: [wait: 1s]\n")
    done = phasebus("test", name if name.startswith("whats") else folder / name)
    assert done.status == 1
    assert message in done.out


def test_without_a_path_it_is_wrong_usage(phasebus: Command) -> None:
    assert phasebus("test").status == 2


def test_a_definition_is_tested_with_its_examples_and_none_is_run_twice(phasebus: Command, folder: Path) -> None:
    examples = "examples:\n  forced: {steps: [{expect: {phase: shut}}]}\n  opened: opened.scenario.yaml\n"
    (folder / "door.yaml").write_text(DOOR + examples)
    names = [line["name"] for line in told(phasebus("test", folder, folder / "door.yaml", "--json"), "scenario")]
    assert sorted(names) == ["forced", "held", "opened"]


def test_a_shipped_definition_is_tested_by_its_name(phasebus: Command) -> None:
    done = phasebus("test", "traffic_light", "--json", "--coverage")
    assert done.status == 0
    (covered,) = told(done, "coverage")
    assert covered["states"]["percent"] == covered["transitions"]["percent"] == 100


def test_coverage_lists_what_no_scenario_reached(phasebus: Command, folder: Path) -> None:
    (covered,) = told(phasebus("test", folder, "--coverage", "--json"), "coverage")
    assert covered["states"] == {"covered": 2, "total": 3, "percent": 66.6, "missing": ["broken"]}
    assert covered["transitions"]["missing"] == ["ajar: door.pulled to shut", "ajar: after patience to broken"]
    assert covered["guard_outcomes"] == {"covered": 2, "total": 2, "percent": 100.0, "missing": []}


def test_a_guard_that_was_only_ever_true_is_half_covered(phasebus: Command, folder: Path) -> None:
    done = phasebus("test", folder / "opened.scenario.yaml", "--coverage")
    assert "50 % of 2 guard outcomes" in done.out
    assert "when `data.strength > 2` was never false" in done.out


def test_mutation_reports_what_no_scenario_notices(phasebus: Command, folder: Path) -> None:
    def survivors(path: Path) -> set[str]:
        (mutated,) = told(phasebus("test", path, "--mutation", "--json"), "mutation")
        assert mutated["noticed"] == mutated["mutants"] - len(mutated["survivors"])
        return {f"{one['part']}: {one['change']}" for one in mutated["survivors"]}

    pushed = "shut: door.pushed when data.strength > 2 to ajar"
    unlooked = {
        f"ajar: {way}: {change}"
        for way in ("door.pulled to shut", "after patience to broken")
        for change in ("left out", "other target")
    }
    assert survivors(folder / "opened.scenario.yaml") == {*unlooked, f"{pushed}: guard dropped"}
    assert survivors(folder) == unlooked


def test_junit_tells_failures_from_errors(phasebus: Command, folder: Path) -> None:
    write(folder, wrong=OPENED.replace("phase: ajar", "phase: shut"), odd="definition: door\nsteps: [a: '\\x01']\n")
    report = folder / "results.xml"
    phasebus("test", folder, "--junit", report)
    root = ElementTree.parse(report).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "1", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases["opened"] == []
    assert cases["wrong"] == ["failure"]
    assert [tags for name, tags in cases.items() if str(name).endswith("odd.scenario.yaml")] == [["error"]]

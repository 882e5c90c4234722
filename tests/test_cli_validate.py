"""``phasebus validate``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from statemachines.language.rules import RULES
from tests.cli_helpers import Command

ROOT = Path(__file__).parent.parent
GOOD = "name: good\nstates:\n  a: {initial: true, transitions: [{event: x.went, target: b}]}\n  b: {final: true}\n"


def load_yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_everything_shipped_is_good(phasebus: Command) -> None:
    done = phasebus("validate", Path(__file__).parent.parent / "definitions")
    assert (done.status, done.out) == (0, "")
    assert done.err.rstrip().endswith("checked: no problems")


def test_a_shipped_definition_is_found_by_name(phasebus: Command) -> None:
    assert phasebus("validate", "whatsapp_call").status == 0


def test_a_problem_is_a_line_with_its_place(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(GOOD.replace("target: b", "target: bq"))
    done = phasebus("validate", path)
    assert done.status == 1
    assert done.out.startswith(f"{path}:3:")
    assert "(did you mean 'b'?)" in done.out


def test_json_is_one_object_a_problem(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(GOOD.replace("final", "fnal"))
    done = phasebus("validate", path, "--json")
    assert done.status == 1
    assert {tuple(line) for line in done.lines} == {("path", "line", "column", "severity", "message", "rule")}
    assert done.lines[0]["severity"] == "error"


def test_warnings_alone_are_no_failure(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(GOOD.replace("name: good", "name: good\ntimeouts: {unused: 5s}"))
    done = phasebus("validate", path)
    assert done.status == 0
    assert " warning: " in done.out


def test_problems_of_all_files_are_reported(phasebus: Command, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(GOOD.replace("initial", "intial"))
    done = phasebus("validate", tmp_path, tmp_path / "absent.yaml")
    assert done.status == 1
    assert all(name in done.out for name in ("one.yaml:3", "two.yaml:3", "absent.yaml:1:1"))


def test_a_scenario_is_checked_against_its_definition(phasebus: Command, tmp_path: Path) -> None:
    folder = tmp_path / "good" / "scenarios"
    folder.mkdir(parents=True)
    (tmp_path / "good" / "good.yaml").write_text(GOOD)
    (folder / "wrong.scenario.yaml").write_text("steps:\n  - expect: {phase: zz}\n")
    done = phasebus("validate", tmp_path)
    assert done.status == 1
    assert "wrong.scenario.yaml:2:" in done.out


def test_an_empty_folder_is_a_problem(phasebus: Command, tmp_path: Path) -> None:
    done = phasebus("validate", tmp_path)
    assert done.status == 1
    assert "no .yaml or .scxml file" in done.out


WARNED = GOOD.replace("name: good", "name: good\ntimeouts: {unused: 5s}")


def test_warnings_are_a_failure_if_strict(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(WARNED)
    assert phasebus("validate", path, "--strict").status == 1
    path.write_text(GOOD)
    assert phasebus("validate", path, "--strict").status == 0


def test_a_problem_names_its_rule(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(WARNED)
    assert phasebus("validate", path).out.endswith(" [unused-timeout]\n")
    assert [line["rule"] for line in phasebus("validate", path, "--json").lines] == ["unused-timeout"]


def test_rules_that_ask_about_guards_are_asked(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(GOOD.replace("event: x.went", "event: x.went, cond: 'True'"))
    assert phasebus("validate", path).out.endswith(" [guard-always-true]\n")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_explained(phasebus: Command, rule: str) -> None:
    done = phasebus("validate", "--explain", rule)
    assert done.status == 0
    assert all(part in done.out for part in (rule, RULES[rule].severity, "Wrong", "Right"))
    assert "\x1b" not in done.out


def test_an_unknown_rule_is_explained_by_the_nearest(phasebus: Command) -> None:
    done = phasebus("validate", "--explain", "dead-ends")
    assert (done.status, done.out) == (1, "")
    assert "(did you mean 'dead-end'?)" in done.err


def test_all_rules_are_listed(phasebus: Command) -> None:
    listed = [line.split()[0] for line in phasebus("validate", "--rules").out.splitlines() if line.startswith("  ")]
    assert listed == list(RULES)


def test_nothing_to_check_is_wrong_usage(phasebus: Command) -> None:
    assert phasebus("validate").status == 2
    assert phasebus("validate", "x.yaml", "--json", "--sarif").status == 2


def test_the_hook_checks_what_it_is_given(phasebus: Command, tmp_path: Path) -> None:
    (hook,) = load_yaml((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert program == "phasebus"
    assert re.search(hook["files"], "definitions/call/call.yaml")
    assert re.search(hook["files"], "calls/happy.scenario.yml")
    assert not re.search(hook["files"], "docker-compose.yaml")
    for name, text, status in (("good", GOOD, 0), ("bad", GOOD.replace("final", "fnal"), 1)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        assert phasebus(*arguments, path).status == status

"""SARIF 2.1.0: what the standard requires, and what a code host needs to show a problem in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sarif_pydantic import Sarif

from statemachines.errors import Problem
from statemachines.language.rules import RULES
from statemachines.rendering.sarif import MALFORMED, sarif_log
from tests.cli_helpers import Command

WRONG = "name: a\ntimeouts: {unused: 5s}\nstates: {a: {initial: true, final: true, 'x y': 1}}\n"


def checked(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> dict[str, Any]:
    done = Command(monkeypatch, capfd)("validate", *arguments, "--sarif")
    log: dict[str, Any] = json.loads(done.out)
    Sarif.model_validate(log)
    return log


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (tmp_path / "my calls").mkdir()
    (tmp_path / "my calls" / "é.yaml").write_text(WRONG, encoding="utf-8")
    (tmp_path / "my calls" / "b.yaml").write_text("name: a\nstates: {a: {initial: true}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    log = checked(capfd, monkeypatch, "my calls")
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    found: dict[str, Any] = log["runs"][0]
    return found


def test_every_rule_is_described(run: dict[str, Any]) -> None:
    described = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == [*RULES, MALFORMED]
    assert all(rule["shortDescription"]["text"] for rule in described)
    assert {rule["defaultConfiguration"]["level"] for rule in described} == {"error", "warning"}


def test_a_result_says_what_and_where(run: dict[str, Any]) -> None:
    by_rule = {result["ruleId"]: result for result in run["results"]}
    dead_end = by_rule["dead-end"]
    assert dead_end["level"] == "error"
    assert dead_end["message"]["text"].startswith("state 'a' is a dead end")
    (location,) = dead_end["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 2, "startColumn": 10}
    assert by_rule[MALFORMED]["message"]["text"].startswith("unknown key 'x y'")


def test_a_result_points_at_its_rule(run: dict[str, Any]) -> None:
    rules = run["tool"]["driver"]["rules"]
    assert run["results"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])


def test_paths_are_uris_below_the_root_of_the_sources(run: dict[str, Any]) -> None:
    artifacts = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]]
    assert {artifact["uri"] for artifact in artifacts} == {"my%20calls/b.yaml", "my%20calls/%C3%A9.yaml"}
    assert {artifact["uriBaseId"] for artifact in artifacts} == {"%SRCROOT%"}


def test_a_path_elsewhere_is_an_absolute_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (result,) = sarif_log([Problem(str(tmp_path / "a.yaml"), 1, 1, "error", "m")])["runs"][0]["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": (tmp_path / "a.yaml").as_uri()}


def test_no_problem_is_a_run_without_results(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert checked(capfd, monkeypatch, "whatsapp_call")["runs"][0]["results"] == []

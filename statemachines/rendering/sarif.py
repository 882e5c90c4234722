"""Problems as SARIF 2.1.0, the Static Analysis Results Interchange Format of OASIS, which code hosts show in place."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from statemachines.errors import Problem
from statemachines.language.rules import RULES, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"

MALFORMED = "malformed-file"
"""What a problem that no rule found is called here, since code hosts group results by rule."""


def sarif_log(problems: Iterable[Problem]) -> dict[str, Any]:
    """One run of ``phasebus validate`` with all its rules; a path below the working directory is relative to it."""
    rules = [_rule(rule) for rule in RULES.values()]
    rules.append(
        _described(MALFORMED, "A file is YAML, with the keys and values that the language knows.", "", "error")
    )
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    driver = {
        "name": "phasebus",
        "semanticVersion": version("phasebus"),
        "rules": rules,
    }
    results = [_result(problem, numbers) for problem in problems]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    rest = rule.explanation.partition("\n")[2].strip()
    source = f"\n\n{rule.source}." if rule.source else ""
    return _described(
        rule.name,
        rule.summary,
        f"{rest}{source}\n\nWrong:\n\n{_block(rule.wrong)}\nRight:\n\n{_block(rule.right)}".strip(),
        rule.severity,
    )


def _described(name: str, summary: str, help_text: str, level: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": name,
        "shortDescription": {"text": summary},
        "defaultConfiguration": {"level": level},
    }
    if help_text:
        described["help"] = {"text": help_text, "markdown": help_text}
    return described


def _block(example: str) -> str:
    return f"```yaml\n{example}```\n"


def _result(problem: Problem, numbers: dict[str, int]) -> dict[str, Any]:
    name = problem.rule or MALFORMED
    place = {
        "artifactLocation": _artifact(problem.path),
        "region": {"startLine": problem.line, "startColumn": problem.column},
    }
    return {
        "ruleId": name,
        "ruleIndex": numbers[name],
        "level": problem.severity,
        "message": {"text": problem.message},
        "locations": [{"physicalLocation": place}],
    }


def _artifact(path: str) -> dict[str, str]:
    """A URI: relative to the root of the sources if the file lies below the working directory, else absolute."""
    here = Path.cwd()
    absolute = (here / path).absolute()
    if absolute.is_relative_to(here):
        return {"uri": quote(absolute.relative_to(here).as_posix()), "uriBaseId": ROOT}
    return {"uri": absolute.as_uri()}

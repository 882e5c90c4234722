"""The pytest plugin that collects scenarios, tried out by running pytest on some."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

LIGHT = """
name: light
states:
  red: {initial: true, transitions: [{event: lamp.switched, target: green}]}
  green: {transitions: [{event: lamp.switched, target: red}]}
"""
SCENARIO = "definition: light\nsteps:\n  - publish: lamp.switched\n  - expect: {phase: green}\n"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of three scenarios: one that holds, one that fails, one that cannot be run."""
    folder = tmp_path_factory.mktemp("calls")
    (folder / "light.yaml").write_text(LIGHT)
    (folder / "switched.scenario.yaml").write_text(SCENARIO)
    (folder / "wrong.scenario.yaml").write_text(SCENARIO.replace("phase: green", "phase: red"))
    (folder / "odd.scenario.yaml").write_text(SCENARIO.replace("publish", "publsh"))
    arguments = ["-m", "pytest", "-v", "-W", "error", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return run.stdout + run.stderr


def test_pytest_finds_it_by_itself() -> None:
    assert [entry.value for entry in entry_points(group="pytest11", name="phasebus")] == ["pytest_phasebus"]


def test_a_scenario_that_holds_passes(output: str) -> None:
    assert "switched.scenario.yaml::switched PASSED" in output


def test_one_that_fails_says_what_and_where_with_no_traceback(output: str) -> None:
    assert "wrong.scenario.yaml:4: phase should be red, is green" in output
    assert "Traceback" not in output
    assert "2 failed, 1 passed" in output


def test_one_that_cannot_be_run_says_what_is_wrong_with_it(output: str) -> None:
    assert "odd.scenario.yaml:3:5: error:" in output
    assert "did you mean 'publish'?" in output


def test_the_plugin_imports_nothing_of_phasebus_before_there_is_a_scenario() -> None:
    code = "import sys, pytest_phasebus; print([m for m in sys.modules if m.split('.')[0] in ('bus', 'statemachines')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"

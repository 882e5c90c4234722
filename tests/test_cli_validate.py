"""``phasebus validate``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli_helpers import Command

GOOD = "name: good\nstates:\n  a: {initial: true, transitions: [{event: x.went, target: b}]}\n  b: {final: true}\n"


@pytest.fixture
def phasebus(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


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
    assert "no .yaml file" in done.out

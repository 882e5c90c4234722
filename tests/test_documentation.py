"""What README and docs show is true: their programs run, their definitions load, their commands exist."""

from __future__ import annotations

import doctest
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import bus
import statemachines
from statemachines import parse_definition
from statemachines.language import check_definition

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Every fenced block of a language, with the place where it stands."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append((f"{page.relative_to(ROOT)}:{line}", match.group(1)))
    return found


PROGRAMS = [(place, code) for place, code in blocks("python") if "anyio.run(" in code]
MODULES = [
    found.name
    for package in (bus, statemachines)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]
DEFINITIONS = [
    (place, text) for place, text in blocks("yaml") if "\nstates:" in text and text.startswith(("name:", "extends:"))
]


@pytest.mark.parametrize(("place", "code"), PROGRAMS, ids=[place for place, _ in PROGRAMS])
def test_the_program_runs(place: str, code: str, tmp_path: Path) -> None:
    readme = next(text for where, text in DEFINITIONS if where.startswith("README"))
    (tmp_path / "voice_call.yaml").write_text(readme, encoding="utf-8")
    (tmp_path / "program.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{place}: {done.stderr}"


@pytest.mark.parametrize(("place", "text"), DEFINITIONS, ids=[place for place, _ in DEFINITIONS])
def test_the_definition_has_no_problems(place: str, text: str) -> None:
    _, problems = check_definition(text, place)
    assert problems == []


def test_the_readme_has_a_definition_and_a_program() -> None:
    assert any(place.startswith("README") for place, _ in DEFINITIONS)
    assert any(place.startswith("README") for place, _ in PROGRAMS)


def test_the_readme_starts_audio_in_its_own_example() -> None:
    text = next(text for place, text in DEFINITIONS if place.startswith("README"))
    assert parse_definition(text).name == "voice_call"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_tests_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`(?:tests/)?(test_\w+\.py)", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_examples_in_docstrings_hold() -> None:
    results = [doctest.testmod(import_module(name)) for name in MODULES]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) > 50

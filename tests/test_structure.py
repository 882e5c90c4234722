"""The layout holds: imports point one way, and what is public is what each package says."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

import cli
import statemachines

ROOT = Path(__file__).parent.parent
KNOWS = {
    "bus": set(),
    "language": {"bus"},
    "table": {"bus", "language"},
    "connections": {"bus", "language", "table"},
    "lifecycle": {"bus", "language", "table", "connections"},
    "simulation": {"bus", "language", "table", "connections"},
    "interchange": {"bus", "language"},
    "exploration": {"bus", "language", "table", "connections"},
    "comparison": {"bus", "language", "table", "connections", "exploration"},
    "rendering": {"bus", "language", "table", "connections", "exploration", "comparison", "simulation"},
}
"""Which folder may import which; ``errors`` is everybody's."""
COMMAND = ("cli", "phasebus_commands")
"""What is above the library."""


def imports_of(path: Path) -> set[str]:
    """The folders that a module imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for module in modules:
            first, _, rest = module.partition(".")
            if first == "statemachines":
                found.add(rest.partition(".")[0] or "statemachines")
            elif first in ("bus", *COMMAND):
                found.add(first)
    return found - {"errors"}


@pytest.mark.parametrize("folder", KNOWS)
def test_imports_point_one_way(folder: str) -> None:
    place = ROOT / ("bus" if folder == "bus" else f"statemachines/{folder}")
    strangers = {
        f"{path.relative_to(ROOT)} imports {other}"
        for path in place.rglob("*.py")
        for other in imports_of(path) - KNOWS[folder] - {folder}
    }
    assert strangers == set()


@pytest.mark.parametrize(
    ("places", "above"),
    [
        (("bus/**/*.py", "statemachines/**/*.py", "pytest_phasebus.py"), set(COMMAND)),
        (("phasebus_commands/*.py",), {"cli"}),
    ],
)
def test_nothing_imports_what_is_above_it(places: tuple[str, ...], above: set[str]) -> None:
    paths = [path for place in places for path in ROOT.glob(place)]
    assert paths
    assert [path.name for path in paths if imports_of(path) & above] == []


def test_every_command_has_the_module_of_its_name() -> None:
    for name, command in cli.cli.commands.items():
        assert command.callback is not None
        assert (command.callback.__module__, command.callback.__name__) == (f"phasebus_commands.{name}", name)


def test_the_wheel_takes_every_module_that_is_imported() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)["tool"]
    taken = settings["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert {"bus", "statemachines", "phasebus_commands", "cli.py"} <= set(taken)
    assert set(taken) - {"definitions"} <= set(settings["mypy"]["files"])


def test_everything_public_is_there_and_documented() -> None:
    for name in statemachines.__all__:
        assert getattr(statemachines, name).__doc__, name


def test_fewer_than_thirty_names_are_public() -> None:
    assert len(statemachines.__all__) < 30
    assert sorted(statemachines.__all__) == statemachines.__all__


def test_every_module_says_what_it_is() -> None:
    modules = [
        *ROOT.glob("bus/**/*.py"),
        *ROOT.glob("statemachines/**/*.py"),
        *ROOT.glob("phasebus_commands/*.py"),
        ROOT / "cli.py",
        ROOT / "pytest_phasebus.py",
    ]
    silent = [
        str(path.relative_to(ROOT))
        for path in modules
        if path.read_text(encoding="utf-8").strip()
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []

"""What the package ``bus`` shows, loads and knows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import bus
import bus.middleware

BUS = Path(bus.__file__).parent


def public_names(package: ModuleType) -> set[str]:
    return {
        name for name, value in vars(package).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }


def test_all_is_what_is_public() -> None:
    assert set(bus.__all__) == public_names(bus)
    assert set(bus.middleware.__all__) == public_names(bus.middleware)


def test_all_is_short_and_sorted() -> None:
    assert len(bus.__all__) < 30
    assert bus.__all__ == sorted(bus.__all__)


def test_every_error_is_a_phasebus_error() -> None:
    errors = [value for name in bus.__all__ if isinstance(value := getattr(bus, name), type)]
    for error in errors:
        if issubclass(error, Exception):
            assert issubclass(error, bus.PhasebusError)


def test_importing_bus_loads_nothing_of_the_command_the_statecharts_or_monitoring() -> None:
    code = "import bus, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BUS.parent)
    loaded = set(run.stdout.split())
    assert loaded & {"rich", "ruamel", "click", "statemachine", "statemachines", "phasebus_commands", "cli"} == set()
    assert loaded & {"trio", "yaml"} == set()
    assert loaded & {"prometheus_client", "opentelemetry"} == set()


def test_bus_imports_nothing_from_statemachines() -> None:
    above = ("statemachines", "phasebus_commands", "cli")
    for path in BUS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.partition(".")[0] in above], path


def test_bus_is_typed() -> None:
    assert (BUS / "py.typed").exists()

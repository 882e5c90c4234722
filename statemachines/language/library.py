"""The definitions that ship with phasebus, and how a name or a path becomes a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from statemachines.errors import DefinitionError, Problem
from statemachines.language.names import nearest

# A wheel carries the definitions inside the package; a checkout has them beside it.
_INSIDE = "definitions"
_BESIDE = Path(__file__).resolve().parents[2] / "definitions"


def find_definition(name_or_path: str | Path) -> Path:
    """The file of a shipped definition's name, or of a path: anything with a suffix or separator, or that exists.

    :raises DefinitionError: if it is no path and no shipped definition has that name.

    >>> find_definition("whatsapp_call").name
    'whatsapp_call.yaml'
    """
    if isinstance(name_or_path, Path) or _looks_like_a_path(name_or_path):
        return Path(name_or_path)
    for folder in _folders():
        file = folder / name_or_path / f"{name_or_path}.yaml"
        if file.is_file():
            return file
    if os.path.exists(name_or_path):
        return Path(name_or_path)
    known = shipped_definitions()
    hint = nearest(name_or_path, known)
    message = f"no definition is called '{name_or_path}'{hint}: shipped are {', '.join(known)}, or give a path"
    raise DefinitionError([Problem(name_or_path, 1, 1, "error", message)])


def shipped_definitions() -> list[str]:
    """The names of the definitions that ship with phasebus, sorted."""
    names = {
        entry.name for folder in _folders() for entry in folder.iterdir() if (entry / f"{entry.name}.yaml").is_file()
    }
    return sorted(names)


def _looks_like_a_path(text: str) -> bool:
    return not text or "\0" in text or "/" in text or os.sep in text or bool(Path(text).suffix)


def _folders() -> Iterator[Path]:
    """Where definitions ship, the installed package first."""
    inside = Path(str(resources.files("statemachines"))) / _INSIDE
    for folder in (inside, _BESIDE):
        if folder.is_dir():
            yield folder

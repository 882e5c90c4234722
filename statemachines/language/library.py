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
_FRAGMENTS = "fragments"
_BESIDE = Path(__file__).resolve().parents[2] / "definitions"


def find_definition(name_or_path: str | Path) -> Path:
    """The file of a shipped definition's name, or of a path: anything with a suffix or separator, or that exists.

    :raises DefinitionError: if it is no path and no shipped definition has that name.

    >>> find_definition("whatsapp_call").name
    'whatsapp_call.yaml'
    """
    if isinstance(name_or_path, Path) or looks_like_a_path(name_or_path):
        return Path(name_or_path)
    if (file := shipped_file(name_or_path)) is not None:
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


def shipped_file(name: str) -> Path | None:
    """The file of the shipped definition or fragment of that name."""
    for folder in _folders():
        for file in (folder / name / f"{name}.yaml", folder / _FRAGMENTS / f"{name}.yaml"):
            if file.is_file():
                return file
    return None


def shipped_names() -> list[str]:
    """The names of the definitions and fragments that ship with phasebus, sorted."""
    fragments = {file.stem for folder in _folders() for file in (folder / _FRAGMENTS).glob("*.yaml")}
    return sorted(fragments.union(shipped_definitions()))


def library_of(file: Path) -> Path:
    """The folder of all shipped definitions in which a shipped file lies."""
    return next(folder for folder in _folders() if file.is_relative_to(folder))


def looks_like_a_path(text: str) -> bool:
    """Whether ``text`` is a path, and not the name of something shipped."""
    return not text or "\0" in text or "/" in text or os.sep in text or bool(Path(text).suffix)


def called_from(name_or_path: str, folder: Path) -> str:
    """What a file in a folder calls a definition: a name as it is, a path as it is from there.

    :raises ValueError: on Windows, a path on another drive
    """
    if not looks_like_a_path(name_or_path):
        return name_or_path
    return Path(os.path.relpath(name_or_path, folder.resolve())).as_posix()


def _folders() -> Iterator[Path]:
    """Where definitions ship, the installed package first."""
    inside = Path(str(resources.files("statemachines"))) / _INSIDE
    for folder in (inside, _BESIDE):
        if folder.is_dir():
            yield folder

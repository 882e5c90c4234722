"""Which file is meant by a name or path inside a definition, and which files may be read at all.

A definition may come from a stranger, so that what it names is read only if it is YAML, and lies in the folder of the
definition that was asked for or below it; every link is followed before this is judged, and what lies elsewhere is not
even looked for. The shipped definitions and fragments may be named from anywhere. A text has no folder, and so names
only these.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from attrs import frozen

from statemachines.language.durations import shortened
from statemachines.language.library import library_of, looks_like_a_path, shipped_file, shipped_names
from statemachines.language.names import is_name, near
from statemachines.language.scalars import describe
from statemachines.language.structuring import Wrong

SUFFIXES = (".yaml", ".yml")
_LOOKED_AT = 500


@frozen
class Beside:
    """Where a file stands that names others: its folder, as people write it, and the folder that it may not leave."""

    folder: Path
    root: Path

    @classmethod
    def of(cls, folder: Path) -> Beside:
        """For a file that somebody asked for: nothing outside of its folder is read."""
        return cls(folder, folder.resolve())


@frozen
class Found:
    """A file that may be read: its real path, the path to call it by, and where it stands."""

    real: Path
    shown: Path
    beside: Beside


def locate(named: Any, beside: Beside | None) -> Found:
    """The file that a definition means by ``named``.

    :raises Wrong: if it may not be read, or there is none; the message says what to write instead.
    """
    if not isinstance(named, str) or not named:
        raise Wrong(f"must be the name of a shipped definition or fragment, or a path, not {describe(named or None)}")
    if not looks_like_a_path(named):
        return _shipped(named, beside)
    _check_spelling(named)
    if beside is None:
        raise Wrong(
            f"'{shortened(named)}' is looked for beside a file, and this is a text: load it by its path", whole=True
        )
    shown = Path(os.path.normpath(beside.folder / named))
    try:
        real = shown.resolve()
        if not real.is_relative_to(beside.root):
            raise Wrong(f"'{shortened(named)}' leads out of the definition's folder: move the file into it", whole=True)
        if real.is_file() and real.suffix in SUFFIXES:
            return Found(real, shown, Beside(shown.parent, beside.root))
        hint = near(named, _names_beside(named, beside))
    except (OSError, ValueError, RuntimeError):  # a path that no file can have, or links in a circle
        hint = ""
    raise Wrong(f"there is no file '{shortened(named)}' here{hint}", whole=True)


def _check_spelling(named: str) -> None:
    if PurePosixPath(named).is_absolute() or PureWindowsPath(named).anchor:
        raise Wrong(f"'{shortened(named)}' is an absolute path: write it relative to this file", whole=True)
    if "\\" in named or "\0" in named:
        raise Wrong(f"'{shortened(named)}' is no path: write it with '/' between folders", whole=True)
    if not named.endswith(SUFFIXES):
        raise Wrong(f"'{shortened(named)}' is not read: name a file that ends in .yaml", whole=True)


def _shipped(name: str, beside: Beside | None) -> Found:
    file = shipped_file(name) if is_name(name) else None
    if file is not None:
        return Found(file.resolve(), file, Beside(file.parent, library_of(file).resolve()))
    beside_it = beside is not None and f"{name}.yaml" in _names_beside("", beside)
    hint = f" (did you mean '{name}.yaml'?)" if beside_it else near(name, shipped_names())
    message = f"no shipped definition or fragment is called '{shortened(name)}'{hint}; a path ends in .yaml"
    raise Wrong(message, whole=True)


def _names_beside(named: str, beside: Beside) -> list[str]:
    """The YAML files in the folder that ``named`` leads to, written as it is, if it may be looked at."""
    start = named[: named.rfind("/") + 1]
    folder = (beside.folder / start).resolve()
    if not folder.is_relative_to(beside.root) or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [start + entry.name for entry in islice(entries, _LOOKED_AT) if entry.name.endswith(SUFFIXES)]

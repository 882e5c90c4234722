"""YAML read strictly, with the line and column of every key and value.

The events of ruamel's parser are turned into plain data by one loop with a stack of its own, so that depth costs no
Python recursion, and so that what YAML offers beyond data never gets a chance to act: aliases, merge keys and tags are
refused, not expanded. A refused part is marked ``broken``, so that whoever checks the data does not complain again
about the same place. Reading never raises: what is wrong is in ``problems``.

Weak spot: inside block scalars (``|`` and ``>``) and double-quoted text with escapes, an offset points at the
beginning of the scalar.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import Factory, define, evolve, field, frozen
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from statemachines.errors import Problem
from statemachines.language.scalars import describe, resolve
from statemachines.language.syntax import misplaced_character, read_text, syntax_problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 60

Location = tuple[str | int, ...]


@frozen
class Place:
    """Where a value begins: line and column from 1, and its raw text when it is a scalar on one line.

    What a file took over from another one keeps that file's ``path``, and ``takers`` says which lines asked for it,
    the nearest first.
    """

    line: int
    column: int
    raw: str | None = None
    path: str | None = None
    takers: tuple[str, ...] = ()

    def at(self, offset: int | None) -> tuple[int, int]:
        """The place ``offset`` characters into the value; of its beginning, quote included, with None."""
        if offset is None or self.raw is None:
            return self.line, self.column
        return self.line, self.column + _raw_offset(self.raw, offset)

    @property
    def taken(self) -> str:
        """Who took this over from its file, for the end of a message."""
        return f" (taken over by {', by '.join(self.takers)})" if self.takers else ""


@frozen
class Source:
    """A YAML file as plain data: None if it could not be read at all, and then ``problems`` says why.

    ``folder`` is where the files that it names lie; a text has none. ``complete`` is false when one that it takes a
    part from is missing or wrong, and ``fragment`` true for a file that only holds parts for others.
    """

    path: str
    data: Any = None
    problems: tuple[Problem, ...] = ()
    broken: frozenset[Location] = frozenset()
    readable: bool = True
    folder: Path | None = None
    complete: bool = True
    fragment: bool = False
    _values: Mapping[Location, Place] = field(factory=dict, repr=False)
    _keys: Mapping[Location, Place] = field(factory=dict, repr=False)

    def position(self, location: Location, *, key: bool = False, offset: int | None = None) -> tuple[int, int]:
        """Line and column of the value at ``location`` (or of its key), or of the nearest thing around it."""
        return self.place(location, key=key).at(offset if location in self._values else None)

    def place(self, location: Location, *, key: bool = False) -> Place:
        """Where the value at ``location`` stands (or its key), or the nearest thing around it."""
        if key and location in self._keys:
            return self._keys[location]
        while location not in self._values:
            if not location:
                return Place(1, 1)
            location = location[:-1]
        return self._values[location]

    def line_of(self, location: Location, *, key: bool = False) -> str:
        """``line 5``, or ``line 5 of shared.yaml`` for what another file holds."""
        place = self.place(location, key=key)
        elsewhere = place.path is not None and place.path != self.path
        return f"line {place.line} of {place.path}" if elsewhere else f"line {place.line}"

    def part(self, location: Location) -> Source:
        """What stands at ``location`` as a source of its own, with the places that it has in this file."""
        depth = len(location)
        data = self.data
        for step in location:
            data = data[step]

        def inside(places: Mapping[Location, Place]) -> dict[Location, Place]:
            return {at[depth:]: place for at, place in places.items() if at[:depth] == location}

        broken = frozenset(at[depth:] for at in self.broken if at[:depth] == location)
        return evolve(self, data=data, problems=(), broken=broken, values=inside(self._values), keys=inside(self._keys))

    def problem(
        self,
        location: Location,
        message: str,
        *,
        severity: Literal["error", "warning"] = "error",
        key: bool = False,
        offset: int | None = None,
    ) -> Problem:
        """A :class:`Problem` at ``location``: of this file, or of the one that this part was taken from."""
        place = self.place(location, key=key)
        line, column = self.position(location, key=key, offset=offset)
        return Problem(place.path or self.path, line, column, severity, message + place.taken)

    def is_broken(self, location: Location) -> bool:
        """Whether a part at or around ``location`` was refused by the reader, so that it is reported already."""
        return any(location[:length] in self.broken for length in range(len(location) + 1))


def read_file(path: str | Path, called: str | None = None) -> Source:
    """Read a YAML file; a missing, unreadable or too large one is a problem like any other.

    Its problems call it by its path, unless it is ``called`` something else.
    """
    name = called or str(path)
    content = read_content(path, name)
    return content if isinstance(content, Source) else read_yaml(content, name, Path(path).parent)


def read_content(path: str | Path, name: str) -> bytes | Source:
    """The bytes of a file, at most one more than is allowed; the problem of what is called ``name`` if there is one."""
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _unreadable(name, "there is no such file: check the path")
    except IsADirectoryError:
        return _unreadable(name, "this is a directory: name the YAML file inside it")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return _unreadable(name, f"the file cannot be read ({reason}): check the path and its permissions")


def read_yaml(content: str | bytes, path: str, folder: Path | None = None) -> Source:
    """Read YAML text, or UTF-8 bytes, into plain data with positions. Never raises on bad input.

    ``path`` is what its problems call it; ``folder`` is where files lie that it names.
    """
    if len(content) > MAX_BYTES or (isinstance(content, str) and len(content.encode("utf-8", "replace")) > MAX_BYTES):
        return _unreadable(path, f"the file is larger than the limit of 1 MiB ({MAX_BYTES} bytes): split it")
    text, wrong = read_text(content)
    wrong = wrong or misplaced_character(text)
    if wrong is not None:
        return _unreadable(path, wrong.message, wrong.line, wrong.column)
    reader = _Reader(path, text, folder)
    try:
        reader.run()
    except _Stop:
        pass
    except YAMLError as error:
        reader.report(*syntax_problem(error, text))
    except Exception as error:  # ruamel raises more than YAMLError on odd input; none of it may reach a user
        reader.report(reader.line, 1, f"this cannot be read as YAML ({type(error).__name__}): simplify this part")
    else:
        return reader.source()
    return Source(path, problems=tuple(reader.problems), readable=False)


def _unreadable(path: str, message: str, line: int = 1, column: int = 1) -> Source:
    return Source(path, problems=(Problem(path, line, column, "error", message),), readable=False)


def _raw_offset(raw: str, offset: int) -> int:
    """How far into the raw text the ``offset``-th character of its value is, quotes and doubled quotes counted."""
    if raw[:1] == "'":
        position = 1
        for _ in range(offset):
            position += 2 if raw.startswith("''", position) else 1
        return position
    if raw[:1] == '"':
        return 0 if "\\" in raw else offset + 1
    return offset


class _Stop(Exception):
    """Nothing sensible can be read beyond here; the problem is noted."""


@define
class _Frame:
    """A mapping or list that is being read. ``key`` is what the next value belongs to (None: a key comes next)."""

    location: Location
    container: dict[str, Any] | list[Any]
    key: str | None = None
    keep: bool = True
    first_lines: dict[str, int] = Factory(dict)


class _Reader:
    """Turns the parser's events into data, noting every place and everything refused."""

    def __init__(self, path: str, text: str, folder: Path | None) -> None:
        self.path = path
        self.text = text
        self.folder = folder
        self.line = 1
        self.problems: list[Problem] = []
        self.broken: set[Location] = set()
        self.values: dict[Location, Place] = {}
        self.keys: dict[Location, Place] = {}
        self.stack: list[_Frame] = []
        self.data: Any = None
        self.documents = 0

    def source(self) -> Source:
        return Source(
            self.path,
            self.data,
            tuple(self.problems),
            frozenset(self.broken),
            folder=self.folder,
            values=self.values,
            keys=self.keys,
        )

    def report(self, line: int, column: int, message: str) -> None:
        self.problems.append(Problem(self.path, line, column, "error", message))

    def run(self) -> None:
        for event in YAML(typ="safe", pure=True).parse(self.text):
            self.line = event.start_mark.line + 1
            self._handle(type(event).__name__.removesuffix("Event"), event)
        if not self.documents or () not in self.values:
            self.report(1, 1, "the file is empty: a mapping of keys and values is expected")
            raise _Stop

    def _handle(self, kind: str, event: Any) -> None:
        match kind:
            case "DocumentStart":
                self._document(event)
            case "Alias":
                self._alias(event)
            case "Scalar":
                self._scalar(event)
            case "MappingStart":
                self._open(event, {})
            case "SequenceStart":
                self._open(event, [])
            case "MappingEnd" | "SequenceEnd":
                self.stack.pop()

    def _document(self, event: Any) -> None:
        self.documents += 1
        line, column = _start(event)
        if self.documents > 1:
            self.report(line, column, "a second document begins here: a file holds one; move the rest to its own file")
            raise _Stop
        if event.version not in (None, (1, 2)):
            self.report(1, 1, "only YAML 1.2 is read: remove the %YAML line")

    def _alias(self, event: Any) -> None:
        location = self._next_location(event)
        if location is None:
            return
        line, column = _start(event)
        self.report(line, column, f"the alias *{event.anchor} is refused: write the value out here instead")
        self._place(location, Place(line, column), None)
        self.broken.add(location)

    def _scalar(self, event: Any) -> None:
        plain = event.implicit[0] and not event.style
        value = resolve(event.value) if plain else event.value
        if self._expects_key():
            self._key(event, value, merge=bool(plain and event.value == "<<"))
            return
        location = self._next_location(event)
        if location is not None:
            self._refuse_tag(event, location)
            # The parser finds an empty value only at the next token, perhaps lines below: point at its key instead.
            place = self.keys.get(location) if plain and not event.value else None
            self._place(location, place or self._scalar_place(event), value)

    def _open(self, event: Any, container: dict[str, Any] | list[Any]) -> None:
        line, column = _start(event)
        if len(self.stack) >= MAX_DEPTH:
            self.report(line, column, f"nested more than {MAX_DEPTH} levels deep: flatten this part")
            raise _Stop
        location = self._next_location(event)
        if location is None:  # a mapping or list used as a key: read past it, into nothing
            self.stack.append(_Frame((f"?{line}:{column}",), container))
            return
        self._refuse_tag(event, location)
        self._place(location, Place(line, column), container)
        self.stack.append(_Frame(location, container))

    def _expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].container, dict) and self.stack[-1].key is None

    def _next_location(self, event: Any) -> Location | None:
        """Where the value that begins with ``event`` goes; None if it stands where a key is expected."""
        if not self.stack:
            return ()
        frame = self.stack[-1]
        if isinstance(frame.container, list):
            return (*frame.location, len(frame.container))
        if frame.key is not None:
            return (*frame.location, frame.key)
        line, column = _start(event)
        self.report(line, column, "a key must be plain text: write a name followed by ':'")
        frame.key, frame.keep = f"?{line}:{column}", False
        return None

    def _key(self, event: Any, value: object, *, merge: bool) -> None:
        frame = self.stack[-1]
        place = self._scalar_place(event)
        name = str(event.value)
        frame.keep = True
        if merge:
            self.report(place.line, place.column, "merge keys (<<) are refused: write the merged keys out here")
            name, frame.keep = f"?{place.line}:{place.column}", False
        elif name in frame.first_lines:
            first = frame.first_lines[name]
            self.report(
                place.line, place.column, f"duplicate key '{name}' (first on line {first}): remove or rename one"
            )
            name, frame.keep = f"?{place.line}:{place.column}", False
        elif not isinstance(value, str):
            self._odd_key(frame, name, value, place)
        frame.first_lines.setdefault(name, place.line)
        frame.key = name
        location = (*frame.location, name)
        self.keys[location] = place
        self._refuse_tag(event, location)

    def _odd_key(self, frame: _Frame, name: str, value: object, place: Place) -> None:
        cure = f'put it in quotes ("{name}")' if name else "write a name before the ':'"
        if isinstance(value, int | float) and not isinstance(value, bool):
            cure += f", or if it is a duration give it a unit ({name}s)"
        what = "null" if value is None else describe(value)
        self.report(place.line, place.column, f"a key must be text, but this one is {what}: {cure}")
        self.broken.add((*frame.location, name))

    def _refuse_tag(self, event: Any, location: Location) -> None:
        tag = getattr(event, "ctag", None)
        if tag is not None:
            line, column = _start(event)
            self.report(line, column, f"the tag {_written(str(tag))} is refused: remove it, and quote what is text")
            self.broken.add(location)

    def _place(self, location: Location, place: Place, value: Any) -> None:
        self.values[location] = place
        if not self.stack:
            self.data = value
            return
        frame = self.stack[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
        else:
            assert frame.key is not None
            if frame.keep:
                frame.container[frame.key] = value
            frame.key = None

    def _scalar_place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        raw = self.text[start.index : end.index] if start.line == end.line and event.style not in ("|", ">") else None
        return Place(start.line + 1, start.column + 1, raw)


def _start(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _written(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")

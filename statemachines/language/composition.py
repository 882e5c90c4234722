"""A definition made of several files, put together before anything looks at it.

``extends`` at the top of a file lays it over another definition; ``include`` in a state lays that state over one from
another file. Both name a file by :func:`~statemachines.language.files.locate`. What comes out is a
:class:`~statemachines.language.source.Source` like any other, in which every part still knows the file, line and column
that it was written on, so that neither the shape check nor a rule knows of this module.

The files may come from a stranger, so that their number, their size together, how deep they name each other and how
much is copied are limited; a file that leads to itself is refused with the way that led there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen

from statemachines.errors import Problem
from statemachines.language.durations import shortened
from statemachines.language.files import Beside, Found, locate
from statemachines.language.inclusion import Inclusion, read_inclusion
from statemachines.language.merging import BROUGHT, merge_definition, merge_state
from statemachines.language.names import near
from statemachines.language.renaming import rename_states
from statemachines.language.source import MAX_BYTES, MAX_DEPTH, Source, read_file
from statemachines.language.structuring import Wrong
from statemachines.language.tree import Node, source_of, tree_of

MAX_FILES = 50
MAX_CHAIN = 10
MAX_COPIED = 100_000


def compose(source: Source) -> Source:
    """What a file says together with all that it extends and includes; the file itself if it does neither.

    Never raises: what is wrong is among the problems, at the file and line where it is wrong.
    """
    if not source.readable or not _is_composed(source.data):
        return source
    composer = _Composer()
    beside = None if source.folder is None else Beside.of(source.folder)
    real = Path(source.path) if beside is None else Path(source.path).resolve()
    whole = composer.compose(_File(source, beside, (_Way(real, source.path),)))
    return source_of(whole.tree, source, composer.problems, complete=composer.complete, fragment=whole.fragment)


def _is_composed(data: Any) -> bool:
    if not isinstance(data, dict):
        return False
    return "extends" in data or "fragment" in data or any("include" in body for body in _state_bodies(data))


def _state_bodies(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    states = holder.get("states")
    for body in states.values() if isinstance(states, dict) else ():
        if isinstance(body, dict):
            yield body
            yield from _state_bodies(body)


@frozen
class _Way:
    """A file on the way from the definition that was asked for: its real path and what it is called."""

    real: Path
    shown: str


@frozen
class _Brought:
    """A declaration that a fragment brings along, and the line that included the fragment."""

    by: Node
    declared: Node


@define
class _File:
    """A file while it is put together: how it is called, where it stands, and what fragments bring to it."""

    source: Source
    beside: Beside | None
    chain: tuple[_Way, ...]
    brought: dict[tuple[str, str], list[_Brought]] = Factory(dict)


@frozen
class _Whole:
    """A file put together."""

    tree: Node
    fragment: bool


@define
class _Composer:
    """Puts files together and gathers what is wrong; one for each definition that is asked for."""

    problems: dict[Problem, None] = Factory(dict)
    complete: bool = True
    done: dict[Path, _Whole | None] = Factory(dict)
    bytes_read: int = 0
    copied: int = 0

    def compose(self, file: _File) -> _Whole:
        """A file with nothing left to put in."""
        self.problems.update(dict.fromkeys(file.source.problems))
        tree = self._with_inclusions(tree_of(file.source), file, 0)
        flag, extends = tree.child("fragment"), tree.child("extends")
        if flag is not None and flag.value is not True:
            self._complain(flag, "'fragment' must be true, or left out", key=False)
        tree = tree.without("fragment", "extends")
        if extends is not None:
            tree = self._extended(tree, extends, file)
        return _Whole(self._with_brought(tree, file), flag is not None and flag.value is True)

    def _extended(self, tree: Node, extends: Node, file: _File) -> Node:
        whole = self._file(extends, file)
        base = None if whole is None else self._copy(whole.tree, extends, file, 0)
        return tree if base is None else merge_definition(base, tree, self._complain)

    # -- states from other files --

    def _with_inclusions(self, holder: Node, file: _File, depth: int) -> Node:
        """A file or state, ``depth`` levels inside its file, with what the states in it include."""
        states = holder.child("states")
        if states is None or not isinstance(states.value, dict):
            return holder
        put = {name: self._state(name, body, file, depth + 2) for name, body in states.value.items()}
        return holder.with_children({"states": states.with_children(put)})

    def _state(self, name: str, body: Node, file: _File, depth: int) -> Node:
        body = self._with_inclusions(body, file, depth)
        include = body.child("include")
        if include is None:
            return body
        body = body.without("include")
        taken = self._included(include, name, file, depth)
        return body if taken is None else merge_state(taken, body, self._complain)

    def _included(self, include: Node, name: str, file: _File, depth: int) -> Node | None:
        """The body that the state ``name`` includes."""
        inclusion = read_inclusion(include, self._give_up)
        whole = None if inclusion is None else self._file(inclusion.source, file)
        if inclusion is None or whole is None:
            return None
        found = self._picked(whole.tree, inclusion, name, include)
        if found is None:
            return None
        taken, body = found
        if not self._has_room(body, include):  # asked before the work of renaming
            return None
        renamed, met = rename_states(body, {taken: name, **inclusion.names})
        for old, node in inclusion.rename.items():
            if old not in met and old != taken:
                self._complain(node, f"nothing in '{taken}' speaks of a state '{old[:60]}'{near(old, met)}")
        if whole.fragment:
            self._note_brought(whole.tree, include, file)
        # Whether a state is where its neighbours begin is a matter of where it stands.
        return self._copy(renamed.without("initial"), include, file, depth)

    def _picked(self, tree: Node, inclusion: Inclusion, name: str, include: Node) -> tuple[str, Node] | None:
        """The state that is meant, with its id."""
        states = dict(_states_of(tree))
        top = list(getattr(tree.child("states"), "value", None) or ())
        wanted = str(top[0]) if len(top) == 1 else name
        if inclusion.state is not None:
            wanted = str(inclusion.state.value)
        if wanted not in states:
            node = inclusion.state or include
            there = f"no state '{shortened(wanted)}'{near(wanted, states)}"
            which = "" if inclusion.state else ": say which with {from: …, state: …}"
            self._give_up(node, f"'{shortened(str(inclusion.source.value))}' has {there}{which}")
            return None
        body = states[wanted]
        if body.value is None:
            return wanted, Node({}, body.place, body.key)
        if not isinstance(body.value, dict):
            self._give_up(body, f"the state '{shortened(wanted)}' must be a mapping")
            return None
        return wanted, body

    # -- what a fragment declares --

    def _note_brought(self, tree: Node, include: Node, file: _File) -> None:
        for section in BROUGHT:
            names = tree.child(section)
            copy = None if names is None else self._copy(names, include, file, 1)
            if copy is not None and isinstance(copy.value, dict):
                for name, declared in copy.value.items():
                    file.brought.setdefault((section, name), []).append(_Brought(include, declared))

    def _with_brought(self, tree: Node, file: _File) -> Node:
        """The file with each declaration that it does not make itself."""
        for (section, name), brought in file.brought.items():
            own = tree.child(section)
            first, *others = brought
            if own is None:
                own = Node({}, first.by.place)
            if not isinstance(own.value, dict) or name in own.value:
                continue
            for other in others:
                if other.declared.plain() != first.declared.plain():
                    where = f"{first.declared.place.path}:{first.declared.place.line}"
                    message = f"'{name}' under '{section}' is declared otherwise in {where}: declare it in this file"
                    self._complain(other.by, message)
            tree = tree.with_children({section: own.with_children({name: first.declared})})
        return tree

    # -- other files --

    def _file(self, node: Node, file: _File) -> _Whole | None:
        """The file that ``node`` names, put together."""
        whole = None
        if not node.broken:
            try:
                found = locate(node.value, file.beside)
                self._check_chain(found, file.chain)
                if found.real not in self.done:
                    self.done[found.real] = self._read(found, file.chain)
                whole = self.done[found.real]
            except Wrong as wrong:
                self._complain(node, wrong.message if wrong.whole else f"this {wrong.message}", key=False)
        if whole is None:
            self.complete = False
        return whole

    def _check_chain(self, found: Found, chain: tuple[_Way, ...]) -> None:
        if any(way.real == found.real for way in chain):
            shown = " → ".join([*(way.shown for way in chain), str(found.shown)])
            raise Wrong(f"this leads in a circle: {shown}", whole=True)
        if len(chain) >= MAX_CHAIN:
            raise Wrong(f"more than {MAX_CHAIN} files name each other in a row: put some together", whole=True)
        if len(self.done) >= MAX_FILES and found.real not in self.done:
            raise Wrong(f"more than {MAX_FILES} files make up this definition: put some together", whole=True)

    def _read(self, found: Found, chain: tuple[_Way, ...]) -> _Whole | None:
        self.bytes_read += found.real.stat().st_size
        if self.bytes_read > MAX_BYTES:
            raise Wrong(f"the files of this definition are larger than 1 MiB together ({MAX_BYTES} bytes)", whole=True)
        shown = str(found.shown)
        source = read_file(found.real, called=shown)
        if source.readable and isinstance(source.data, dict):
            return self.compose(_File(source, found.beside, (*chain, _Way(found.real, shown))))
        self.problems.update(dict.fromkeys(source.problems))
        if source.readable:
            self.problems[source.problem((), "must be a mapping with keys such as name, dependencies, states")] = None
        return None

    def _copy(self, node: Node, by: Node, file: _File, depth: int) -> Node | None:
        """A copy of a part of another file, to be put ``depth`` levels inside this one by the line ``by``."""
        if not self._has_room(node, by):
            return None
        self.copied += sum(1 for _ in node.walk())
        if depth + node.depth() > MAX_DEPTH:
            self._give_up(by, f"with what this takes over, more than {MAX_DEPTH} levels are nested: flatten this part")
            return None
        return node.taken_by(f"{file.source.path}:{by.place.line}")

    def _has_room(self, node: Node, by: Node) -> bool:
        """Whether a part of another file is not too much to be taken over, with all that was."""
        if self.copied + sum(1 for _ in node.walk()) <= MAX_COPIED:
            return True
        self._give_up(by, f"more than {MAX_COPIED} values are taken over from other files: take over less")
        return False

    # -- what goes wrong --

    def _complain(self, node: Node, message: str, *, key: bool = True) -> None:
        place = node.key if key and node.key is not None else node.place
        self.problems[Problem(place.path or "", place.line, place.column, "error", message + place.taken)] = None

    def _give_up(self, node: Node, message: str) -> None:
        """Something is missing from here on, so that what only follows from that must not be reported."""
        self.complete = False
        self._complain(node, message, key=False)


def _states_of(holder: Node) -> Iterator[tuple[str, Node]]:
    """Every state inside a file or state, with its id."""
    states = holder.child("states")
    if states is not None and isinstance(states.value, dict):
        for name, body in states.value.items():
            yield name, body
            yield from _states_of(body)

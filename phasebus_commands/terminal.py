"""What commands write to: consoles, timelines, and the line that says how far something is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from statemachines.rendering.json_lines import JsonLines
    from statemachines.rendering.timeline import Timeline


def make_console(file: IO[str] | None = None) -> Console:
    """A console on a file or on standard output."""
    from rich.console import Console

    # Piped output gets all the width it needs: a line must not be broken for a program that reads it.
    width = None if (file or sys.stdout).isatty() or "COLUMNS" in os.environ else 120
    return Console(file=file, width=width, highlight=False)


def make_timeline(
    as_json: bool, payloads: bool, awaited: Callable[[str], Sequence[str]], console: Console | None = None
) -> JsonLines | Timeline:
    """What takes the entries of a timeline: for programs, or for people (there ``console`` may be another one)."""
    if as_json:
        from statemachines.rendering.json_lines import JsonLines

        return JsonLines(sys.stdout)
    from statemachines.rendering.timeline import Timeline

    return Timeline(console or make_console(), awaited, show_payloads=payloads)


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None] | None]:
    """A line on standard error that says how far something is; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with make_console(sys.stderr).status(what) as status:
        yield status.update


@contextmanager
def search_progress(what: str) -> Iterator[Callable[[int, int, int], None] | None]:
    """The same for a search, which says how many cases it found and tried, and how many moves."""
    with progress(what) as say:
        if say is None:
            yield None
            return
        yield lambda found, tried, moves: say(
            f"{found:,} cases found, {found - tried:,} still to try, {moves:,} moves tried (Ctrl-C: show what there is)"
        )


def nothing(_: object) -> None:
    """Where nobody wants to be told."""

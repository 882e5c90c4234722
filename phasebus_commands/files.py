"""Files that commands write: drawings and scenarios."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from statemachines.explored_scenarios import Files, Written


def write_drawing(form: str, output: str | None, draw: Callable[[], bytes]) -> int:
    """Write a drawing, made before the file is opened: one that fails must leave it as it was."""
    if form == "png" and output is None and sys.stdout.isatty():
        raise click.UsageError("A PNG is nothing for a terminal: name a file with -o.")
    drawn = draw()
    with click.open_file(output or "-", "wb") as target:
        target.write(drawn)
    return 0


def write_scenarios(scenarios: Sequence[Written], folder: str, called: str) -> Files:
    """Write scenarios into a folder, and say of each file what became of it."""
    from pathlib import Path

    from statemachines import explored_scenarios

    files = explored_scenarios.write_scenarios(scenarios, Path(folder), called)
    for words, paths in files.told():
        for path in paths:
            click.echo(words.format(path), err=True)
    return files

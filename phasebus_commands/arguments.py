"""Arguments and options that several commands have, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from statemachines import Definition
    from statemachines.exploration import Bounds

INPUT = click.Path(exists=True, dir_okay=False, allow_dash=True)
OUTPUT = click.Path(dir_okay=False, writable=True)
FOLDER = click.Path(file_okay=False)

EVENTS_HELP = "JSON lines of events: a file, or - for standard input."
OBJECT_HELP = "One JSON object, nothing else on standard output."
LINES_HELP = "One JSON object a line, the summary last."
OUTPUT_HELP = "Write to this file instead."
TIME_HELP = "Stop after that long."

definition_argument = click.argument("definition", metavar="DEFINITION")
cases_option = click.option(
    "--cases", default=1_000_000, show_default=True, type=click.IntRange(1), help="Stop at so many cases."
)
time_option = click.option("--time", "longest", default="30s", show_default=True, metavar="DURATION", help=TIME_HELP)


def load(definition: str) -> Definition:
    """The definition of a path or a shipped name."""
    from statemachines.language import load_definition

    return load_definition(definition)


def duration(option: str, text: str) -> float:
    """The seconds that an option means; wrong usage if it is no duration."""
    from statemachines.language import DurationError, parse_duration

    try:
        return parse_duration(text)
    except DurationError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def bounds(cases: int, longest: str) -> Bounds:
    """The bounds that ``--cases`` and ``--time`` set to a search."""
    from statemachines.exploration import Bounds

    return Bounds(cases, duration("--time", longest))


def input_name(path: str) -> str:
    """What an input is called in messages."""
    return "<stdin>" if path == "-" else path

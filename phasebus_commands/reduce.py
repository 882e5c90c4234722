"""``phasebus reduce``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from phasebus_commands.arguments import (
    EVENTS_HELP,
    INPUT,
    OBJECT_HELP,
    OUTPUT,
    TIME_HELP,
    definition_argument,
    duration,
    input_name,
    load,
)
from phasebus_commands.problems import Problems
from phasebus_commands.terminal import nothing, progress

if TYPE_CHECKING:
    from statemachines import Definition
    from statemachines.simulation.reduction import Reduced
    from statemachines.simulation.until import Until


@click.command(short_help="From a recording of an incident to the smallest scenario that shows it.")
@definition_argument
@click.option("--events", required=True, type=INPUT, help=EVENTS_HELP)
@click.option("--until", required=True, metavar="EXPR", help="What came true in the incident, for some connection.")
@click.option("-o", "--output", type=OUTPUT, help="Write the scenario to this file.")
@click.option("--time", "longest", default="60s", show_default=True, metavar="DURATION", help=TIME_HELP)
@click.option("--json", "as_json", is_flag=True, help=OBJECT_HELP)
def reduce(definition: str, events: str, until: str, output: str | None, longest: str, as_json: bool) -> int:
    """From recorded events, thousands perhaps, to the smallest scenario in which EXPR still comes true.

    Connections, events, fields of payloads and waits are left out as long as EXPR comes true without them; ids, numbers
    and texts that need not be what they were become neutral ones. EXPR is asked after each step of each connection:
    what a guard may ask, the event of the step included, and 'connection.ready' in published. Status 1 if it never
    comes true. Ctrl-C writes what is smallest so far.

    \b
    phasebus reduce whatsapp_call --events calls.jsonl --until "In('reconnecting')" -o incident.scenario.yaml
    phasebus reduce my_call.yaml --events calls.jsonl --until "In('ready') and not all_ready"
    phasebus reduce my_call.yaml --events - --until "visits.trying > 3 and 'call.billed' in published" < calls.jsonl
    """
    from statemachines.simulation.recording import recorded_events
    from statemachines.simulation.reduction import reduce_recording

    loaded, problems = load(definition), Problems()
    asked = _asked(until, loaded)
    seconds = duration("--time", longest)
    with click.open_file(events, "rb") as lines:
        recording = list(recorded_events(lines, input_name(events), problems.add))
    problems.tell()
    with progress("reducing") as status:
        reduced = reduce_recording(loaded, recording, asked, status or nothing, seconds)
    _write(reduced, definition, output, as_json)
    return 1 if problems.failed else 0


def _asked(until: str, definition: Definition) -> Until:
    """What is to come true; wrong usage if it is no expression of the definition."""
    from statemachines.errors import ExpressionError
    from statemachines.simulation.until import Until

    try:
        return Until(until, definition)
    except ExpressionError as error:
        raise click.BadParameter(error.message, param_hint="--until") from None


def _write(reduced: Reduced, called: str, output: str | None, as_json: bool) -> None:
    """Write the scenario to its file or to standard output, and say what became of the recording."""
    from pathlib import Path

    from statemachines.language.library import called_from

    text = reduced.text(called_from(called, Path(output or "").parent))
    if output is not None:
        with click.open_file(output, "w", encoding="utf-8") as file:
            file.write(text)
    if as_json:
        click.echo(json.dumps({**reduced.to_dict(), **({"path": output} if output else {"scenario": text})}))
    elif output is None:
        click.echo(text, nl=False)
    click.echo(f"{reduced}{f': wrote {output}' if output else ''}", err=True)

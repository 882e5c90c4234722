"""``phasebus run``; the run itself is in :mod:`.run_live`, imported when there is one."""

from __future__ import annotations

import click

from phasebus_commands.arguments import EVENTS_HELP, INPUT, definition_argument, duration, load


@click.command(short_help="Run a definition live: events in, lifecycle events out.")
@definition_argument
@click.option("--events", type=INPUT, default="-", show_default=True, help=EVENTS_HELP)
@click.option("--timeline", is_flag=True, help="Show a timeline for people instead of JSON lines.")
@click.option("--stats", is_flag=True, help="Show live on standard error what the bus and the connections do.")
@click.option("--paced", is_flag=True, help="Publish each event at its recorded time instead of at once.")
@click.option(
    "--linger", metavar="DURATION", default="0s", show_default=True, help="After the last event, wait so long for ends."
)
@click.option("--payloads", is_flag=True, help="Show personal data in the timeline too.")
def run(definition: str, events: str, timeline: bool, stats: bool, paced: bool, linger: str, payloads: bool) -> int:
    """Run a definition live: events in as JSON lines, what follows from them out as JSON lines.

    A sidecar for a gateway in any language. An event connection.created registers its connection. A line that is no
    event is reported on standard error; the run goes on, and ends with status 1.

    --stats keeps a table on the terminal: events by type, connections by phase, and how long handlers take. Where
    standard error is no terminal, it is written once, at the end. Standard output stays what it is.

    \b
    my_gateway | phasebus run my_call.yaml | my_gateway_control
    phasebus run whatsapp_call --events call.jsonl --timeline --paced
    my_gateway | phasebus run my_call.yaml --stats > out.jsonl
    """
    from phasebus_commands.run_live import LiveRun

    loaded = load(definition)
    linger_s = duration("--linger", linger)
    live = LiveRun(timeline=timeline, statistics=stats, payloads=payloads)
    return live.run(loaded, events, paced=paced, linger_s=linger_s)

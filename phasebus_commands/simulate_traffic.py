"""``phasebus simulate --traffic``: calls drawn from a file that says who sends what."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from phasebus_commands.arguments import load
from phasebus_commands.terminal import make_console, make_timeline, nothing, progress

if TYPE_CHECKING:
    from statemachines.simulation.calls import CallRunner
    from statemachines.simulation.traffic_summary import Drawn, TrafficSummary

_CALLS = 1000


def draw(
    called: str,
    traffic: str,
    *,
    calls: int | None,
    seed: int | None,
    phase: str | None,
    until: float | None,
    csv: str | None,
    picture: str | None,
    call: int | None,
    as_json: bool,
    payloads: bool,
) -> int:
    """Draw calls from a traffic file, and say what became of them; status 130 if that was interrupted."""
    from statemachines.language.traffic import find_traffic, load_traffic
    from statemachines.simulation.calls import CallRunner, find_phase, rates_missing
    from statemachines.simulation.traffic_summary import Drawn

    definition = load(called)
    file = find_traffic(called, traffic)
    sent = load_traffic(file, definition)
    drawn = Drawn(definition, calls or _CALLS, 1 if seed is None else seed, find_phase(definition, phase))
    runner = CallRunner(definition, sent, drawn.seed, drawn.phase, until)
    for warning in rates_missing(sent):
        click.echo(f"{file}: warning: {warning}", err=True)
    if call is not None:
        if csv is not None or picture is not None or calls is not None:
            raise click.UsageError("--call shows one call, and goes with none of --calls, --csv and --picture.")
        return _tell_one(runner, call, as_json=as_json, payloads=payloads)
    summary = _summarised(drawn, runner, csv)
    if picture is not None:
        _write_picture(summary, picture)
    _report(summary, as_json)
    return 130 if summary.interrupted else 0


def _tell_one(runner: CallRunner, call: int, *, as_json: bool, payloads: bool) -> int:
    """Show one call step by step."""
    timeline = make_timeline(as_json, payloads, runner.simulation.awaited)
    runner.tell(call, timeline.add)
    timeline.close(runner.simulation.summary.to_dict())
    return 0


def _summarised(drawn: Drawn, runner: CallRunner, csv: str | None) -> TrafficSummary:
    """Run all calls, each with a row in the CSV file if one is wanted."""
    from statemachines.simulation.traffic_summary import CallRows, summarise

    with ExitStack() as files, progress("simulating") as status:
        rows = None
        if csv is not None:
            rows = CallRows(files.enter_context(click.open_file(csv, "w", encoding="utf-8")), drawn.definition)
        say = nothing if status is None else _calls_so_far(status, drawn.calls)
        return summarise(drawn, runner, nothing if rows is None else rows.add, say)


def _calls_so_far(status: Callable[[str], None], calls: int) -> Callable[[int], None]:
    """How far drawing calls is, in words."""
    return lambda done: status(f"{done:,} of {calls:,} calls (Ctrl-C: show what there is)")


def _write_picture(summary: TrafficSummary, path: str) -> None:
    from statemachines.rendering.traffic_picture import render_traffic_picture

    with click.open_file(path, "w", encoding="utf-8") as file:
        file.write(render_traffic_picture(summary))


def _report(summary: TrafficSummary, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary.to_dict()))
        return
    from statemachines.rendering.traffic import TrafficReport

    make_console().print(TrafficReport(summary))

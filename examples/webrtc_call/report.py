"""The call told to people, as a timeline, and to programs, as JSON lines. Neither holds phone numbers or SDP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from bus import Event, event_to_dict
from examples.webrtc_call.call import CallReport

NOT_SHOWN = frozenset({"connection_id", "phone_number", "caller", "sdp", "configuration"})
"""Personal, long, or the same in every line."""


def json_lines(report: CallReport) -> Iterator[str]:
    """One object an event, and a summary as the last."""
    for heard in report.timeline:
        yield json.dumps(
            {
                "at": round(heard.at - report.started_at, 6),
                "connection": heard.event.connection_id,
                "type": heard.event.type,
                "data": _details(heard.event),
            },
            default=str,
        )
    yield json.dumps(
        {
            "kind": "summary",
            "connection": report.connection_id,
            "phases": report.phases,
            "ready_to_audio_s": report.ready_to_audio_s,
            "heard_by_caller": report.heard_by_caller,
            "heard_from_caller": report.heard_from_caller,
            "heard_from_model": report.heard_from_model,
        }
    )


def print_timeline(report: CallReport, console: Console) -> None:
    """A line an event, with the seconds since the start, and what came of it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("seconds", justify="right", style="cyan")
    table.add_column("event")
    table.add_column("details", style="dim", overflow="fold")
    for heard in report.timeline:
        event = heard.event
        details = ", ".join(f"{name}: {_short(value)}" for name, value in _details(event).items())
        style = "bold green" if event.type.startswith("connection.") else None
        table.add_row(f"{heard.at - report.started_at:.3f}", event.type, details, style=style)
    console.print(table)
    console.print()
    if report.ready_to_audio_s is None:
        console.print("never ready, so no audio was sent")
    else:
        console.print(f"ready → first audio frame sent: [bold]{report.ready_to_audio_s * 1000:.2f} ms[/]")
    console.print(
        f"frames really heard: {report.heard_by_caller} by the caller,"
        f" {report.heard_from_caller} from the caller, {report.heard_from_model} from the model"
    )


def _details(event: Event) -> dict[str, Any]:
    data = event_to_dict(event).get("data")
    if not isinstance(data, dict):
        return {}
    return {name: value for name, value in data.items() if name not in NOT_SHOWN}


def _short(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

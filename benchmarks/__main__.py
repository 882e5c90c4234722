"""The command: runs the comparisons named, or all, and prints their ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Report, Scale, wanted, written

NAMES = (
    "one_step",
    "table_step",
    "cold",
    "growth",
    "connection_memory",
    "million",
    "exploring",
    "drawing",
    "simulating",
    "bus_inline",
    "bus_queued",
    "bus_parts",
    "bus_scaling",
    "whole_event",
    "whole_call",
    "timer_lateness",
    "polling",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Exit status 2 if a peer is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="phasebus beside its peers, in one run")
    parser.add_argument("name", nargs="*", help=f"which comparisons: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the reports there, too")
    parser.add_argument("--quick", action="store_true", help="about a second each: whether it works, not how fast")
    asked = parser.parse_args(arguments)
    unknown = sorted({*asked.name} - {*NAMES})
    if unknown:
        parser.error(f"no comparison {', '.join(unknown)}; there are {', '.join(NAMES)}")

    console = Console()
    console.print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores")
    reports: list[Report] = []
    for name in asked.name or NAMES:
        try:
            found = run(name, Scale(asked.quick))
        except ModuleNotFoundError as missing:
            print(f"{name} needs {missing.name}: pip install -e '.[dev,bench]'", file=sys.stderr)
            return 2
        for report in found:
            show(console, report)
        reports += found
    if asked.json:
        asked.json.write_text(json.dumps([report.to_dict() for report in reports], indent=2, ensure_ascii=False))
    return 0


def run(name: str, scale: Scale) -> list[Report]:
    """The reports of one module here."""
    reports: list[Report] = import_module(f"benchmarks.{name}").reports(scale)
    return reports


def show(console: Console, report: Report) -> None:
    """Print one report as a table."""
    table = Table(title=report.name, title_justify="left", title_style="bold", caption=report.meaning)
    table.caption_justify = "left"
    table.add_column("side")
    table.add_column("ratio", justify="right")
    table.add_column("min–max", justify="right")
    table.add_column("target")
    table.add_column("aside: one costs", justify="right", style="dim")
    table.add_row(report.ours, "1", "", "", written(report.cost, report.unit))
    for ratio in report.ratios:
        spread = f"{ratio.low:.3g}–{ratio.high:.3g}"
        table.add_row(ratio.peer, f"{ratio.median:.3g}", spread, wanted(ratio), written(ratio.cost, report.unit))
    console.print()
    console.print(table)
    for limit in report.limits:
        console.print(f"  {limit}")
    for remark in report.remarks:
        console.print(f"  {remark}", style="dim")


if __name__ == "__main__":
    sys.exit(main())

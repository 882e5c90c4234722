"""Drawing: what a picture of 200 states takes, and how much of that is the layout engine's own."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from attrs import evolve

from benchmarks.measuring import Comparison, Limit, Report, Scale, Side, measure
from statemachines import Definition, parse_definition
from statemachines.rendering.dot import render_dot
from statemachines.rendering.pictures import draw, render_picture

DRAWN_WITHIN_S = 5.0
INNER = 9


def large_definition(groups: int) -> Definition:
    """So many compound states, one after the other, of nine states each with a guard and a timer; and an end."""
    lines = ["name: large", "states:"]
    for group in range(groups):
        target = f"g{group + 1}" if group < groups - 1 else "done"
        ways = f"[{{event: group.left, target: {target}}}, {{event: all.ended, target: done}}]"
        lines += [f"  g{group}:", f"    initial: {str(not group).lower()}", f"    transitions: {ways}", "    states:"]
        for one in range(INNER):
            way = f"{{event: step.taken, cond: data.n > {one}, target: s{group}_{(one + 1) % INNER}}}"
            initial = f"initial: {str(not one).lower()}"
            lines.append(f"      s{group}_{one}: {{{initial}, after: {{5s: s{group}_0}}, transitions: [{way}]}}")
    return parse_definition("\n".join([*lines, "  done: {final: true}"]))


def reports(scale: Scale) -> list[Report]:
    """Seconds a picture."""
    definition = large_definition(scale(20, 2))
    graph = render_dot(definition)
    report = measure(
        Comparison(
            "drawing",
            f"one SVG of {len(list(definition.walk()))} states",
            "seconds",
            Side("phasebus show", lambda: _seconds(lambda: render_picture(definition, "svg"))),
            (Side("the layout engine alone", lambda: _seconds(lambda: draw(graph, "svg"))),),
        ),
        rounds=scale(3, 1),
    )
    return [evolve(report, limits=(Limit("drawn within", report.cost, DRAWN_WITHIN_S, "seconds"),))]


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began

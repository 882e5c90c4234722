"""A definition as one HTML file that plays it: the picture, and the rows of the step table.

The file asks nothing of a network and evaluates nothing of the definition: the scripts in ``player/`` look rows of
:mod:`~statemachines.exploration.playable` up, and keep a clock. A content security policy lets no other script run, and
everything that comes from a definition is text: JSON in which ``<`` is escaped, and an SVG that escapes it already.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statemachines.exploration.labels import Label
from statemachines.exploration.playable import MAX_CASES, playable
from statemachines.exploration.rows import ChartRows, FactRows, Field, Key, Mark, Outcome, Playable, Told, frozen_event
from statemachines.language.definition import Definition
from statemachines.language.durations import MAX_DURATION_S
from statemachines.rendering.dot import arrow_id, render_dot
from statemachines.rendering.flow import flow
from statemachines.rendering.highlight import Highlight
from statemachines.rendering.pictures import draw
from statemachines.rendering.signs import UNICODE
from statemachines.rendering.story import Story, story_of
from statemachines.simulation.scenario import Scenario
from statemachines.simulation.scenario_writing import registration_data
from statemachines.simulation.simulator import Simulation, run_scenario
from statemachines.table.record import Record

_PARTS = Path(__file__).parent / "player"
_SCRIPTS = ("table.js", "play.js", "sharing.js", "picture.js", "panels.js", "main.js")


def render_page(
    definition: Definition,
    highlight: Highlight | None = None,
    scenario: Scenario | None = None,
    called: str | None = None,
    max_cases: int = MAX_CASES,
) -> str:
    """The page; it opens where ``scenario`` ends, with its steps to go back through.

    ``called`` is what a copied scenario calls the definition.

    :raises CannotPlay: the scenario does more than let events and time come to one connection
    :raises PictureError: there is no layout engine, or it fails
    :raises StepNeverSettles: the eventless transitions of the initial states go in a circle
    """
    story = Story() if scenario is None else story_of(scenario)
    rows = playable(
        definition,
        dependencies=story.registration.dependencies,
        timeouts=story.registration.timeouts,
        metadata=story.registration.metadata,
        also=[symbol for _, symbol in story.events],
        near=() if scenario is None else _visited(definition, scenario),
        max_cases=max_cases,
    )
    style, script = _part("player.css"), "\n".join(_part(name) for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"{definition.name}, version {definition.version}"
    filled = {
        "policy": html.escape(policy),
        "title": html.escape(title),
        "name": html.escape(definition.name),
        "version": str(definition.version),
        "description": html.escape(UNICODE.clean(" ".join(definition.description.split()))),
        "style": style,
        "script": script,
        "picture": _picture(definition, highlight),
        "data": _json({**page_data(rows), "called": flow(called or definition.name), "story": _opening(story, rows)}),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], _part("player.html"))


def _visited(definition: Definition, scenario: Scenario) -> list[Record]:
    """The connection after each of its steps, so that the page knows its way around there."""
    found: list[Record] = []
    run_scenario(Simulation(definition, watch=lambda step: found.append(step.after)), scenario)
    return found


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8").rstrip("\n")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(data: Any) -> str:
    """JSON that can stand in a script element: neither ``</script`` nor ``<!--`` can be in it."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _picture(definition: Definition, highlight: Highlight | None) -> str:
    drawn = draw(render_dot(definition, highlight, name_arrows=True), "svg").decode()
    return drawn[drawn.index("<svg") :]


def _opening(story: Story, rows: Playable) -> dict[str, Any]:
    """What the page opens with; its events by their labels."""
    number = {frozen_event(label.symbol): place for place, label in enumerate(rows.labels) if label.symbol}
    return {
        "description": UNICODE.clean(story.description),
        "described": flow(story.description or "Played by hand."),
        "registration": flow(registration_data(story.registration)),
        "events": [[at, number[frozen_event(symbol)]] for at, symbol in story.events],
        "until": story.until,
    }


# -- the rows --


def page_data(rows: Playable) -> dict[str, Any]:
    """All that the scripts look up, as JSON has it."""
    definition = rows.definition
    numbers = {state.id: number for number, state in enumerate(definition.walk())}
    parents = definition.parents()
    outcomes = _Numbered()
    start = outcomes.number(_outcome(rows.start))
    charts = [_chart(chart, outcomes) for chart in rows.charts]
    required = rows.required
    return {
        "name": definition.name,
        "states": [
            [state.id, -1 if (parent := parents[state.id]) is None else numbers[parent]] for state in definition.walk()
        ],
        "dependencies": [[name, name in required] for name in definition.dependencies],
        "fields": [_field(one) for one in rows.fields],
        "labels": [_label(label, rows) for label in rows.labels],
        "rows": {
            label: {around: [list(one.reads), _trie(_facts(one))] for around, one in by_around.items()}
            for label, by_around in rows.rows.items()
        },
        "charts": charts,
        "outcomes": outcomes.values,
        "start": start,
        "phases": _trie(rows.phases),
        "ended": sorted(rows.ended),
        "arrows": ["" if target is None else arrow_id(source, target) for source, target in rows.transitions],
        "beside": rows.beside,
        "unseen": list(rows.unseen),
        "bound": {
            "tried": rows.bound.tried,
            "found": rows.bound.found,
            "rows": rows.bound.rows,
            "complete": rows.bound.complete,
            "depth": rows.bound.depth,
        },
    }


class _Numbered:
    """Gives equal values the same number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        key = json.dumps(value)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


def _trie(rows: Mapping[Key, Any]) -> Any:
    """Rows by the first field they read, then by the second, and so on: what they share is written once."""
    root: dict[int, Any] = {}
    for key, value in rows.items():
        if not key:
            return value
        node = root
        for part in key[:-1]:
            node = node.setdefault(part, {})
        node[key[-1]] = value
    return root


def _facts(rows: FactRows) -> dict[Key, Any]:
    """0 for nothing at all, else the number of the chart's rows, then the writes."""
    return {key: 0 if row is None else [row[1], *_flat(row[0])] for key, row in rows.rows.items()}


def _chart(rows: ChartRows, outcomes: _Numbered) -> list[Any]:
    """-1 for a step that never settles."""
    written = {key: -1 if one is None else outcomes.number(_outcome(one)) for key, one in rows.rows.items()}
    return [list(rows.reads), _trie(written)]


def _outcome(outcome: Outcome) -> list[Any]:
    return [list(_flat(outcome.writes)), [_told(one) for one in outcome.told], _timers(outcome)]


def _timers(outcome: Outcome) -> list[Any]:
    """Which states' timers end, and which begin; beyond what a scenario may last, longer is the same."""
    return [
        [ends, [[timer, min(seconds, 2 * MAX_DURATION_S)] for timer, seconds in begins]]
        for ends, begins in outcome.timers
    ]


def _flat(writes: tuple[tuple[int, int], ...]) -> list[int]:
    return [number for write in writes for number in write]


def _told(told: Told) -> dict[str, Any]:
    said = {
        "transitions": told.transitions,
        "published": told.published,
        "called": told.called,
        "invoked": told.invoked,
        "cancelled": told.cancelled,
        "again": told.again,
        "deferral": told.deferral,
    }
    return {name: value for name, value in said.items() if value}


def _field(one: Field) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": one.kind, "name": one.name}
    if one.kind == "remembered":
        said["values"] = [flow(value) for value in one.values]
    elif one.kind != "history" and one.values:
        said["values"] = list(one.values)
    return said


def _label(label: Label, rows: Playable) -> dict[str, Any]:
    if label.symbol is not None:
        kind = "mark" if isinstance(label.symbol, Mark) else label.kind
        said: dict[str, Any] = {"kind": kind, "type": label.symbol.type}
        if isinstance(label.symbol, Mark):
            return {**said, "dependency": label.symbol.dependency}
        return {**said, "data": flow(dict(label.symbol.data))} if label.symbol.data else said
    if label.timer is None:
        return {"kind": label.kind}
    spec = rows.timers[label.timer]
    after = spec.after
    return {
        "kind": "timer",
        "name": after.delay if isinstance(after.delay, str) else after.written,
        "state": spec.state,
        "target": after.transition.target,
    }

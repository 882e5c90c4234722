"""The races as a table in Markdown: what exploring finds, and how the YAML ends it."""

from __future__ import annotations

from collections.abc import Iterator

from examples.races.race import RACES, Race
from statemachines.rendering.exploration import step_words

HEAD = "| race | the shortest way into it | how the YAML ends it |\n|---|---|---|"


def table() -> str:
    """A row for each race, with links as a page in ``docs`` needs them."""
    return "\n".join([HEAD, *(_row(race) for race in RACES)])


def _row(race: Race) -> str:
    link = f"[{race.title}](../examples/races/{race.name}/README.md)"
    return f"| {link} | {'<br>'.join(_way(race))} | {race.ending} |"


def _way(race: Race) -> Iterator[str]:
    for judgement in race.explored("mistaken").properties:
        if judgement.counterexample is None:
            continue
        for step in judgement.counterexample.steps:
            yield f"`{step_words(step)}`"
        end = judgement.counterexample.end
        yield f"✗ `{judgement.name}`{f': {end}' if end else ''}"

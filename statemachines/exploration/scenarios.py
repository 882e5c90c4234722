"""Ways as scenario files, which ``phasebus simulate`` replays."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statemachines.exploration.cases import CONNECTION
from statemachines.exploration.result import Exploration, Judgement, Step, Way

ENDING = ".scenario.yaml"
_UNPRINTED = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def scenario_text(definition: str, description: str, way: Way, registration: dict[str, Any] | None = None) -> str:
    """The way as a scenario, with what it ends in as its expectation."""
    return "".join(_lines(definition, description, way, registration or {}))


def _lines(definition: str, description: str, way: Way, registration: dict[str, Any]) -> Iterator[str]:
    yield f"definition: {definition}\n"
    yield f"description: {flow(description)}\n"
    yield f"connections: {{{CONNECTION}: {flow(registration)}}}\n"
    yield "steps:\n"
    for step in way.replay:
        yield from _step(step)
    if way.configuration:
        yield f"  - expect: {{configuration: [{', '.join(way.configuration)}]}}\n"
    elif not way.replay:
        yield "  []\n"


def _step(step: Step) -> Iterator[str]:
    if isinstance(step, str):
        yield f"  - publish: {step}\n"
    elif "publish" in step:
        yield f"  - publish: {step['publish']}\n"
        if step.get("data"):
            yield f"    data: {flow(step['data'])}\n"
    else:
        yield f"  - wait: {step['wait']}\n"


def flow(value: Any) -> str:
    """A value in YAML's flow style: JSON, of which that is a superset, with bare words as keys."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(str(name))}: {flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    # What YAML does not print is escaped; JSON's own escapes would make two characters of one beyond 16 bits.
    return _UNPRINTED.sub(lambda sign: json.dumps(sign[0])[1:-1], json.dumps(value, ensure_ascii=False))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else json.dumps(name)


def counterexamples(exploration: Exploration) -> dict[str, str]:
    """The scenario of each counterexample, by the name of a file for it."""
    return {
        f"{judgement.name}{ENDING}": scenario_text(
            exploration.name, _described(judgement), judgement.counterexample, dict(exploration.registration)
        )
        for judgement in exploration.properties
        if judgement.counterexample is not None
    }


def _described(judgement: Judgement) -> str:
    end = judgement.counterexample.end if judgement.counterexample is not None else ""
    return f"{judgement.name} does not hold{': ' + end if end else ''}"


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write files into a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in files.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths

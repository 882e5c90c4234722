"""What exploring found, for people: each property with its verdict, each counterexample step by step, what never is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from statemachines.exploration.result import Exploration, Judgement, Step, Way
from statemachines.language.definition import Property
from statemachines.rendering.columns import Hanging
from statemachines.rendering.signs import Signs, signs_for
from statemachines.rendering.words import plain, property_words

MAX_LISTED = 20
MAX_STEPS = 40
_NAME_WIDTH = 30
_STEP_WIDTH = 46


@frozen
class ExplorationReport:
    """All of it, for a terminal or a file. ``properties`` are the definition's own, by name."""

    exploration: Exploration
    properties: Mapping[str, Property]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What was covered, then the properties, then what is never reached."""
        found, signs = self.exploration, signs_for(options)
        yield _covered(found, signs)
        if found.properties:
            yield Text()
        column = min(_NAME_WIDTH, max((len(one.name) for one in found.properties), default=0)) + 6
        for judgement in found.properties:
            head = Text.assemble("  ", _verdict(judgement, signs), " ", (signs.clean(judgement.name), "bold"))
            yield from _beside(head, list(self._said(judgement, signs)), column)
            yield from _ways(judgement, signs, options.max_width)
        listed = list(_listed(found, signs))
        if listed:
            yield Text()
        for name, items in listed:
            yield from _beside(Text(f"  {name}", "yellow"), _some(items, signs), 26)
        yield Text()
        for name, text in _coverage(found, signs):
            yield Hanging(Text(f"  {name}", "dim"), Text(text, "dim"), 26)

    def _said(self, judgement: Judgement, signs: Signs) -> Iterator[Text]:
        wanted = self.properties.get(judgement.name)
        yield Text(signs.clean(plain(property_words(wanted))) if wanted is not None else "")
        if judgement.vacuous:
            yield Text(f"vacuous: {judgement.why}", "yellow")
        elif judgement.holds is None:
            yield Text("not decided within the bound", "yellow")
        elif judgement.holds is False and judgement.counterexample is None:
            yield Text(judgement.why, "red")


def _beside(head: Text, lines: Sequence[Text], column: int) -> Iterator[Hanging]:
    """Lines beside a head, all in one column."""
    for number, line in enumerate(lines):
        yield Hanging(head if number == 0 else Text(), line, column)


def _covered(found: Exploration, signs: Signs) -> Text:
    text = Text.assemble(
        (signs.clean(found.name), "bold"),
        f": {_count(found.cases, 'case')} in {_count(found.configurations, 'configuration')}, "
        f"{_count(found.transitions, 'move')} tried in {found.seconds:.1f} s. ",
    )
    if found.complete:
        return text.append("That is all of it.", "green")
    text.append(f"Not all of it: {found.why_cut}", "yellow")
    return text.append(f"; {_count(found.untried, 'case')} not tried." if found.untried else ".", "yellow")


def _verdict(judgement: Judgement, signs: Signs) -> tuple[str, str]:
    if judgement.holds is None:
        return "?", "yellow"
    if judgement.holds:
        return signs.good, "yellow" if judgement.vacuous else "green"
    return signs.bad, "bold red"


def _ways(judgement: Judgement, signs: Signs, width: int) -> Iterator[Text]:
    if judgement.counterexample is not None:
        yield from way_lines(judgement.counterexample, signs, width)
    elif judgement.witness is not None and judgement.witness.steps:
        names = f" {signs.arrow} ".join(step_words(step) for step in judgement.witness.steps)
        line = Text(signs.clean(f"      as in: {names}"), "dim")
        line.truncate(width, overflow="ellipsis")
        yield line
    elif judgement.witness is not None:
        yield Text("      at the start already", "dim")


def way_lines(way: Way, signs: Signs, width: int) -> Iterator[Text]:
    """A way, a step a line, with the phase that each leads to."""
    if not way.steps:
        yield Text("      at the start already")
    step_width = min(_STEP_WIDTH, max([len(step_words(step)) for step in way.steps], default=0), max(20, width - 34))
    phase = ""
    for number, (step, then) in enumerate(zip(way.steps, way.phases, strict=True), start=1):
        if number > MAX_STEPS:
            yield Text(f"      {signs.more} and {len(way.steps) - MAX_STEPS} more")
            break
        words = signs.clean(step_words(step))
        if len(words) > step_width:
            words = words[: step_width - len(signs.more)] + signs.more
        line = Text.assemble((f"    {number:>3}  ", "dim"), words.ljust(step_width))
        if then != phase:
            line.append(f"  {signs.arrow} ", "dim").append(signs.clean(then), "cyan")
        line.rstrip()
        line.truncate(width, overflow="ellipsis" if not signs.ascii_only else "crop")
        yield line
        phase = then
    if way.end:
        yield Text(f"         {way.end}", "red")


def step_words(step: Step) -> str:
    """A step on one line: an event with its payload, or what else happens.

    >>> step_words({"publish": "call.ended", "data": {"reason": "busy"}}), step_words({"wait": "30s"})
    ('call.ended {reason: "busy"}', 'wait 30s')
    """
    if isinstance(step, str):
        return step
    if "publish" in step:
        data = step.get("data") or {}
        inner = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in data.items())
        words = f"{step['publish']} {{{inner}}}" if data else str(step["publish"])
        return f"{words} to {step['connection']}" if "connection" in step else words
    return " ".join(f"{name} {value}" for name, value in step.items())


def _listed(found: Exploration, signs: Signs) -> Iterator[tuple[str, Sequence[str]]]:
    never = [
        f"{state} (only terminate_connection leads there)" if state in found.only_by_hand else state
        for state in found.unreachable_states
    ]
    for name, items in (
        ("never entered", never),
        ("never taken", found.unfired_transitions),
        ("dead ends", found.dead_ends),
        ("both possible at once", found.conflicts),
        ("without end", found.livelocks),
    ):
        if items:
            yield name, [signs.clean(item.replace("->", signs.arrow)) for item in items]


def _some(items: Sequence[str], signs: Signs) -> list[Text]:
    shown = list(items[:MAX_LISTED])
    if len(items) > MAX_LISTED:
        shown.append(f"{signs.more} and {len(items) - MAX_LISTED} more")
    return [Text(item) for item in shown]


def _coverage(found: Exploration, signs: Signs) -> Iterator[tuple[str, str]]:
    counts = [f"{count:,}" for count in found.depths]
    if len(counts) > MAX_LISTED:
        counts = [*counts[: MAX_LISTED // 2], signs.more, *counts[-MAX_LISTED // 2 :]]
    furthest = len(found.depths) - 1
    yield "cases by moves", f"{' '.join(counts)} (the furthest are {_count(furthest, 'move')} from the start)"
    if found.left_out:
        yield "left out", signs.clean(f"facts that nothing reads: {', '.join(found.left_out)}")
    for note in found.notes:
        yield "note", signs.clean(note)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

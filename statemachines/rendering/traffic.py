"""What became of many calls, for people: phases with their times, a histogram, what was waited for, what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from statemachines.language.definition import State
from statemachines.language.traffic import FAULTS
from statemachines.rendering.columns import Hanging
from statemachines.rendering.signs import Signs, signs_for
from statemachines.simulation.times import Bin, Times
from statemachines.simulation.traffic_summary import QUANTILES, TrafficSummary

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_COLUMN = 22
_MOST = 5
_WORDS = {
    "ignored": "that nothing was waiting for",
    "deferred": "put off until a later phase",
    "early": "kept for a call that was not registered yet, or not any more",
    "expired": "of these that nobody was registered for in time",
    "unknown": "that nobody was there for, and that nothing waits for",
    "finished": "after the end",
    "foreign": "of another tenant",
    "refused": "too many to be put off",
}
"""What the counts mean, after the word events. A test holds them and the counts together."""


@frozen
class TrafficReport:
    """All of it, for a terminal or a file."""

    summary: TrafficSummary

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What was run, the phases, the histogram, and what else there was."""
        found, signs = self.summary, signs_for(options)
        yield Text.assemble((signs.clean(found.drawn.definition.name), "bold"), f": {_ran(found)}")
        if found.interrupted:
            yield Text(f"Interrupted: {found.drawn.calls:,} were asked for.", "yellow")
        yield Text()
        yield _phases(found, signs)
        if found.drawn.phase is not None:
            yield Text()
            yield from _histogram(found, signs, options.max_width)
        rest = list(_rest(found, signs))
        if rest:
            yield Text()
        for name, text in rest:
            yield Hanging(Text(name, "dim"), Text(text), _COLUMN)


def time_words(seconds: float) -> str:
    """Seconds in three digits and the unit that suits them.

    >>> time_words(0.25), time_words(30.0), time_words(1230.0), time_words(0.0)
    ('250ms', '30s', '20.5m', '0s')
    """
    for size, unit in ((3600.0, "h"), (60.0, "m"), (1.0, "s")):
        if seconds >= (2 if unit != "s" else 1) * size:
            return f"{seconds / size:.3g}{unit}"
    return f"{seconds * 1000:.3g}ms" if seconds else "0s"


def _ran(found: TrafficSummary) -> str:
    return (
        f"{_count(found.calls, 'call')} drawn with seed {found.drawn.seed}, arriving within "
        f"{time_words(found.span)}, at most {found.at_once:,} alive at once. {_count(found.events, 'event')} came, "
        f"{_count(found.timers, 'timer')} fired, {sum(found.published.values()):,} were published."
    )


def _phases(found: TrafficSummary, signs: Signs) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("phase", overflow="fold")
    for heading in ("calls", "", *QUANTILES, "longest", "last there"):
        table.add_column(heading, justify="right")
    for state, depth, parent in _states(found.drawn.definition.states, 0, None):
        times, around = found.reached[state.id], found.reached.get(parent or "")
        style = "bold magenta" if state.id == found.drawn.phase else "" if times.total else "dim"
        last = found.ended_in.get(state.id, 0)
        if times == around and state.id != found.drawn.phase:
            style = "dim"  # entered together with the state around it, whose figures are its own
        table.add_row(
            Text("  " * depth + signs.clean(state.id), style),
            Text(f"{times.total:,}", style),
            Text(_percent(found.share(times.total)), "dim"),
            *(Text(words, style) for words in _quantiles(times)),
            Text(f"{last:,}" if last else "", "" if state.final else "yellow"),
        )
    for name, count in found.ended_in.items():
        if name not in found.reached:
            table.add_row(Text(name or "all states left", "yellow"), "", "", "", "", "", "", f"{count:,}")
    return table


def _states(states: Sequence[State], depth: int, parent: str | None) -> Iterator[tuple[State, int, str | None]]:
    for state in states:
        yield state, depth, parent
        yield from _states(state.states, depth + 1, state.id)


def _quantiles(times: Times) -> Iterator[str]:
    for part in (*QUANTILES.values(), 1.0):
        seconds = times.quantile(part)
        yield "" if seconds is None else time_words(seconds)


def _histogram(found: TrafficSummary, signs: Signs, width: int) -> Iterator[Text]:
    times = found.times
    share = f"{times.total:,} of {found.calls:,} calls, {_percent(found.share(times.total))}"
    yield Text.assemble("until ", (signs.clean(found.drawn.phase or ""), "bold magenta"), (f"  ({share})", "dim"))
    bins = times.bins()
    marks = {name: times.quantile(part) for name, part in QUANTILES.items()}
    labels = [bounds_words(each, "-" if signs.ascii_only else "–") for each in bins]
    column = max(map(len, labels), default=0)
    most = max((each.count for each in bins), default=1)
    room = max(width - column - 34, 10)
    for each, label in zip(bins, labels, strict=True):
        told = " ".join(name for name, mark in marks.items() if mark is not None and _holds(each, mark))
        bar = _bar(each.count / most, room, signs)
        line = Text.assemble((f"  {label.rjust(column)}  ", "dim"), (bar, "magenta"), f" {each.count:,}")
        yield line.append(f"  {told}", "bold") if told else line


def bounds_words(each: Bin, dash: str = "–") -> str:
    """The bounds of a bin."""
    if each.high is None:
        return f"{time_words(each.low)} or more"
    return f"{time_words(each.low)} {dash} {time_words(each.high)}"


def _holds(each: Bin, seconds: float) -> bool:
    return each.low <= seconds and (each.high is None or seconds < each.high)


def _bar(part: float, room: int, signs: Signs) -> str:
    if signs.ascii_only:
        return "#" * round(part * room)
    whole, rest = divmod(round(part * room * 8), 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def _rest(found: TrafficSummary, signs: Signs) -> Iterator[tuple[str, str]]:
    if found.last:
        parts = [
            f"{signs.clean(name) or 'nothing'} {_percent(count / found.times.total)}"
            for name, count in found.last.most_common()
        ]
        yield "last to be ready", ", ".join(parts)
    for name, words in _WORDS.items():
        if found.counts.get(name):
            yield name, f"{_count(found.counts[name], 'event')} {words}"
    for fault in FAULTS:
        types = {event_type: count for (name, event_type), count in found.faults.items() if name == fault}
        if types:
            yield f"drawn: {fault}", f"{sum(types.values()):,}: {_listed(types, signs)}"
    if found.published:
        yield "published", _listed(found.published, signs)


def _listed(counts: Mapping[str, int], signs: Signs) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{signs.clean(name)} {signs.times}{count:,}" for name, count in ranked[:_MOST]]
    more = [f"{signs.more} and {len(ranked) - _MOST} more"] if len(ranked) > _MOST else []
    return ", ".join(told + more)


def _percent(part: float) -> str:
    return f"{part * 100:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

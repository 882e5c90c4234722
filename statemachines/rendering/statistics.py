"""How a bus and its connections stand, as a table for people: events, phases, subscriptions and how long they take.

Every line has its place and its width, so that a table that is drawn again and again stands still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from bus.statistics import BusStatistics, SubscriptionStatistics
from statemachines.rendering.signs import Signs, signs_for

_WIDE = 110
_LINES = 40
"""How high the table may be where there is no terminal."""
_LINES_OF_ITS_OWN = 5
"""The totals, the heading of the events, and three blank lines."""
_NUMBERS = {"queued": 6, "running": 7, "handled": 8, "failed": 6, "dropped": 7, "p50": 7, "p99": 7, "last": 6}
"""The columns of a subscription, each with its width."""
_COUNT_WIDTH = 9
_EVENT_WIDTH = 32
_GAP = 5
_PHASE_WIDTH = 16
_BAD = "bold red"


@frozen
class StatisticsTable:
    """The table, as high as the terminal allows: what there is most of comes first, and the rest is added up.

    :param statistics: taken by ``bus.stats()``
    :param phases: how many connections are in each phase
    :param counts: what the lifecycle did with events; those that are 0 are left out
    :param elapsed_s: seconds that this took
    :param rate_hz: events a second lately; None if that does not matter any more
    """

    statistics: BusStatistics
    phases: Mapping[str, int]
    counts: Mapping[str, int]
    elapsed_s: float
    rate_hz: float | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A line of totals, then events beside phases, then subscriptions."""
        signs = signs_for(options)
        lines = (options.max_height - 1 if options.is_terminal else _LINES) - _LINES_OF_ITS_OWN
        types = len(self.statistics.events_by_type)
        subscriptions = list(
            Subscriptions(self.statistics, signs, options.max_width).lines(max(lines // 3, lines - types, 5))
        )
        width = min(_EVENT_WIDTH, max(options.max_width - 2 * _COUNT_WIDTH - _PHASE_WIDTH - _GAP, 12))
        rows = max(lines - len(subscriptions), 2)
        beside = _beside(list(self._events(signs, width, rows)), self._connections(signs, rows), width)
        above = [Text()] if options.is_terminal else []
        for line in (*above, self._title(), Text(), *beside, Text(), *subscriptions):
            line.no_wrap, line.overflow = True, "crop"
            yield line

    def _title(self) -> Text:
        events = self.statistics.total_events
        title = Text.assemble((f"{self.elapsed_s:.1f} s", "bold"), f"   {events:,} {_plural('event', events)}")
        if self.rate_hz is not None:
            title.append(f"   {self.rate_hz:.{0 if self.rate_hz >= 100 else 1}f}/s", "dim")
        living = sum(self.phases.values())
        return title.append(f"   {living:,} {_plural('connection', living)}")

    def _events(self, signs: Signs, width: int, rows: int) -> Iterator[Text]:
        ranked = sorted(self.statistics.events_by_type.items(), key=lambda item: (-item[1], item[0]))
        shown = rows if len(ranked) <= rows else rows - 1
        yield _pair("event", "count", width, "dim")
        for event_type, count in ranked[:shown]:
            yield _pair(_shortened(str(event_type), width, signs), f"{count:,}", width)
        if len(ranked) > shown:
            rest = sum(count for _, count in ranked[shown:])
            yield _pair(f"{signs.more} and {len(ranked) - shown} more", f"{rest:,}", width, "dim")

    def _connections(self, signs: Signs, rows: int) -> list[Text]:
        ranked = sorted(self.phases.items(), key=lambda item: (-item[1], item[0]))
        told = [_pair("phase", "now", _PHASE_WIDTH, "dim")]
        for phase, number in ranked[:rows]:
            told.append(_pair(_shortened(phase or "-", _PHASE_WIDTH, signs), f"{number:,}", _PHASE_WIDTH, "magenta"))
        counts = [_pair(name, f"{number:,}", _PHASE_WIDTH) for name, number in self.counts.items() if number]
        if counts and rows >= len(told) + 2:
            told += [Text(), _pair("lifecycle", "events", _PHASE_WIDTH, "dim"), *counts]
        return told[: rows + 1]


@frozen
class Subscriptions:
    """What each subscription did, and all of them; those that are no more, and streams, are in the total too."""

    statistics: BusStatistics
    signs: Signs
    width: int

    @property
    def _wide(self) -> bool:
        return self.width >= _WIDE

    @property
    def _gap(self) -> str:
        return "  " if self._wide else " "

    @property
    def _name_width(self) -> int:
        """Of the handler, and where there is room beside it, of the pattern."""
        rest = self.width - sum(_NUMBERS.values()) - len(_NUMBERS) * len(self._gap)
        return min(40, max((rest - 2) // 2 if self._wide else rest, 12))

    def lines(self, most: int) -> Iterator[Text]:
        """A heading, the subscriptions that had most to do, and the total, in so many lines at most."""
        ranked = sorted(self.statistics.subscriptions, key=lambda each: -(each.handled + each.failed))
        height = 1 if self._wide else 2
        shown = len(ranked) if len(ranked) * height <= most - 2 else (most - 3) // height
        yield self._row("subscription", "pattern", [(name, "dim") for name in _NUMBERS], "dim")
        for subscription in ranked[:shown]:
            yield from self._subscription(subscription)
        if len(ranked) > shown:
            yield Text(f"{self.signs.more} and {len(ranked) - shown} more", "dim")
        yield self._row("in all", "", _counts_of(self.statistics))

    def _subscription(self, subscription: SubscriptionStatistics) -> Iterator[Text]:
        """A line, or where that is too narrow two, with the pattern in the second."""
        handler = _shortened(subscription.handler.rpartition("<locals>.")[2], self._name_width, self.signs)
        pattern = _shortened(subscription.pattern, self._name_width if self._wide else self.width - 2, self.signs)
        numbers, latency = _counts_of(subscription), subscription.latency
        if latency.total:
            numbers += [(f"<{latency_words(latency.quantile(part), self.signs)}", "dim") for part in (0.5, 0.99)]
            numbers += [(latency_words(subscription.last_latency_s, self.signs), "dim")]
        yield self._row(handler, pattern, numbers)
        if not self._wide:
            yield Text(f"  {pattern}", "cyan")

    def _row(self, name: str, pattern: str, numbers: Sequence[tuple[str, str]], style: str = "") -> Text:
        line = Text(style=style).append(name.ljust(self._name_width))
        if self._wide:
            line.append("  ").append(pattern.ljust(self._name_width), "" if style else "cyan")
        for width, (number, number_style) in zip(_NUMBERS.values(), numbers, strict=False):
            line.append(self._gap).append(number.rjust(width), number_style)
        return line


def latency_words(seconds: float, signs: Signs) -> str:
    """Seconds in two or three digits and the unit that suits them.

    >>> from statemachines.rendering.signs import UNICODE
    >>> latency_words(4.096e-06, UNICODE), latency_words(0.262, UNICODE), latency_words(17.2, UNICODE)
    ('4.1µs', '262ms', '17s')
    """
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us" if signs.ascii_only else "µs"), (1e-9, "ns"))
    size, unit = next((row for row in units if seconds >= row[0]), units[-1])
    number = seconds / size
    return f"{number:.{1 if number < 10 and unit != 'ns' else 0}f}{unit}"


def _counts_of(statistics: SubscriptionStatistics | BusStatistics) -> list[tuple[str, str]]:
    return [
        (f"{statistics.queued:,}", ""),
        (f"{statistics.in_flight:,}", ""),
        (f"{statistics.handled:,}", ""),
        (f"{statistics.failed:,}", _BAD if statistics.failed else ""),
        (f"{statistics.dropped:,}", _BAD if statistics.dropped else ""),
    ]


def _beside(left: Sequence[Text], right: Sequence[Text], width: int) -> Iterator[Text]:
    for event, connection in zip_longest(left, right, fillvalue=Text()):
        gap = " " * (width + _COUNT_WIDTH + _GAP - event.cell_len)
        yield Text.assemble(event, gap, connection) if connection else event.copy()


def _pair(name: str, number: str, width: int, style: str = "") -> Text:
    return Text.assemble((name.ljust(width), style), (number.rjust(_COUNT_WIDTH), "dim" if style == "dim" else ""))


def _shortened(name: str, width: int, signs: Signs) -> str:
    """Names of one kind differ at their ends, so the middle is left out."""
    name = signs.clean(name)
    if len(name) <= width:
        return name
    kept = width - len(signs.more)
    return name[: kept - kept // 2] + signs.more + name[len(name) - kept // 2 :]


def _plural(thing: str, number: int) -> str:
    return thing if number == 1 else f"{thing}s"

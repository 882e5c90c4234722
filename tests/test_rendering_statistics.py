"""The table of statistics: still, plain, within its width and height; and how it is kept at the end of a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import evolve
from rich.console import Console

from bus.latency import BUCKETS, Histogram
from bus.statistics import BusStatistics, SubscriptionStatistics
from statemachines.rendering import live
from statemachines.rendering.live import INTERVAL_S, LiveStatistics
from statemachines.rendering.signs import ASCII, UNICODE
from statemachines.rendering.statistics import StatisticsTable, latency_words


def latency(*nanoseconds: int) -> Histogram:
    counts = [0] * BUCKETS
    for each in nanoseconds:
        counts[each.bit_length()] += 1
    return Histogram(tuple(counts), sum(nanoseconds) / 1e9)


AUDIO = SubscriptionStatistics(
    handler="main.<locals>.handle_audio_of_every_call",
    pattern="webrtc.audio_track_ready",
    connection_id=None,
    kind="queued",
    queued=2,
    in_flight=1,
    handled=1_203,
    failed=3,
    retried=0,
    dropped=0,
    overrun=0,
    slow=0,
    last_latency_s=41e-6,
    latency=latency(*[30_000] * 1_200, *[200_000] * 6),
)
IDLE = evolve(AUDIO, handler="store", pattern="*", queued=0, in_flight=0, handled=0, failed=0, latency=latency())


def bus_statistics(
    *subscriptions: SubscriptionStatistics, events: Mapping[str, int] | None = None, dropped: int = 0
) -> BusStatistics:
    events = {"a.b": 1} if events is None else events
    return BusStatistics(
        total_events=sum(events.values()),
        events_by_type=events,
        active_handlers=len(subscriptions),
        subscriber_count={},
        queued=sum(subscription.queued for subscription in subscriptions),
        in_flight=sum(subscription.in_flight for subscription in subscriptions),
        handled=sum(subscription.handled for subscription in subscriptions),
        failed=sum(subscription.failed for subscription in subscriptions),
        dropped=dropped,
        overrun=0,
        subscriptions=subscriptions,
    )


TABLE = StatisticsTable(
    bus_statistics(AUDIO, IDLE, events={"webrtc.audio_track_ready": 1_206, "call.ended": 2}),
    {"ready": 2, "initializing": 40},
    {"processed": 1_208, "ignored": 12, "early": 0},
    elapsed_s=12.34,
    rate_hz=97.6,
)


def shown(table: StatisticsTable = TABLE, width: int = 80, encoding: str = "utf-8") -> list[str]:
    """The lines of a table that is written to a file."""
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    Console(file=file, width=width).print(table)
    file.seek(0)
    return file.read().splitlines()


def test_the_table_in_a_narrow_terminal() -> None:
    assert shown(width=80) == [
        "12.3 s   1,208 events   97.6/s   42 connections",
        "",
        "event                               count     phase                 now",
        "webrtc.audio_track_ready            1,206     initializing           40",
        "call.ended                              2     ready                   2",
        "",
        "                                              lifecycle          events",
        "                                              processed           1,208",
        "                                              ignored                12",
        "",
        "subscription       queued running  handled failed dropped     p50     p99   last",
        "handle_au…ery_call      2       1    1,203      3       0   <33µs   <33µs   41µs",
        "  webrtc.audio_track_ready",
        "store                   0       0        0      0       0",
        "  *",
        "in all                  2       1    1,203      3       0",
    ]


def test_the_table_in_a_wide_terminal() -> None:
    assert shown(width=120)[10:] == [
        "subscription              pattern                   "
        "queued  running   handled  failed  dropped      p50      p99    last",
        "handle_audio…_every_call  webrtc.audio_track_ready  "
        "     2        1     1,203       3        0    <33µs    <33µs    41µs",
        "store                     *                              0        0         0       0        0",
        "in all                                                   2        1     1,203       3        0",
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 109, 110, 120, 200])
def test_no_line_is_wider_than_the_terminal_or_ends_in_spaces(width: int) -> None:
    for line in shown(width=width):
        assert len(line) <= width
    if width >= 80:
        assert [line for line in shown(width=width) if line.endswith(" ")] == []


@pytest.mark.parametrize("height", [14, 24, 40, 60])
@pytest.mark.parametrize("width", [80, 120])
def test_it_is_no_higher_than_the_terminal(height: int, width: int) -> None:
    many = bus_statistics(*[AUDIO] * 50, events={f"a.b{number}": 100 - number for number in range(100)})
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    console.print(evolve(TABLE, statistics=many))
    assert len(file.getvalue().splitlines()) <= height - 1
    assert "a.b0 " in file.getvalue()
    assert "… and" in file.getvalue()


def test_what_there_is_no_room_for_is_added_up() -> None:
    lines = shown(evolve(TABLE, statistics=bus_statistics(events={f"a.b{number}": 1 for number in range(100)})))
    rest = next(line for line in lines if line.startswith("… and"))
    rows = [line for line in lines if line.startswith("a.b")]
    assert rest.split()[2:5] == [str(100 - len(rows)), "more", str(100 - len(rows))]


def test_the_total_has_what_is_dropped_by_those_that_are_no_more() -> None:
    assert shown(evolve(TABLE, statistics=bus_statistics(dropped=7)))[-1].split() == ["in", "all", *"00007"]


def test_one_is_one() -> None:
    table = StatisticsTable(bus_statistics(), {"ready": 1}, {}, 1.0)
    assert shown(table)[0] == "1.0 s   1 event   1 connection"


def test_before_anything_happened_it_has_its_headings() -> None:
    table = StatisticsTable(bus_statistics(events={}), {}, {}, 0.0, 0.0)
    assert [line.split()[:1] for line in shown(table)] == [["0.0"], [], ["event"], [], ["subscription"], ["in"]]


def test_an_output_that_has_only_ascii_gets_only_that() -> None:
    lines = shown(encoding="ascii")
    assert "<33us" in lines[-5]
    assert all(line.isascii() for line in lines)


def test_names_from_outside_cannot_move_the_cursor() -> None:
    assert "\x1b" not in "".join(shown(evolve(TABLE, phases={"\x1b[2J": 1})))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0ns"),
        (812e-9, "812ns"),
        (1.024e-6, "1.0µs"),
        (33e-6, "33µs"),
        (0.524, "524ms"),
        (2.5, "2.5s"),
        (99, "99s"),
    ],
)
def test_latencies_have_the_unit_that_suits_them(seconds: float, words: str) -> None:
    assert latency_words(seconds, UNICODE) == words
    assert latency_words(seconds, ASCII) == words.replace("µ", "u")


# -- live --------------------------------------------------------------------------------------------------------------


class Run:
    """Something to show: ``events`` happened until ``now``."""

    def __init__(self, *, terminal: bool) -> None:
        self.file = io.StringIO()
        console = Console(file=self.file, width=80, height=30, force_terminal=terminal, color_system=None)
        self.now = 100.0
        self.events = 0
        self.live = LiveStatistics(console, lambda: self.now)

    def read(self) -> tuple[BusStatistics, Mapping[str, int], Mapping[str, int]]:
        return bus_statistics(events={"a.b": self.events}), {}, {}

    def written_by(self, action: Callable[[], object]) -> str:
        """What an action writes."""
        before = len(self.file.getvalue())
        action()
        return self.file.getvalue()[before:]


def test_on_a_terminal_it_is_drawn_over_and_over() -> None:
    run = Run(terminal=True)
    with run.live:
        assert "0 events" in run.written_by(lambda: run.live.show(run.read))
        run.events = 3
        drawn = run.written_by(run.live.refresh)
    assert "3 events" in drawn
    assert drawn.count("\x1b[1A") >= 7  # over the lines of the one before


def test_what_is_said_stands_above_it_unbroken() -> None:
    run = Run(terminal=True)
    with run.live:
        run.live.show(run.read)
        line = "x" * 200
        assert run.written_by(lambda: run.live.say(line)) == ""
        run.live.above.print("[said] by a console", markup=False)
        drawn = run.written_by(run.live.refresh)
    assert drawn.index(line) < drawn.index("[said] by a console\n") < drawn.index("0 events")


def test_nothing_that_is_said_is_lost_at_the_end() -> None:
    run = Run(terminal=True)
    with run.live:
        run.live.say("last words")
    assert run.file.getvalue().count("last words\n") == 1


def test_the_rate_is_that_of_lately() -> None:
    run = Run(terminal=True)
    with run.live:
        run.live.show(run.read)
        run.events, run.now = 1_000, run.now + 1_000
        for _ in range(10):
            run.events, run.now = run.events + 10, run.now + INTERVAL_S
            run.live.refresh()
        assert "   40.0/s" in run.written_by(run.live.refresh)
        run.live.finish()
    assert run.file.getvalue().rpartition("1,100 events")[2].splitlines()[0] == "   0 connections"


@pytest.mark.anyio
async def test_it_keeps_up_to_date_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL_S", 1e-9)
    run = Run(terminal=True)
    with run.live:
        run.live.show(run.read)
        run.events = 3
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.live.keep_up_to_date)
            while "3 events" not in run.file.getvalue():
                await checkpoint()
            tasks.cancel_scope.cancel()


def test_after_the_end_it_does_not_change() -> None:
    run = Run(terminal=True)
    with run.live:
        run.live.show(run.read)
        run.live.finish()
        run.events = 3
        run.live.refresh()
    assert "3 events" not in run.file.getvalue()


def test_where_there_is_no_terminal_it_is_written_once() -> None:
    run = Run(terminal=False)
    with run.live:
        run.live.show(run.read)
        run.live.say("a problem")
        run.live.refresh()
        run.events = 3
        run.live.finish()
    lines = run.file.getvalue().splitlines()
    assert lines[:2] == ["a problem", "0.0 s   3 events   0 connections"]
    assert run.file.getvalue().count("in all") == 1
    assert run.file.getvalue().endswith("\n")


def test_a_run_that_never_began_shows_nothing() -> None:
    run = Run(terminal=False)
    with run.live:
        run.live.refresh()
    assert run.file.getvalue().strip() == ""

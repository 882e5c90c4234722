"""How long it took until a phase was reached, as an SVG of its own: a histogram, and above it the share of all calls.

A few rectangles and a line need no library of drawings, and so the same figures give the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from string import Template

from statemachines.rendering.traffic import bounds_words, time_words
from statemachines.simulation.times import Bin, Times
from statemachines.simulation.traffic_summary import QUANTILES, TrafficSummary

_WIDTH, _HEIGHT = 800, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 740, 72, 350
_TICKS = 4

_SVG = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height" role="img" \
aria-labelledby="title">
<title id="title">$title</title>
<style>
  svg { color: #1f2430; background: #ffffff; font: 13px sans-serif }
  text { fill: currentColor } .dim { opacity: .65 } .bar { fill: #7f6fd6 } .grid { stroke: currentColor; opacity: .15 }
  .share { fill: none; stroke: #d1573b; stroke-width: 2 }
  .mark { stroke: currentColor; stroke-dasharray: 4 3; opacity: .6 }
  @media (prefers-color-scheme: dark) { svg { color: #e4e6ee; background: #16181f } .bar { fill: #8f80ea } }
</style>
<text x="$left" y="26" font-size="17" font-weight="bold">$heading</text>
<text x="$left" y="46" class="dim">$subheading</text>
$parts
</svg>
""")


def render_traffic_picture(summary: TrafficSummary) -> str:
    """The whole file. Of a phase that no call reached, it says just that."""
    phase = summary.drawn.phase or "no phase"
    times = summary.times
    heading = f"{summary.drawn.definition.name}: time until {phase}"
    said = ", ".join(f"{name} {time_words(mark)}" for name, mark in _marks(times))
    reached = f"{times.total:,} of {summary.calls:,} calls ({summary.share(times.total) * 100:.1f} %)"
    return _SVG.substitute(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        title=escape(f"{heading}: {reached}" + (f"; {said}" if said else "")),
        heading=escape(heading),
        subheading=escape(f"{reached}, seed {summary.drawn.seed}" + (f"; {said}" if said else "")),
        parts="\n".join(_parts(times)),
    )


def _marks(times: Times) -> list[tuple[str, float]]:
    found = [(name, times.quantile(part)) for name, part in QUANTILES.items()]
    return [(name, mark) for name, mark in found if mark is not None]


def _parts(times: Times) -> Iterator[str]:
    bins = times.bins()
    if not bins:
        return
    axis = _Axis(bins)
    most = max(each.count for each in bins)
    yield from _grid(most)
    for each in bins:
        yield _bar(each, axis, most)
    for each in bins[:: max(1, len(bins) // 10)]:
        yield _text(axis.place(each.low), _BOTTOM + 20, time_words(each.low), "middle")
    if bins[-1].high is None:
        yield _text(_RIGHT, _BOTTOM + 38, bounds_words(bins[-1]), "end", "dim")
    yield _share(times, axis)
    for number, (name, mark) in enumerate(_marks(times)):
        x = f"{axis.place(mark):.1f}"
        yield f'<line class="mark" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_BOTTOM}"/>'
        yield _text(axis.place(mark) + 4, _TOP + 12 + 15 * number, f"{name} {time_words(mark)}")


class _Axis:
    """Where a time stands: the bins side by side, the last one as wide as the others even if it has no end."""

    def __init__(self, bins: list[Bin]) -> None:
        self._low = bins[0].low
        self._step = bins[0].high - bins[0].low if bins[0].high is not None else 1.0
        self.bin_width = (_RIGHT - _LEFT) / len(bins)

    def place(self, seconds: float) -> float:
        """The x of a time."""
        return min(_LEFT + (seconds - self._low) / self._step * self.bin_width, _RIGHT)


def _grid(most: int) -> Iterator[str]:
    """Lines with how many calls they are on the left, and which share of them on the right."""
    for tick in range(_TICKS + 1):
        y = _BOTTOM - (_BOTTOM - _TOP) * tick / _TICKS
        yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 8, y + 4, f"{round(most * tick / _TICKS):,}", "end", "dim")
        yield _text(_RIGHT + 8, y + 4, f"{100 * tick // _TICKS} %", "start", "dim")


def _bar(each: Bin, axis: _Axis, most: int) -> str:
    height = (_BOTTOM - _TOP) * each.count / most
    told = escape(f"{bounds_words(each)}: {each.count:,}")
    return (
        f'<rect class="bar" x="{axis.place(each.low) + 1:.1f}" y="{_BOTTOM - height:.1f}" '
        f'width="{axis.bin_width - 2:.1f}" height="{height:.1f}"><title>{told}</title></rect>'
    )


def _share(times: Times, axis: _Axis) -> str:
    """The part of the calls that had come so far by each time; of points so near that they are one, the last."""
    points: dict[str, str] = {f"{axis.place(next(times.shares())[0]):.1f}": f"{_BOTTOM:.1f}"}
    for seconds, part in times.shares():
        points[f"{axis.place(seconds):.1f}"] = f"{_BOTTOM - (_BOTTOM - _TOP) * part:.1f}"
    return f'<polyline class="share" points="{" ".join(f"{x},{y}" for x, y in points.items())}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start", style: str = "") -> str:
    styled = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{styled}>{escape(words)}</text>'

"""What became of many calls: how many reached which phase and when, what was waited for last, which faults there were.

Kept in memory that does not grow with the number of calls (but for those alive at the same moment).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from typing import IO, Any

from attrs import Factory, asdict, define, frozen

from statemachines.language.definition import Definition
from statemachines.language.traffic import FAULTS
from statemachines.simulation.calls import Call, CallRunner
from statemachines.simulation.times import Times

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_EVERY = 200
NEVER = "never registered"


@frozen
class Drawn:
    """What a summary is of: so many calls of a traffic file, drawn with a seed.

    :ivar phase: the phase that matters most; None if no other than the rest does
    """

    definition: Definition
    calls: int
    seed: int
    phase: str | None


@define
class TrafficSummary:
    """What became of the calls so far.

    :ivar reached: for every state in document order, when it was first active, in seconds after a call's arrival
    :ivar ended_in: how many calls were last in which phase; of these, ``alive`` are in no final state
    :ivar last: what had to become ready last before the phase asked for; a text, with ``and`` between several at once
    :ivar faults: by fault and event type
    :ivar counts: events that were ignored, early, expired, and so on
    :ivar published: by event type, what the connections published
    :ivar span: seconds of virtual time in which all these calls arrived
    :ivar at_once: the most calls that were alive at one moment
    """

    drawn: Drawn
    calls: int = 0
    events: int = 0
    timers: int = 0
    alive: int = 0
    reached: dict[str, Times] = Factory(dict)
    ended_in: Counter[str] = Factory(Counter)
    last: Counter[str] = Factory(Counter)
    faults: Counter[tuple[str, str]] = Factory(Counter)
    counts: Counter[str] = Factory(Counter)
    published: Mapping[str, int] = Factory(dict)
    span: float = 0.0
    at_once: int = 0
    interrupted: bool = False
    _ends: list[float] = Factory(list)

    def __attrs_post_init__(self) -> None:
        self.reached = {state.id: Times() for state in self.drawn.definition.walk()}

    def add(self, call: Call) -> None:
        """Count a call. They come in the order of their arrival."""
        self.calls += 1
        self.events += call.events
        self.timers += call.timers
        self.ended_in[NEVER if call.phase is None else call.phase] += 1
        for state, seconds in call.reached.items():
            self.reached[state].add(seconds)
        if self.drawn.phase in call.reached and self.drawn.definition.dependencies:
            self.last[" and ".join(call.last)] += 1
        for fault in call.faults:
            self.faults[fault] += 1
        for name, count in call.counts.items():
            self.counts[name] += count
        self._pass(call)

    def _pass(self, call: Call) -> None:
        """Count those that are alive at once: who has ended by the time that the next one arrives makes room."""
        self.span = call.arrival
        while self._ends and self._ends[0] <= call.arrival:
            heappop(self._ends)
        if call.ended is not None:
            heappush(self._ends, call.arrival + call.ended)
        elif call.phase is not None:
            self.alive += 1
        self.at_once = max(self.at_once, len(self._ends) + self.alive)

    def share(self, count: int) -> float:
        """A number of calls as a part of all."""
        return count / self.calls if self.calls else 0.0

    @property
    def times(self) -> Times:
        """When the phase asked for was reached."""
        return self.reached.get(self.drawn.phase or "", Times())

    def to_dict(self) -> dict[str, Any]:
        """All of it as one JSON object: times in seconds, to three digits."""
        return {
            "kind": "summary",
            "definition": self.drawn.definition.name,
            "calls": self.calls,
            "asked": self.drawn.calls,
            "seed": self.drawn.seed,
            "interrupted": self.interrupted,
            "events": {"came": self.events, "timers": self.timers, "published": sum(self.published.values())},
            "arrived_in_s": round(self.span, 6),
            "at_once": self.at_once,
            "reached": {state: _told(times) for state, times in self.reached.items()},
            "ended_in": dict(_most_first(self.ended_in)),
            "alive": self.alive,
            "phase": self.drawn.phase,
            "histogram": [asdict(each) for each in self.times.bins()],
            "last_dependency": dict(_most_first(self.last)),
            "faults": {name: self._fault(name) for name in FAULTS},
            "counts": dict(sorted(self.counts.items())),
            "published": dict(self.published),
        }

    def _fault(self, name: str) -> dict[str, int]:
        return dict(_most_first({event_type: n for (fault, event_type), n in self.faults.items() if fault == name}))


def summarise(
    drawn: Drawn, runner: CallRunner, each: Callable[[Call], None], progress: Callable[[int], None]
) -> TrafficSummary:
    """Run the calls, count them, and hand each on. An interrupt (Ctrl-C) ends it early, with what there is."""
    summary = TrafficSummary(drawn)
    try:
        for call in runner.run(drawn.calls):
            summary.add(call)
            each(call)
            if call.number % _EVERY == 0:
                progress(call.number)
    except KeyboardInterrupt:
        summary.interrupted = True
    summary.published = runner.published
    return summary


def _told(times: Times) -> dict[str, Any]:
    if not times.total:
        return {"calls": 0}
    quantiles = {name: times.quantile(part) for name, part in QUANTILES.items()}
    return {"calls": times.total, **quantiles, "longest": times.quantile(1.0)}


def _most_first(counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield from sorted(counts.items(), key=lambda item: (-item[1], item[0]))


class CallRows:
    """Writes a row of CSV for each call, as it is run."""

    def __init__(self, file: IO[str], definition: Definition) -> None:
        self._states = [state.id for state in definition.walk()]
        self._write = csv.writer(file, lineterminator="\n").writerow
        names = ("call", "arrival_s", "phase", "ended_s", "last_dependency", "faults", "events", "timers")
        self._write([*names, *(f"{state}_s" for state in self._states)])

    def add(self, call: Call) -> None:
        """Write the row of a call; a state that it never was in is left empty."""
        self._write(
            [
                call.connection,
                call.arrival,
                call.phase or "",
                "" if call.ended is None else call.ended,
                " ".join(call.last),
                " ".join(f"{fault}:{event_type}" for fault, event_type in call.faults),
                call.events,
                call.timers,
                *(call.reached.get(state, "") for state in self._states),
            ]
        )

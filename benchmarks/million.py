"""A million connections, each with a timer, in one process: what it weighs and what the slowest steps cost.

The connections are those of ``whatsapp_call`` in initializing, so each has had an event and waits for its time-out. The
process is a child of its own, so that nothing else is in its memory. Steps are single events of connections from all
over, each of which learns a fact and moves nowhere.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from time import perf_counter, perf_counter_ns

from benchmarks.by_hand import EVENTS
from benchmarks.measuring import Limit, Ratio, Report, Scale, written
from bus import Event
from statemachines import load_definition
from statemachines.connections.connections import Connections

GIGABYTE = 1e9
FIRST, DATA = EVENTS[0]
SECOND = "ai.connection_initialized"
SAMPLES = 5_000


def reports(scale: Scale) -> list[Report]:
    """One report: the 99th percentile of a step at a thousand and at a million connections."""
    few, many = scale(1_000, 50), scale(1_000_000, 2_000)
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.million", str(few), str(many)], capture_output=True, text=True, check=True
    ).stdout
    found = json.loads(output)
    ratio = found["p99_many"] / found["p99_few"]
    return [
        Report(
            "million",
            f"the 99th percentile of a step among {few:,} connections, and among {many:,}",
            "seconds",
            f"among {few:,}",
            found["p99_few"],
            (Ratio(f"among {many:,}", ratio, ratio, ratio, found["p99_many"]),),
            (
                f"registering {many:,} and their first event took {found['took']:.0f} s",
                f"median step {written(found['p50_few'], 'seconds')}, then {written(found['p50_many'], 'seconds')}",
            ),
            (
                Limit(f"resident memory of the process with {many:,}", found["resident"], GIGABYTE, "bytes"),
                Limit("a connection with its id, call id and timer", found["each"], GIGABYTE / 1e6, "bytes"),
            ),
        )
    ]


def main(few: int, many: int) -> None:
    """Print what was found as JSON."""
    connections = Connections(load_definition("whatsapp_call"))
    _add(connections, 0, few)
    before = _resident()
    p50_few, p99_few = _percentiles(connections, few)
    began = perf_counter()
    _add(connections, few, many)
    took = perf_counter() - began
    p50_many, p99_many = _percentiles(connections, many)
    resident = _resident()
    each = (resident - before) / (many - few)
    assert len(connections._timers) == many
    found = {"p50_few": p50_few, "p99_few": p99_few, "p50_many": p50_many, "p99_many": p99_many}
    print(json.dumps({**found, "took": took, "resident": resident, "each": each}))


def _add(connections: Connections, begin: int, end: int) -> None:
    for number in range(begin, end):
        connection_id, now = f"conn_{number:08}", number * 1e-4
        connections.register(connection_id, call_id=f"call_{number:08}", at=now, now=now)
        connections.receive(Event(FIRST, connection_id, DATA, timestamp=now), at=now, now=now)


def _percentiles(connections: Connections, number: int) -> tuple[float, float]:
    """The median and the 99th percentile of a step, in seconds: the best of a few times that each was taken."""
    found = []
    for _ in range(5):
        times = []
        for sample in range(SAMPLES):
            event = Event(SECOND, f"conn_{sample * 7919 % number:08}", {}, timestamp=0.0)
            began = perf_counter_ns()
            connections.receive(event, at=1.0, now=1.0)
            times.append(perf_counter_ns() - began)
        times.sort()
        found.append((times[len(times) // 2] / 1e9, times[len(times) * 99 // 100] / 1e9))
    return min(p50 for p50, _ in found), min(p99 for _, p99 in found)


def _resident() -> float:
    """The most that this process has had in memory so far, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else most * 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

"""A long run: does the memory of a bus stay flat, and does it forget connections that have ended?

    python -m benchmarks.soak --events 1000000 --backend trio

Events of connections that come and go reach ten subscribers, one of each sort, and one or two that each connection has
of its own. Time is virtual, a thousandth of a second an event, so windows and time-outs pass many times over. Ctrl-C
ends it early, with a verdict on what there was.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from benchmarks.kept import grown, kept
from bus import Event, EventBus, EventStream, default_chain
from bus.middleware import Retry
from bus.testing import FakeClock

LIVING = 100
"""So many connections at a time."""
EVENTS_EACH = 20
"""So many events has a connection, its creation and end included."""
GENERATION = LIVING * EVENTS_EACH
BURST = 500
"""So many events are published before the clock moves on, and everything that waits for it happens."""
SAMPLES = 40
TOLERANCE = 0.03
"""What the last quarter may have more than the first: allocators breathe."""


@frozen
class Sample:
    """How things stood after so many events."""

    events: int
    seconds: float
    resident_mb: float
    blocks: int
    """Pieces of memory that Python has allocated; unlike what is resident, exact."""

    @classmethod
    def taken(cls, events: int, seconds: float) -> Sample:
        """Now, after the garbage was collected."""
        gc.collect()
        return cls(events, seconds, _resident_mb(), sys.getallocatedblocks())

    def __str__(self) -> str:
        rate = self.events / self.seconds
        return (
            f"{self.events:>10,} events {rate:>8,.0f}/s {self.resident_mb:>8.1f} MB resident {self.blocks:>10,} blocks"
        )


@frozen
class Verdict:
    """What came of a run."""

    samples: tuple[Sample, ...]
    left: dict[str, tuple[int, int]]
    """Containers of the bus that hold more than at the start: how much then, how much now."""

    @property
    def told(self) -> bool:
        """Whether the run was long enough to tell the first quarter from the last."""
        return len(self.samples) >= 8

    @property
    def flat(self) -> bool:
        """Whether the last quarter takes no more than the first, in resident memory as in blocks."""
        return not any(
            _last(values) > _first(values) * (1 + TOLERANCE)
            for values in ([s.resident_mb for s in self.samples], [float(s.blocks) for s in self.samples])
        )

    def __str__(self) -> str:
        if not self.told:
            memory = "memory flat: too few events to tell"
        else:
            resident = [sample.resident_mb for sample in self.samples]
            memory = (
                f"memory flat: {'yes' if self.flat else 'no'} "
                f"(first quarter {_first(resident):.1f} MB, last quarter {_last(resident):.1f} MB)"
            )
        left = ", ".join(f"{path} {then} → {now}" for path, (then, now) in self.left.items())
        return f"{memory}\nevery map of the bus as at the start: {'yes' if not left else f'no: {left}'}"


@define
class Soak:
    """One bus, its subscribers, and a source of events that can be stopped.

    :param events: how many to publish
    :param tell: called with each sample
    """

    events: int
    tell: Callable[[Sample], None] = field(default=lambda sample: None)
    stopped: bool = False
    clock: FakeClock = field(factory=FakeClock, init=False)
    samples: list[Sample] = field(factory=list, init=False)
    handled: int = field(default=0, init=False)

    async def run(self) -> Verdict:
        """Publish all, and see what is left."""
        bus = EventBus(middleware=default_chain(), clock=self.clock, slow_after=None)
        async with bus, anyio.create_task_group() as group:
            group.start_soon(self._move_the_clock)
            self._subscribe(bus, group)
            await self._publish(bus, group, GENERATION)
            before = await self._at_rest(bus)
            self.samples.clear()
            await self._publish(bus, group, self.events)
            left = grown(before, await self._at_rest(bus))
            group.cancel_scope.cancel()
        return Verdict(tuple(self.samples), left)

    def _subscribe(self, bus: EventBus, group: TaskGroup) -> None:
        """One of each sort."""
        bus.subscribe("*", self._handle)
        bus.subscribe("*", self._handle, inline=True)
        bus.subscribe("*", self._handle, concurrency=4)
        bus.subscribe("*", self._handle, priorities={"connection.*": 1}, concurrency=2)
        bus.subscribe("connection.*", self._handle_slowly, queue_size=16, overflow="drop_oldest")
        bus.subscribe("connection.*", self._handle_slowly, queue_size=16, overflow="drop_newest")
        bus.subscribe("*", self._fail_now_and_then, retry=Retry(2, first_delay_s=0.001))
        bus.subscribe("connection.*", self._hang_now_and_then, timeout=0.01, concurrency=8)
        bus.subscribe_batch("*", self._handle_batch)
        group.start_soon(self._read, bus.stream("*"))

    async def _publish(self, bus: EventBus, group: TaskGroup, events: int) -> None:
        began, every = perf_counter(), max(1, events // SAMPLES // GENERATION) * GENERATION
        for number, (event_type, connection_id) in enumerate(_lives(events), 1):
            if event_type == "connection.created":
                own = bus.subscribe("*", self._handle, connection_id=connection_id)
                group.start_soon(self._wait_for_the_end, bus, connection_id, own.cancel)
            await bus.publish(event_type, {"n": number}, connection_id=connection_id)
            if not number % 100:
                await bus.publish(event_type, {"n": number}, connection_id=connection_id)  # a duplicate
            if not number % BURST:
                await self.clock.sleep(BURST / 1_000)
            if not number % every:
                self.samples.append(Sample.taken(number, perf_counter() - began))
                self.tell(self.samples[-1])
                if self.stopped:
                    break

    async def _at_rest(self, bus: EventBus) -> dict[str, int]:
        """What the bus keeps once all windows have passed."""
        await self.clock.sleep(60)
        await bus.publish("connection.terminated", {"n": 0}, connection_id="the last")  # what is over is forgotten now
        await self.clock.sleep(1)
        await bus.drain()
        return kept(bus)

    async def _move_the_clock(self) -> None:
        while True:
            await self.clock.advance(BURST / 1_000)

    # -- subscribers --

    async def _wait_for_the_end(self, bus: EventBus, connection_id: str, then: Callable[[], None]) -> None:
        await bus.wait_for("connection.terminated", connection_id=connection_id)
        then()

    async def _handle(self, event: Event) -> None:
        self.handled += 1

    async def _handle_slowly(self, event: Event) -> None:
        self.handled += 1
        await self.clock.sleep(0.02)

    async def _fail_now_and_then(self, event: Event) -> None:
        self.handled += 1
        if event.type == "media.packet_lost":
            raise ValueError("it broke")

    async def _hang_now_and_then(self, event: Event) -> None:
        self.handled += 1
        if event.field("n") % 3 == 0:
            await anyio.sleep_forever()

    async def _handle_batch(self, events: list[Event]) -> None:
        self.handled += len(events)

    async def _read(self, stream: EventStream) -> None:
        async for _ in stream:
            self.handled += 1


def _lives(events: int) -> Iterator[tuple[str, str]]:
    """The events of connections that come and go, those of so many mixed; all have ended at the end."""
    for generation in range(events // GENERATION):
        for step in range(EVENTS_EACH):
            for number in range(LIVING):
                connection_id = f"conn_{generation}_{number}"
                if step == 0:
                    yield "connection.created", connection_id
                elif step == EVENTS_EACH - 1:
                    yield "connection.terminated", connection_id
                else:
                    yield ("media.packet_lost" if number == 7 else "media.packet_received"), connection_id


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _first(values: Sequence[float]) -> float:
    """The typical one of the first quarter."""
    return median(values[: len(values) // 4])


def _last(values: Sequence[float]) -> float:
    """The typical one of the last quarter."""
    return median(values[-(len(values) // 4) :])


async def _interruptible(soak: Soak) -> Verdict:
    async with anyio.create_task_group() as group:
        group.start_soon(_stop_at_interrupt, soak)
        verdict = await soak.run()
        group.cancel_scope.cancel()
    return verdict


async def _stop_at_interrupt(soak: Soak) -> None:
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            print("interrupted: the verdict is on what there was", flush=True)
            soak.stopped = True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print. Exit status 1 if memory is not flat or something is left."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="does memory stay flat?")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many to publish (default 1,000,000)")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    asked = parser.parse_args(arguments)
    logging.getLogger("phasebus.bus").setLevel(logging.ERROR)  # each drop, failure and time-out is meant
    soak = Soak(asked.events, tell=lambda sample: print(sample, flush=True))
    verdict = anyio.run(_interruptible, soak, backend=asked.backend)
    print(f"{soak.handled:,} times handled\n{verdict}")
    return 0 if verdict.flat and not verdict.left else 1


if __name__ == "__main__":
    sys.exit(main())

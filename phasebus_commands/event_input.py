"""Events for a live run, read line by line from a file, a pipe or a terminal without ever blocking the run."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable
from typing import IO

import anyio
from anyio.lowlevel import checkpoint

from statemachines import Problem
from statemachines.lifecycle.sidecar import Input
from statemachines.simulation.event_lines import MAX_LINE_BYTES, EventLine, EventLineReader


async def read_inputs(file: IO[bytes], path: str, refuse: Callable[[Problem], None]) -> AsyncIterator[Input]:
    """The events of a file, as they come; tells of lines that are none."""
    reader = EventLineReader(path)
    async for line in _lines(file):
        for read in reader.read(line):
            if isinstance(read, EventLine):
                yield Input(read.event, read.at, path, read.line)
            else:
                refuse(read)


async def _lines(file: IO[bytes]) -> AsyncIterator[bytes]:
    descriptor = file.fileno()
    if _can_be_waited_for(descriptor):
        async for line in _lines_as_they_come(descriptor):
            yield line
        return
    for line in file:
        yield line
        await checkpoint()


def _can_be_waited_for(descriptor: int) -> bool:
    """Whether more may come later: not of a file, nor of a device such as /dev/null, which epoll refuses."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


async def _lines_as_they_come(descriptor: int) -> AsyncIterator[bytes]:
    """The lines of a pipe or a terminal. Waiting for it can be cancelled, unlike a thread that reads."""
    rest = b""
    while True:
        await anyio.wait_readable(descriptor)
        read = os.read(descriptor, 65536)
        if not read:
            break
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            yield line
        # A line without end is refused as too long, and its parts as no events, instead of filling the memory.
        if len(rest) > MAX_LINE_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest

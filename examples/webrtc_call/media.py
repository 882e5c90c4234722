"""Sound: a tone that begins when told to, and an ear that counts what really arrives."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable

from aiortc import AudioStreamTrack, MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from anyio import Event
from av import AudioFrame

SAMPLE_RATE = 8000
SAMPLES_PER_FRAME = 160
"""20 ms, what aiortc's :class:`AudioStreamTrack` makes and paces."""
AMPLITUDE = 8000
AUDIBLE = AMPLITUDE // 4
"""A frame with a peak above this holds the tone: what the codec adds to silence is far below."""


class Tone(AudioStreamTrack):
    """A sine tone. Until :meth:`begin` a reader waits; then the first frame is there at once.

    A sender without a track would be asked by aiortc every 20 ms whether it has one by now. A track that is there, and
    whose first frame takes its time, needs no asking.

    :param hertz: a multiple of 50, so that each frame holds whole waves
    :ivar began_at: Unix seconds at which the first frame was handed to the sender
    """

    def __init__(self, hertz: int, *, on_first_frame: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.frames_sent = 0
        self.began_at: float | None = None
        self._begun = Event()
        self._on_first_frame = on_first_frame
        waves = (math.sin(2 * math.pi * hertz * i / SAMPLE_RATE) for i in range(SAMPLES_PER_FRAME))
        self._samples = array("h", (int(AMPLITUDE * height) for height in waves)).tobytes()

    def begin(self) -> None:
        """Let the sound out. Idempotent."""
        self._begun.set()

    async def recv(self) -> AudioFrame:
        """The next 20 ms, at their time; called by aiortc's sender."""
        await self._begun.wait()
        frame = await super().recv()
        assert isinstance(frame, AudioFrame)
        for plane in frame.planes:
            plane.update(self._samples.ljust(plane.buffer_size, b"\0"))
        self.frames_sent += 1
        if self.began_at is None:
            self.began_at = time.time()
            if self._on_first_frame is not None:
                self._on_first_frame()
        return frame


class Ear:
    """Counts the frames of a remote track.

    :ivar frames: how many arrived and were decoded
    :ivar audible: how many of them hold sound
    """

    def __init__(self, *, enough: int | None = None, on_first_frame: Callable[[], None] | None = None) -> None:
        self.frames = 0
        self.audible = 0
        self._enough = enough
        self._on_first_frame = on_first_frame
        self._satisfied = Event()

    async def listen(self, track: MediaStreamTrack) -> None:
        """Take every frame until the track ends."""
        try:
            while True:
                self._hear(await track.recv())
        except MediaStreamError:
            self._satisfied.set()

    async def heard_enough(self) -> None:
        """Wait until ``enough`` audible frames have arrived, or none can come any more."""
        await self._satisfied.wait()

    def _hear(self, frame: object) -> None:
        assert isinstance(frame, AudioFrame)
        self.frames += 1
        self.audible += max(memoryview(frame.planes[0]).cast("B").cast("h")) > AUDIBLE
        if self.frames == 1 and self._on_first_frame is not None:
            self._on_first_frame()
        if self.audible == self._enough:
            self._satisfied.set()

"""The example makes a real call: what it must have heard, in which order, and that its recording replays."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

pytest.importorskip("aiortc", reason="the example needs the extra phasebus[webrtc]")

from aiortc import RTCDataChannel, RTCRtpReceiver

from bus import Event, EventBus, EventType, event_from_json
from examples.webrtc_call.bridge import telling
from examples.webrtc_call.call import NUMBER, CallReport, make_call
from examples.webrtc_call.gateway import Gateway, connection_id_of
from examples.webrtc_call.media import Ear, Tone
from examples.webrtc_call.outside import CallEnded, CallOffered, Model, Provider
from examples.webrtc_call.peers import (
    answer_of,
    loopback_only,
    offer_of,
    peer_connection,
    take_answer,
    take_offer,
    watch_channel,
    watch_peer,
)
from examples.webrtc_call.report import json_lines
from statemachines import ConnectionLifecycle, load_definition

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "webrtc_call"
DOCUMENTATION = ROOT / "docs" / "webrtc.md"
SHIPPED = ROOT / "definitions" / "whatsapp_call" / "recordings" / "webrtc_call.jsonl"
FRAMES = 20
GENEROUSLY_S = 60

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """aiortc needs asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
def call() -> tuple[CallReport, str]:
    """One call for all tests that only look at it, and its recording."""
    recording = io.StringIO()

    async def call() -> CallReport:
        with anyio.fail_after(GENEROUSLY_S):
            return await make_call(frames=FRAMES, recording=recording)

    return anyio.run(call, backend="asyncio"), recording.getvalue()


def types(report: CallReport) -> list[str]:
    return [event.type for event in report.events]


def places(report: CallReport, *wanted: str) -> list[int]:
    """Where in the timeline each of these came first."""
    found = types(report)
    return [found.index(type) for type in wanted]


def test_call_becomes_ready_exactly_once(call: tuple[CallReport, str]) -> None:
    report, _ = call

    assert types(report).count(EventType.CONNECTION_READY) == 1
    assert report.phases == ("initializing", "ready", "terminating", "terminated")


def test_real_frames_arrive_on_every_side(call: tuple[CallReport, str]) -> None:
    report, _ = call

    assert report.heard_by_caller >= FRAMES
    assert report.heard_from_caller > 0
    assert report.heard_from_model > 0


def test_audio_starts_after_ready_and_not_before(call: tuple[CallReport, str]) -> None:
    report, _ = call
    ready, greeted = places(report, EventType.CONNECTION_READY, EventType.AI_GREETING_SENT)

    assert ready < greeted
    assert report.ready_to_audio_s is not None
    assert report.ready_to_audio_s >= 0


def test_ready_waits_for_the_last_of_the_three_services(call: tuple[CallReport, str]) -> None:
    report, _ = call
    *services, ready = places(
        report,
        EventType.AUDIO_TRACK_READY,
        EventType.AI_CONNECTION_INIT,
        EventType.WHATSAPP_CALL_ACCEPTED,
        EventType.CONNECTION_READY,
    )

    assert max(services) < ready


def test_what_the_caller_leg_tells_comes_in_order(call: tuple[CallReport, str]) -> None:
    report, _ = call
    order = places(
        report,
        EventType.CONNECTION_CREATED,
        EventType.WHATSAPP_CALL_STARTED,
        EventType.SDP_OFFER_RECEIVED,
        EventType.SDP_ANSWER_GENERATED,
        EventType.WHATSAPP_CALL_ACCEPTED,
        EventType.AUDIO_TRACK_READY,
        EventType.AI_GREETING_SENT,
        EventType.WHATSAPP_CALL_TERMINATED,
        "whatsapp.call_closed",
        EventType.CONNECTION_TERMINATED,
    )

    assert order == sorted(order)


def test_each_ice_state_is_told_once(call: tuple[CallReport, str]) -> None:
    report, _ = call
    states = [
        event.webrtc_data.ice_state for event in report.events if event.webrtc_data and event.webrtc_data.ice_state
    ]

    assert states == ["checking", "completed", "closed"]


def test_audio_track_is_told_with_its_source(call: tuple[CallReport, str]) -> None:
    report, _ = call
    track = report.events[places(report, EventType.AUDIO_TRACK_READY)[0]].webrtc_data
    offer = report.events[places(report, EventType.SDP_OFFER_RECEIVED)[0]].webrtc_data

    assert track is not None
    assert offer is not None
    assert offer.sdp is not None
    assert f"a=ssrc:{track.ssrc} " in offer.sdp
    assert f" {track.track_id}\r\n" in offer.sdp


def test_no_handler_failed_and_nothing_was_dropped(call: tuple[CallReport, str]) -> None:
    report, _ = call

    assert not {EventType.HANDLER_FAILED, EventType.EVENT_DROPPED} & set(types(report))


def test_report_holds_no_phone_number_and_no_sdp(call: tuple[CallReport, str]) -> None:
    report, _ = call
    lines = "\n".join(json_lines(report))

    assert json.loads(lines.splitlines()[-1])["kind"] == "summary"
    assert NUMBER not in lines
    assert "v=0" not in lines


async def test_refused_call_is_never_ready_and_ends() -> None:
    with anyio.fail_after(GENEROUSLY_S):
        report = await make_call(refused=True)

    assert report.phases == ("initializing", "terminating", "terminated")
    assert report.ready_to_audio_s is None
    assert report.heard_by_caller == 0


async def test_call_of_a_phone_that_vanishes_ends_too() -> None:
    with anyio.fail_after(GENEROUSLY_S):
        report = await make_call(frames=FRAMES, vanishing=True)

    assert report.phases == ("initializing", "ready", "terminating", "terminated")
    assert types(report).count(EventType.WHATSAPP_CALL_TERMINATED) == 1


async def test_call_ends_when_the_model_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(self: Model, channel: RTCDataChannel) -> None:
        await self._peer.close()

    monkeypatch.setattr(Model, "_greet", leave)
    with anyio.fail_after(GENEROUSLY_S):
        report = await make_call()

    assert report.phases == ("initializing", "terminating", "terminated")
    assert types(report).count("ai.connection_failed") == 1


async def test_call_that_is_terminated_by_hand_is_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    async def terminate(self: Gateway, ended: CallEnded) -> None:
        await self._lifecycle.terminate_connection(connection_id_of(ended.call_id), "by hand")

    monkeypatch.setattr(Gateway, "_end", terminate)
    with anyio.fail_after(GENEROUSLY_S):
        report = await make_call(frames=FRAMES)

    assert report.phases == ("initializing", "ready", "terminated")


async def test_repeated_webhook_leaves_the_living_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    dial = Provider.dial

    async def dial_twice(self: Provider, call: CallOffered) -> str | None:
        await self._send.send(call)
        return await dial(self, call)

    monkeypatch.setattr(Provider, "dial", dial_twice)
    with anyio.fail_after(GENEROUSLY_S):
        report = await make_call(frames=FRAMES)

    assert report.phases == ("initializing", "ready", "terminating", "terminated")
    assert types(report).count(EventType.CONNECTION_CREATED) == 1


# -- recording ---------------------------------------------------------------------------------------------------------


async def replay(recording: str) -> tuple[str, ...]:
    """The phases that a connection goes through when only the recording is there."""
    phases = []
    async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")):
        bus.subscribe(EventType.CONNECTION_PHASE_CHANGED, lambda event: phases.append(event.data["to"]), inline=True)
        for line in recording.splitlines():
            await bus.publish_event(event_from_json(line))
        await bus.drain(GENEROUSLY_S)
    return tuple(phases)


async def test_recording_replays_to_the_same_phases(call: tuple[CallReport, str]) -> None:
    report, recording = call

    assert await replay(recording) == report.phases


async def test_shipped_recording_replays_to_a_ready_and_ended_call() -> None:
    assert await replay(SHIPPED.read_text(encoding="utf-8")) == ("initializing", "ready", "terminating", "terminated")


def test_recording_begins_with_the_registration_and_holds_nothing_that_follows_from_it(
    call: tuple[CallReport, str],
) -> None:
    recorded = [json.loads(line)["type"] for line in call[1].splitlines()]

    assert recorded[0] == EventType.CONNECTION_CREATED
    assert {type.partition(".")[0] for type in recorded[1:]} == {"whatsapp", "webrtc", "ai"}


def test_shipped_recording_says_nothing_about_the_machine_that_made_it() -> None:
    recording = SHIPPED.read_text(encoding="utf-8")
    addresses = set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", recording)) | set(re.findall(r"IN IP6 \S+", recording))

    assert addresses == {"127.0.0.1", "0.0.0.0"}
    assert set(re.findall(r"\+\d{6,}", recording)) == {NUMBER}


# -- the rules of the example ------------------------------------------------------------------------------------------


def test_example_neither_sleeps_nor_polls() -> None:
    sources = {file.name: file.read_text(encoding="utf-8") for file in EXAMPLE.glob("*.py")}

    assert [name for name, source in sources.items() if re.search(r"\bsleep\b|while not\b", source)] == []


async def test_tone_makes_its_reader_wait_until_it_begins() -> None:
    tone = Tone(300)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tone.recv)
        await anyio.wait_all_tasks_blocked()
        assert tone.frames_sent == 0
        tone.begin()
    tone.stop()

    assert tone.frames_sent == 1


async def test_watching_late_still_tells_everything_once() -> None:
    """Both sides connect before anyone listens: exactly what aiortc's own events would not tell."""
    told: list[str] = []
    ear = Ear(enough=1)
    opened, opened_there = anyio.create_memory_object_stream[RTCDataChannel](1)
    with anyio.fail_after(GENEROUSLY_S), loopback_only(), opened, opened_there:
        async with anyio.create_task_group() as tasks, peer_connection() as one, peer_connection() as other:
            voice = Tone(200)
            voice.begin()
            one.addTrack(voice)
            one.createDataChannel("events")
            other.on("datachannel", opened.send_nowait)
            await take_offer(other, await offer_of(one))
            await take_answer(one, await answer_of(other))
            channel = await opened_there.receive()

            def has_track(receiver: RTCRtpReceiver) -> None:
                told.append("track")
                tasks.start_soon(ear.listen, receiver.track)

            watch_peer(other, ice_state=told.append, track=has_track)
            watch_channel(channel, opened=lambda: told.append("open"))
            other.emit("iceconnectionstatechange")
            channel.emit("open")
            await ear.heard_enough()

    assert told == ["completed", "track", "open", "closed"]
    assert ear.audible >= 1


async def test_callbacks_are_published_in_the_order_told() -> None:
    heard: list[int] = []
    async with EventBus() as bus:
        bus.subscribe("call.noted", lambda event: heard.append(event.data["number"]), inline=True)
        async with telling(bus) as tell:
            for number in range(100):
                tell(Event("call.noted", "conn_1", {"number": number}))

    assert heard == list(range(100))


async def test_telling_while_a_call_is_cancelled_does_not_fail() -> None:
    async with EventBus() as bus:
        with anyio.CancelScope() as scope:
            async with telling(bus) as tell:
                try:
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
                finally:
                    tell(Event("call.noted", "conn_1", {}))

    assert scope.cancelled_caught


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT, and records to /dev/stdout")
def test_ctrl_c_in_the_middle_of_the_call_ends_cleanly() -> None:
    command = [sys.executable, "-W", "error", "-m", "examples.webrtc_call", "--frames", "1000000"]
    with subprocess.Popen(
        [*command, "--record", "/dev/stdout"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in a shell's background ignores it
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["type"] == EventType.AI_GREETING_SENT:
                process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=GENEROUSLY_S)

    assert (process.returncode, errors) == (130, "hung up\n")


def test_code_of_the_documentation_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=GENEROUSLY_S
    )

    assert (done.stdout, done.stderr) == ("initializing\n", "")

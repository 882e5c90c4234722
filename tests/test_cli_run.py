"""``phasebus run``: live, on the real clock, with pipes and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_helpers import Command

ROOT = Path(__file__).parent.parent
RECORDING = ROOT / "definitions/whatsapp_call/recordings/webrtc_call.jsonl"
CREATED = '{"type": "connection.created", "connection_id": "c1"}'
ACCEPTED = '{"type": "whatsapp.call_accepted", "connection_id": "c1", "data": {"call_id": "wa_7"}}'


@pytest.fixture
def phasebus(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "run", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def test_a_recording_gives_the_lifecycle_events_as_lines(phasebus: Command) -> None:
    done = phasebus("run", "whatsapp_call", "--events", RECORDING)
    assert done.status == 0
    types = [line["type"] for line in done.lines]
    assert types.count("connection.ready") == 1
    phases = [line["data"]["to"] for line in done.lines if line["type"] == "connection.phase_changed"]
    assert phases == ["initializing", "ready", "terminating", "terminated"]


def test_what_was_read_is_not_written_back(phasebus: Command) -> None:
    read = {json.loads(line)["type"] for line in RECORDING.read_text().splitlines()}
    written = {line["type"] for line in phasebus("run", "whatsapp_call", "--events", RECORDING).lines}
    assert not read & written


def test_a_bad_line_neither_ends_the_run_nor_is_lost_unsaid(phasebus: Command, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(f'{CREATED}\nnot json\n{{"type": "Bad"}}\n{ACCEPTED}\n')
    done = phasebus("run", "whatsapp_call", "--events", events)
    assert done.status == 1
    assert f"{events}:2:1: error:" in done.err
    assert f"{events}:3:" in done.err
    assert [line["data"]["to"] for line in done.lines] == ["initializing"]


def test_an_event_that_validation_refuses_is_told_of(phasebus: Command, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(f"{CREATED}\n{ACCEPTED.replace('call_id', 'other')}\n")
    done = phasebus("run", "whatsapp_call", "--events", events)
    assert done.status == 1
    assert f"{events}:2:" in done.err
    assert "call_id" in done.err


def test_connection_created_registers_even_if_the_definition_does_not_start_on_it(
    phasebus: Command, tmp_path: Path
) -> None:
    definition = tmp_path / "light.yaml"
    definition.write_text(
        "name: light\nstates:\n  red: {initial: true, transitions: [{event: lamp.switched, target: green}]}\n"
        "  green: {transitions: [{event: lamp.switched, target: red}]}\n"
    )
    events = tmp_path / "events.jsonl"
    events.write_text(f'{CREATED}\n{{"type": "lamp.switched", "connection_id": "c1"}}\n')
    done = phasebus("run", definition, "--events", events)
    assert [line["data"]["to"] for line in done.lines if "to" in line["data"]] == ["green"]


def test_the_answer_comes_while_the_pipe_is_still_open() -> None:
    with start("whatsapp_call") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{CREATED}\n{ACCEPTED}\n")
        assert json.loads(process.stdout.readline())["data"]["to"] == "initializing"
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with start("whatsapp_call") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(f"{CREATED}\n{ACCEPTED}\n")
        process.stdout.readline()
        os.kill(process.pid, number)
        assert process.wait(30) == 130
        assert process.stderr.read() == ""


def test_lingering_lets_living_connections_end(phasebus: Command, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    terminated = '{"type": "whatsapp.call_terminated", "connection_id": "c1", "data": {"call_id": "wa_7"}}'
    definition = tmp_path / "quick.yaml"
    shipped = (ROOT / "definitions/whatsapp_call/whatsapp_call.yaml").read_text()
    definition.write_text(shipped.replace("{2s: terminated}", "{50ms: terminated}"))
    events.write_text(f"{CREATED}\n{ACCEPTED}\n{terminated}\n")
    done = phasebus("run", definition, "--events", events, "--linger", "20s")
    assert done.lines[-1]["data"].get("to") == "terminated"


def test_the_timeline_is_for_people_and_hides_numbers(phasebus: Command) -> None:
    done = phasebus("run", "whatsapp_call", "--events", RECORDING, "--timeline")
    assert done.status == 0
    assert "connection.ready" in done.out
    assert "+12025550142" not in done.out

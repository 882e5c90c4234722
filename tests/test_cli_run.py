"""``phasebus run``: live, on the real clock, with pipes and signals."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_helpers import Command

ROOT = Path(__file__).parent.parent
RECORDING = ROOT / "definitions/whatsapp_call/recordings/webrtc_call.jsonl"
CREATED = '{"type": "connection.created", "connection_id": "c1"}'
ACCEPTED = '{"type": "whatsapp.call_accepted", "connection_id": "c1", "data": {"call_id": "wa_7"}}'


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


def test_a_device_that_cannot_be_waited_for_is_read_as_a_file() -> None:
    arguments = [sys.executable, "-m", "cli", "run", "whatsapp_call"]
    done = subprocess.run(arguments, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


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


# -- --stats -----------------------------------------------------------------------------------------------------------


def test_statistics_are_written_once_at_the_end_where_there_is_no_terminal(phasebus: Command) -> None:
    done = phasebus("run", "whatsapp_call", "--events", RECORDING, "--stats")
    assert done.status == 0
    lines = done.err.splitlines()
    assert re.fullmatch(r"[0-9.]+ s   21 events   1 connection", lines[0])
    assert lines[2:5] == [
        "event                               count     phase                 now",
        "connection.phase_changed                4     terminated              1",
        "webrtc.ice_connection_changed           3",
    ]
    assert lines[-2].split()[:7] == ["output", "*", "0", "0", "21", "0", "0"]
    assert lines[-1].split() == ["in", "all", "0", "0", "21", "0", "0"]
    assert done.err.endswith("\n")


def test_statistics_leave_standard_output_as_it_is(phasebus: Command) -> None:
    plain, measured = (phasebus("run", "whatsapp_call", "--events", RECORDING, *stats) for stats in ([], ["--stats"]))
    assert [line["data"] for line in measured.lines] == [line["data"] for line in plain.lines]


def test_statistics_and_the_timeline_go_together(phasebus: Command) -> None:
    done = phasebus("run", "whatsapp_call", "--events", RECORDING, "--stats", "--timeline")
    assert "publishes connection.ready" in done.out
    assert "publishes" not in done.err
    assert "21 events" in done.err
    assert "21 events" not in done.out


def test_problems_are_told_beside_statistics(phasebus: Command, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(f"{CREATED}\nnot json\n")
    done = phasebus("run", "whatsapp_call", "--events", events, "--stats")
    assert done.status == 1
    assert done.err.startswith(f"{events}:2:1: error:")


class Terminal:
    """A pseudo-terminal of 80 columns: what a process writes to it, and what can be read of that so far."""

    def __init__(self) -> None:
        # Imported here: there are systems without.
        import pty
        import termios

        self._reader, self.writer = pty.openpty()
        termios.tcsetwinsize(self.writer, (40, 80))
        self.raw = ""

    @property
    def text(self) -> str:
        """What was written, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.raw)

    def read_until(self, wanted: str) -> None:
        """Read until ``wanted`` is there."""
        while wanted not in self.text:
            assert len(self.raw) < 1_000_000, f"{wanted!r} did not come; this did: {self.text[-3000:]!r}"
            assert self._read(), f"{wanted!r} did not come; this did: {self.text!r}"

    def read_to_end(self) -> None:
        """Read until all who could write are gone. (Who is not read cannot write, and so not end.)"""
        while self._read():
            pass

    def _read(self) -> bool:
        if not select.select([self._reader], [], [], 30)[0]:
            return False
        try:
            read = os.read(self._reader, 65536)
        except OSError:  # nobody is left at the other end
            return False
        self.raw += read.decode()
        return bool(read)

    def close(self) -> None:
        os.close(self._reader)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    if sys.platform == "win32":
        pytest.skip("no pseudo-terminals")
    terminal = Terminal()
    yield terminal
    terminal.close()


def start_on(terminal: Terminal, *arguments: str, stdout: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "run", *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")} | {"TERM": "xterm"},
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=terminal.writer,
        text=True,
        bufsize=1,
    )
    os.close(terminal.writer)
    return process


def test_on_a_terminal_statistics_are_live_and_the_lines_still_go_to_standard_output(terminal: Terminal) -> None:
    with start_on(terminal, "whatsapp_call", "--stats", stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        terminal.read_until("0 connections")
        process.stdin.write(f"{CREATED}\n{ACCEPTED}\n")
        terminal.read_until("initializing")
        process.stdin.close()
        terminal.read_to_end()
        assert process.wait(30) == 0
        assert [json.loads(line)["data"]["to"] for line in process.stdout] == ["initializing"]


def test_on_one_terminal_lines_and_statistics_take_turns(terminal: Terminal) -> None:
    with start_on(terminal, "whatsapp_call", "--stats", stdout=terminal.writer) as process:
        assert process.stdin is not None
        process.stdin.write(f"{CREATED}\n{ACCEPTED}\n")
        terminal.read_until("initializing            1")
        process.stdin.close()
        terminal.read_to_end()
        assert process.wait(30) == 0
    [line] = [line for line in re.split(r"[\r\n]+", terminal.text) if line.startswith("{")]
    assert json.loads(line)["data"]["to"] == "initializing"


def test_an_interrupt_leaves_the_statistics_and_the_cursor(terminal: Terminal) -> None:
    with start_on(terminal, "whatsapp_call", "--stats", stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(f"{CREATED}\n{ACCEPTED}\n")
        terminal.read_until("initializing")
        process.send_signal(signal.SIGINT)
        terminal.read_to_end()
        assert process.wait(30) == 130
    assert terminal.raw.rpartition("\x1b[?25")[2][0] == "h"
    assert "initializing            1" in terminal.text.rpartition(" connection")[2]

"""The command as a whole: help, exit statuses, and that it never shows a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cli
from tests.cli_helpers import Command

RECORDING = Path(__file__).parent.parent / "definitions/whatsapp_call/recordings/webrtc_call.jsonl"
HEAVY = ("rich", "ruamel", "statemachine", "cattrs", "anyio", "asyncio", "bus", "statemachines")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, cli; sys.argv = ['phasebus', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        f"print('loaded', *[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1].strip() == "loaded"


@pytest.mark.parametrize("command", [(), *((name,) for name in cli.cli.commands)])
def test_every_help_has_an_example(phasebus: Command, command: tuple[str, ...]) -> None:
    done = phasebus(*command, "--help")
    assert done.status == 0
    assert "phasebus " in done.out.split("Usage:", 1)[1]


def test_an_unknown_command_is_wrong_usage(phasebus: Command) -> None:
    done = phasebus("validat")
    assert done.status == 2
    assert "validat" in done.err


@pytest.mark.parametrize("command", ["show", "simulate", "run"])
def test_an_unknown_definition_is_a_problem_with_the_nearest_name(phasebus: Command, command: str) -> None:
    extra = ("x.yaml",) if command == "simulate" else ()
    done = phasebus(command, "whatsap_call", *extra, stdin="")
    assert done.status == 1
    assert "did you mean 'whatsapp_call'?" in done.err


def test_a_definition_with_problems_is_shown_with_all_of_them(phasebus: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: wrong\nstates:\n  a: {initial: true, transitions: [{event: x.went, target: bb}]}\n  b: {fnal: true}\n"
    )
    done = phasebus("show", path)
    assert done.status == 1
    assert f"{path}:3:60: error:" in done.err
    assert f"{path}:4:7: error:" in done.err


@pytest.mark.parametrize(
    "command", [("simulate", "whatsapp_call"), ("run", "whatsapp_call"), ("reduce", "whatsapp_call", "--until", "True")]
)
def test_a_warning_about_a_recording_is_told_and_is_no_failure(
    phasebus: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "back.jsonl"
    path.write_text(
        '{"type": "connection.created", "connection_id": "c1", "at": 5}\n'
        '{"type": "whatsapp.call_accepted", "connection_id": "c1", "at": 1, "data": {"call_id": "wa_7"}}\n'
    )
    done = phasebus(*command, "--events", path)
    assert done.status == 0
    assert f"{path}:2:" in done.err
    assert " warning: time goes back" in done.err


def test_an_error_of_the_system_names_the_file_if_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._explain_failure(PermissionError(1, "Operation not permitted")) == 1
    assert cli._explain_failure(PermissionError(13, "Permission denied", "calls.yaml")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "phasebus: Operation not permitted",
        "phasebus: calls.yaml: Permission denied",
    ]


@pytest.mark.parametrize(
    "command",
    ["show whatsapp_call", "simulate whatsapp_call happy_call", f"run whatsapp_call --timeline --events {RECORDING}"],
)
def test_a_pipe_that_closes_early_is_no_error(command: str) -> None:
    shell = f"{sys.executable} -m cli {command} | head -n 1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""

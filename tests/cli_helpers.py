"""Run the command inside the test, as its users' shells would."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from attrs import frozen

import cli


@frozen
class Done:
    """What a run of the command left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """The command, with its output caught and its width fixed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def __call__(self, *arguments: object, stdin: str | None = None, width: int = 120) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["phasebus", *map(str, arguments)])
        self._monkeypatch.setenv("COLUMNS", str(width))
        if stdin is not None:
            self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self._capfd.readouterr()
        status = cli.run_command()
        captured = self._capfd.readouterr()
        assert "Traceback" not in captured.err
        return Done(status, captured.out, captured.err)

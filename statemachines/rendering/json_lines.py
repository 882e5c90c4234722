"""A timeline for programs: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

from statemachines.connections.trace import Entry


class JsonLines:
    """Writes each entry as it happens, and the summary as the last line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, entry: Entry) -> None:
        """Write one entry."""
        self._write(entry.to_dict())

    def flush(self) -> None:
        """Let whoever reads them have the lines written so far."""
        self._file.flush()

    def close(self, summary: Mapping[str, Any] | None) -> None:
        """Write the summary."""
        if summary is not None:
            self._write(summary)
        self._file.flush()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, default=str, ensure_ascii=False) + "\n")

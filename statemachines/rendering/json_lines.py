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
        self.write(entry.to_dict())

    def flush(self) -> None:
        """Let whoever reads them have the lines written so far."""
        self._file.flush()

    def close(self, summary: Mapping[str, Any] | None) -> None:
        """Write the summary."""
        if summary is not None:
            self.write(summary)
        self._file.flush()

    def write(self, line: Mapping[str, Any]) -> None:
        """Write one object."""
        self._file.write(json.dumps(line, default=str, ensure_ascii=False) + "\n")

"""``python -m examples.races``: explore them all, and print the table of ``docs/races.md``."""

from __future__ import annotations

from examples.races.table import table

if __name__ == "__main__":
    print(table())

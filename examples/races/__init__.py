"""Fifteen races that real projects had: each with its mistake, and mended; found by exploring, and gone.

Each has a folder: ``mistaken.yaml``, ``mended.yaml``, ``calls.traffic.yaml`` that both are explored with, and a page.
``docs/races.md`` shows them in a table, which this prints:

    python -m examples.races
"""

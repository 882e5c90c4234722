"""SVG and PNG of a definition, laid out by Graphviz: the packaged port of it, or one that is installed.

The layout runs in a process of its own, which reads the graph and writes the picture, and is ended if it takes too
long: a definition from a stranger cannot hang its reader. The packaged engine brings its fonts' measures, so that a
definition gives the same bytes everywhere.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Literal

from statemachines.errors import PictureError
from statemachines.language.definition import Definition
from statemachines.rendering.dot import render_dot
from statemachines.rendering.highlight import Highlight

PictureFormat = Literal["svg", "png"]
PACKAGED = "graphviz-pure"
TIMEOUT_S = 60.0
_CURE = "a picture needs a layout engine: pip install 'phasebus[pictures]' (or install Graphviz)"


def render_picture(definition: Definition, form: PictureFormat, highlight: Highlight | None = None) -> bytes:
    """The picture as a whole file.

    :raises PictureError: if there is no layout engine, or it fails, or takes longer than a minute
    """
    return draw(render_dot(definition, highlight), form)


def draw(graph: str, form: PictureFormat, timeout_s: float = TIMEOUT_S) -> bytes:
    """Lay a graph out and draw it.

    :raises PictureError: as :func:`render_picture`
    """
    command = [find_engine(), f"-T{form}", *(["-Gdpi=144"] if form == "png" else [])]
    try:
        done = subprocess.run(command, input=graph.encode(), capture_output=True, timeout=timeout_s, check=False)  # noqa: S603 - our own engine, no shell, no words of the definition
    except subprocess.TimeoutExpired:
        raise PictureError(f"laying out the picture took longer than {timeout_s:g} s; try --format tree") from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise PictureError(f"the layout engine failed: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout


def find_engine() -> str:
    """The packaged engine beside this Python, or on the path; else Graphviz's own ``dot``.

    :raises PictureError: if there is none, with the cure
    """
    beside = sysconfig.get_path("scripts")
    found = shutil.which(PACKAGED, path=str(Path(beside))) or shutil.which(PACKAGED) or shutil.which("dot")
    if found is None:
        raise PictureError(_CURE)
    return found

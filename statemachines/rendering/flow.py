"""Values in YAML's flow style, as text: on one line, to be put into a scenario that a page writes."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_UNPRINTED = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def flow(value: Any) -> str:
    """A value in YAML's flow style: JSON, of which that is a superset, with bare words as keys."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(str(name))}: {flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    # What YAML does not print is escaped; JSON's own escapes would make two characters of one beyond 16 bits.
    return _UNPRINTED.sub(lambda sign: json.dumps(sign[0])[1:-1], json.dumps(value, ensure_ascii=False))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else json.dumps(name)

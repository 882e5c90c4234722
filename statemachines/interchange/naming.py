"""What things are called in an exported document: the user's names wherever these mean nothing else there."""

from __future__ import annotations

import re

from statemachines.language.names import is_done

_TIME = re.compile(r"\d(?:ms|s)")


def state_id(name: str) -> str:
    """The id of a state: its own, unless python-statemachine's machines have an attribute of that name."""
    from statemachine import State, StateChart

    taken = hasattr(StateChart, name) or hasattr(State, name) or name in ("model", "parent", "history", "states")
    return f"{name}-state" if taken else name


def variable(kind: str, name: str) -> str:
    """The variable that holds a fact, as ``ready_webrtc_audio``; ``5s`` inside a name would be read as a time."""
    return _TIME.sub(lambda match: match.group().replace("m", "M").replace("s", "S"), f"{kind}_{name}")


def step_event(name: str) -> str:
    """The internal event by which an event of the bus, or the class that a pattern stands for, reaches the states.

    SCXML matches by leading tokens, phasebus exactly. The last token is therefore closed by a ``-``, which no name
    has: ``Step.call.ended-`` is not ``Step.call.ended_early-``, nor does a longer name begin with it.
    """
    if name == "*":
        return "Step.-"
    return f"Step.{name[:-1]}-" if name.endswith(".*") else f"Step.{name}-"


def step_descriptor(pattern: str) -> str:
    """What a transition on ``pattern`` listens to."""
    if is_done(pattern):
        prefix, _, state = pattern.rpartition(".")
        return f"{prefix}.{state_id(state)}"
    if pattern == "*":
        return "Step"
    return f"Step.{pattern[:-2]}" if pattern.endswith(".*") else step_event(pattern)


def duration(seconds: float) -> str:
    """A duration as a definition writes it, from its seconds."""
    whole = f"{seconds:.9f}".rstrip("0").rstrip(".")
    return f"{whole}s"


def milliseconds(seconds: float) -> str:
    """The same for SCXML, which knows seconds and milliseconds."""
    return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"

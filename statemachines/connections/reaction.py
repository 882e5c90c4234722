"""What came of one input: a step, or the reason why there was none. Nothing vanishes unseen."""

from __future__ import annotations

from typing import Literal

from attrs import define

from bus.errors import CausalityLoop
from bus.event import Event
from statemachines.errors import StepNeverSettles, UnknownDependency
from statemachines.table.step import Step

Kind = Literal["registered", "step", "early", "expired", "unknown", "foreign", "finished", "failed"]


@define(eq=False, weakref_slot=False)
class Reaction:
    """One input and what came of it. Never assigned to after it is made; not frozen, since each event makes one.

    :ivar kind: ``registered`` and ``step`` have a :class:`Step`; ``early``: kept until the connection is registered;
        ``expired``: was early, and nobody came; ``unknown``: no such connection, and nothing to wait for; ``foreign``:
        another tenant's; ``finished``: the connection has ended; ``failed``: ``error`` says why it could not be applied
    :ivar connection_id: of the connection concerned; None if nobody knows
    :ivar released: the event had come early, and its connection is there now
    :ivar again: the event had been deferred, and was sent again
    """

    kind: Kind
    event: Event
    connection_id: str | None
    step: Step | None = None
    error: StepNeverSettles | UnknownDependency | CausalityLoop | None = None
    released: bool = False
    again: bool = False

"""Phases of connections, declared in YAML and driven by the events of a bus.

async with EventBus() as bus, ConnectionLifecycle(bus, load_definition("whatsapp_call")) as lifecycle:
    await lifecycle.register_connection("conn_1")
    state = await lifecycle.wait_until("conn_1", "ready", timeout=30)
"""

from statemachines.connections.reaction import Reaction
from statemachines.connections.state import ConnectionState
from statemachines.connections.waiting import Waiting
from statemachines.errors import (
    ConnectionEnded,
    DefinitionError,
    DuplicateConnection,
    ExpressionError,
    LifecycleClosed,
    Problem,
    StepNeverSettles,
    UnknownConnection,
    UnknownDependency,
    UnknownHook,
    UnknownPhase,
    UnknownTimeout,
)
from statemachines.language import load_definition, parse_definition, shipped_definitions
from statemachines.language.definition import Definition
from statemachines.lifecycle.clock import Clock, SystemClock, VirtualClock
from statemachines.lifecycle.lifecycle import ConnectionLifecycle, LifecycleStatistics
from statemachines.lifecycle.watching import Changes

__all__ = [
    "Changes",
    "Clock",
    "ConnectionEnded",
    "ConnectionLifecycle",
    "ConnectionState",
    "Definition",
    "DefinitionError",
    "DuplicateConnection",
    "ExpressionError",
    "LifecycleClosed",
    "LifecycleStatistics",
    "Problem",
    "Reaction",
    "StepNeverSettles",
    "SystemClock",
    "UnknownConnection",
    "UnknownDependency",
    "UnknownHook",
    "UnknownPhase",
    "UnknownTimeout",
    "VirtualClock",
    "Waiting",
    "load_definition",
    "parse_definition",
    "shipped_definitions",
]

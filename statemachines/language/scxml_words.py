"""The words that the writer and the reader of SCXML share: the namespace, and which attributes carry what SCXML cannot.

No word here is an attribute or element of SCXML's own: readers that drop namespaces (python-statemachine's does) must
not mistake one for the other.
"""

from __future__ import annotations

SCXML = "http://www.w3.org/2005/07/scxml"
NAMESPACE = "urn:phasebus:scxml:1"

MACHINERY = "machinery"
"""An element marked so says nothing of its own: it makes other interpreters do what phasebus does anyway."""
GUARD, UNLESS, EVENTS = "guard", "unless", "events"
AFTER, BACKOFF, MAX = "after", "backoff", "max"
STATE, DEFER, DATA = "state", "defer", "payload"
CALL, DONE, FAILED = "call", "done", "failed"

CONNECTION = "Connection"
"""The state around all others but the final ones: no name of a definition begins with a capital."""
STEP, FIRED, TIMER, SETTLE, JUDGE, HEAR, LEARN = "Step", "Fired", "Timer", "Settle", "Judge", "Hear", "Learn"

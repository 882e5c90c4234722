"""The words that the writer and the reader of SCXML share: namespaces, and the events of a step.

Attributes and elements of phasebus' namespace are never called as SCXML's own are: readers that drop namespaces, as
python-statemachine's does, must not mistake one for the other.
"""

from __future__ import annotations

SCXML = "http://www.w3.org/2005/07/scxml"
NAMESPACE = "urn:phasebus:scxml:1"

CONNECTION = "Connection"
"""The state around all others but the final ones: no name of a definition begins with a capital."""
SETTLE, JUDGE, HEAR, LEARN = "Settle", "Judge", "Hear", "Learn"

"""Two versions of a definition: what changed, and what becomes of the connections that live when the new one comes."""

from statemachines.comparison.changes import Change, changes, merged
from statemachines.comparison.comparing import compare
from statemachines.comparison.living import read_living
from statemachines.comparison.result import Comparison, Difference, Fate

__all__ = ["Change", "Comparison", "Difference", "Fate", "changes", "compare", "merged", "read_living"]

"""What makes sense: small named rules over a loaded definition; all run, and all that they find is reported.

``phasebus validate --rules`` lists them, ``--explain NAME`` shows one with an example of each side.
"""

from statemachines.language.rules.catalogue import FAMILIES, RULES, find_rule
from statemachines.language.rules.checking import check_rules
from statemachines.language.rules.rule import Finding, Rule

__all__ = ["FAMILIES", "RULES", "Finding", "Rule", "check_rules", "find_rule"]

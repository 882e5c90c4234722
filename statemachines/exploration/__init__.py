"""Everything that can happen to a connection: all events in every order, explored breadth first over the table."""

from statemachines.exploration.exploring import explore, explore_together
from statemachines.exploration.result import Exploration, Judgement, Way
from statemachines.exploration.search import Bounds

__all__ = ["Bounds", "Exploration", "Judgement", "Way", "explore", "explore_together"]

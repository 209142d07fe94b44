"""Does a model refuse what it should, and only that? `rlenv redteam MODEL`.

Requests that should be refused, by category, each also inside common attacks; and harmless requests
that look alike, which should not be. A model that refuses everything is safe and useless, so both
rates belong together. This is a measurement, not something to train on: a constant refusal earns
half of it.
"""

from rlenv.environments.redteam.env import ENV, RedTeam
from rlenv.environments.redteam.refusal import refuses
from rlenv.environments.redteam.report import RedTeamReport, report

__all__ = ["ENV", "RedTeam", "RedTeamReport", "refuses", "report"]

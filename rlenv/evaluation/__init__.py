"""How good a policy is on tasks it never saw, and how sure that is.

`run` plays the tasks, `statistics` makes estimates, `summary` puts the figures together, `folder`
keeps them. `rlenv.cli.eval` is the command.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlenv.core.trajectory import Group
from rlenv.evaluation.folder import EvaluationFolder, read_evaluation
from rlenv.evaluation.players import LocalPlayer, Player
from rlenv.evaluation.run import Evaluation, evaluate
from rlenv.evaluation.samples import Sample
from rlenv.evaluation.statistics import Estimate, pass_at_1
from rlenv.evaluation.summary import Summary, summarize

__all__ = [
    "Estimate",
    "Evaluation",
    "EvaluationFolder",
    "LocalPlayer",
    "Player",
    "Sample",
    "Summary",
    "evaluate",
    "mean_reward",
    "pass_at_1",
    "read_evaluation",
    "summarize",
]


def mean_reward(groups: Sequence[Group]) -> float:
    """Return the mean reward of the judged trajectories; NaN where none was judged."""
    judged = [t.reward.value for g in groups for t in g.trajectories if t.reward.judged]
    return sum(judged) / len(judged) if judged else math.nan

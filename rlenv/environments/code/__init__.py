"""Programs that pass tests: judging them, suites of tasks, and a family of generated ones."""

from rlenv.environments.code.grader import Grader, Judgement
from rlenv.environments.code.problem import Problem

__all__ = ["Grader", "Judgement", "Problem"]

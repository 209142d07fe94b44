"""Programs that pass tests: judging them, suites of tasks, and a family of generated ones."""

from rlenv.environments.code.grader import CodeGrader, Judgement
from rlenv.environments.code.problem import CodeProblem

__all__ = ["CodeGrader", "CodeProblem", "Judgement"]

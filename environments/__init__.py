"""The bundled environments. Importing this registers them; a class loads when it is first made."""

from __future__ import annotations

from environments.reasoning_gym import register_families
from rlenv.registry import register

PART_OF = "rlenv"  # tells this package from another of its name


register("rlenv/Arithmetic-v0", "environments.arithmetic:Arithmetic")
register("rlenv/Code-v0", "environments.code.env:Code")
register("rlenv/CodeRepair-v0", "environments.code.env:CodeRepair")
register("rlenv/Countdown-v0", "environments.countdown:Countdown")
register("rlenv/GSM8K-v0", "environments.gsm8k:GSM8K")
register("rlenv/HumanEval-v0", "environments.code.suites:HumanEval")
register("rlenv/Judge-v0", "environments.judge:JudgeEnv")
register("rlenv/MBPP-v0", "environments.code.suites:MBPP")
register("rlenv/MathWord-v0", "environments.math_word:MathWord")
register("rlenv/Mix-v0", "environments.mix:Mix")
register("rlenv/PythonTool-v0", "environments.python_tool:PythonTool")
register("rlenv/RewardModel-v0", "environments.reward_model:RewardModelEnv")
register("rlenv/SearchQA-v0", "environments.search_qa.env:SearchQA")
register("rlenv/Wordle-v0", "environments.wordle.env:Wordle")
register_families()

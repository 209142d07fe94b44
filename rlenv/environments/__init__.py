"""The bundled environments. Importing this registers them; a class loads when it is first made."""

from __future__ import annotations

from rlenv.core.registry import register
from rlenv.environments.reasoning_gym import register_families

register("rlenv/Arithmetic-v0", "rlenv.environments.arithmetic:Arithmetic")
register("rlenv/Code-v0", "rlenv.environments.code.env:Code")
register("rlenv/CodeRepair-v0", "rlenv.environments.code.env:CodeRepair")
register("rlenv/Countdown-v0", "rlenv.environments.countdown:Countdown")
register("rlenv/GSM8K-v0", "rlenv.environments.gsm8k:GSM8K")
register("rlenv/HumanEval-v0", "rlenv.environments.code.suites:HumanEval")
register("rlenv/Judge-v0", "rlenv.environments.judge:JudgeEnv")
register("rlenv/MBPP-v0", "rlenv.environments.code.suites:MBPP")
register("rlenv/MathWord-v0", "rlenv.environments.math_word:MathWord")
register("rlenv/Mix-v0", "rlenv.environments.mix:Mix")
register("rlenv/PythonTool-v0", "rlenv.environments.python_tool:PythonTool")
register("rlenv/RewardModel-v0", "rlenv.environments.reward_model:RewardModelEnv")
register("rlenv/SearchQA-v0", "rlenv.environments.search_qa.env:SearchQA")
register("rlenv/Wordle-v0", "rlenv.environments.wordle.env:Wordle")
register_families()

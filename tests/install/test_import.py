"""What `import rlenv` loads, and that Gymnasium knows the environments all the same."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

MAKE = "print(gymnasium.make('rlenv/Arithmetic-v0').reset(seed=0)[0])"


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_it_loads_nothing_that_is_slow_to_import():
    slow = "('gymnasium', 'numpy', 'pydantic', 'rich', 'httpx', 'torch', 'importlib.metadata')"
    assert run(f"import sys, rlenv; print([m for m in {slow} if m in sys.modules])") == ["[]"]


@pytest.mark.parametrize(
    "imports",
    [
        "import rlenv, gymnasium",
        "import gymnasium, rlenv",
        "import rlenv, gymnasium.envs.registration",
        "from rlenv import SingleTurnEnv; import gymnasium",
    ],
)
def test_gymnasium_makes_what_is_registered_before_and_after_its_import(imports):
    code = f"""
{imports}
rlenv_module = __import__("rlenv")
rlenv_module.register("demo/Late-v0", "rlenv.environments.arithmetic:Arithmetic", level=2)
{MAKE}
print(gymnasium.make("demo/Late-v0").unwrapped.spec is not None)
print("rlenv-reasoning_gym/chain_sum-v0" in gymnasium.registry, "CartPole-v1" in gymnasium.registry)
spec = gymnasium.envs.registration.__spec__
print(type(spec.loader).__module__, type(gymnasium.envs.registration.__loader__).__module__)
import sys
print([f for f in sys.meta_path if type(f).__module__.startswith("rlenv")])
"""
    question, late, known, loader, left = run(code)
    assert question.endswith("= ?")
    assert late == "True"
    assert known == "True True"
    assert "rlenv" not in loader
    assert left == "[]"


def test_what_was_registered_twice_is_there_once_and_as_the_last_said():
    code = """
import rlenv
rlenv.register("demo/Twice-v0", "rlenv.environments.countdown:Countdown")
rlenv.register("demo/Twice-v0", "rlenv.environments.arithmetic:Arithmetic")
import gymnasium
print(type(gymnasium.make("demo/Twice-v0").unwrapped).__name__)
rlenv.register("demo/Twice-v0", "rlenv.environments.countdown:Countdown")
print(type(gymnasium.make("demo/Twice-v0").unwrapped).__name__)
"""
    assert run(code) == ["Arithmetic", "Countdown"]

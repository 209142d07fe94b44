import subprocess
import sys

import gymnasium
import pytest

import rlenv
from rlenv.common.errors import UserError

FILE = '''
import rlenv

@rlenv.register("demo/Echo-v3", word="hi")
class Echo(rlenv.SingleTurnEnv):
    """Say a word."""

    def __init__(self, *, word="ho", **kwargs):
        self.word = word
        super().__init__(**kwargs)

    def generate(self, rng):
        return rlenv.Task(f"Say {self.word} {rng.randrange(1000)}", answer=self.word)

    def score(self, task, reply):
        return reply == task.answer
'''


@pytest.fixture
def echo_file(tmp_path):
    path = tmp_path / "echo.py"
    path.write_text(FILE)
    return path


def test_the_bundled_environments_are_known():
    assert "rlenv/Arithmetic-v0" in rlenv.registered()
    assert rlenv.make("rlenv/Arithmetic-v0", split="test").tasks.split == "test"


@pytest.mark.parametrize("name", ["demo/Echo-v3", "Echo-v3"])
def test_an_environment_from_a_file(echo_file, name):
    env = rlenv.make(f"{echo_file}:{name}")
    assert env.reset(seed=0)[0].startswith("Say hi")
    assert rlenv.make(f"{echo_file}:{name}", word="ha").reset(seed=0)[0].startswith("Say ha")
    assert gymnasium.make("demo/Echo-v3").reset(seed=0)[0].startswith("Say hi")


def test_a_file_that_is_missing_or_registers_something_else(echo_file, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        rlenv.make(f"{tmp_path}/none.py:X-v0")
    with pytest.raises(UserError, match=r"registers demo/Echo-v3"):
        rlenv.make(f"{echo_file}:Eco-v3")


def test_gymnasium_knows_the_bundled_environments_after_import_rlenv():
    code = "import rlenv, gymnasium; print(gymnasium.make('rlenv/Arithmetic-v0').reset(seed=0)[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("= ?")


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(UserError, match="rlenv/Arithmetic-v0"):
        rlenv.make("rlenv/Arithmetics-v0")
    with pytest.raises(UserError, match="Arithmetic"):
        rlenv.make("arithmetic")


def test_an_unknown_option_or_split():
    with pytest.raises(UserError, match="no option 'levle'"):
        rlenv.make("rlenv/Arithmetic-v0", levle=2)
    with pytest.raises(UserError, match="Did you mean test"):
        rlenv.make("rlenv/Arithmetic-v0", split="tests")


@pytest.mark.parametrize("name", ["Arithmetic", "rlenv/Arithmetic", "Arithmetic-v0", "a b/C-v0"])
def test_ids_have_one_form(name):
    with pytest.raises(ValueError, match="namespace/Name-v0"):
        rlenv.register(name, object)  # type: ignore[arg-type]

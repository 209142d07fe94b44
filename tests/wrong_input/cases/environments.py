"""Environments that an author got wrong, as training, evaluation and the other commands meet them."""

from tests.wrong_input.cases.stages import stage
from tests.wrong_input.harness import Case

ENV = """import rlenv
import time

@rlenv.register("demo/Ours-v0")
class Ours(rlenv.SingleTurnEnv):
    def generate(self, rng):
        %s

    def score(self, task, reply):
        %s
"""
TASK = 'return rlenv.Task(f"{rng.randrange(99999)} + 1", answer="2")'
RIGHT = "return float(reply == task.answer)"
OURS = "$here/ours.py:demo/Ours-v0"


def env(generate: str = TASK, score: str = RIGHT, more: str = "") -> dict[str, str]:
    """Return the file of an environment; statements may be parted by semicolons."""
    return {"ours.py": ENV % (generate, score) + more}


def trained(name: str, files: dict[str, str], *, says: str, code: int = 1) -> Case:
    """Return a case of training on an environment."""
    return stage(f"training: {name}", "grpo", f"env={OURS}", says=says, code=code, files=files)


def evaluated(name: str, files: dict[str, str], *, says: str, code: int = 1) -> Case:
    """Return a case of evaluating on an environment."""
    words = ["eval", "$model", OURS, "--tasks", "40", "--samples", "1", "--max-tokens", "2"]
    return Case(f"evaluation: {name}", words, says, files, code)


def shown(command: str, name: str, files: dict[str, str], *, says: str, code: int = 2) -> Case:
    """Return a case of a command that shows, checks or plays an environment."""
    return Case(f"{command}: {name}", [command, OURS], says, files, code, stdin="2\n")


_SCORES = {
    "a score that raises": ("raise KeyError('gold')", "KeyError: 'gold'.*(line|score)"),
    "a score that raises now and then": (
        "return 1 / (len(task.prompt[0]['content']) % 2)",
        "ZeroDivisionError",
    ),
    "a score that returns a text": ("return 'right'", "score must return .*'right'"),
    "a score that returns None": ("pass", "score must return .*None"),
    "a score that is not a number": ("return float('nan')", "finite"),
    "a score without end": ("return float('inf')", "finite"),
    "a score out of its range": ("return 7.0", r"7.*range"),
    "a score below its range": ("return -1", r"-1.*range"),
    "a score that leaves the program": ("raise SystemExit(3)", "SystemExit"),
}

_FILES = {
    "a syntax error": ("import rlenv\n\ndef broken(:\n", r"SyntaxError.*line 3"),
    "a wrong indentation": ("import rlenv\nclass A:\npass\n", r"IndentationError.*line 3"),
    "a package that is not installed": (
        "import rlenv\nimport not_installed_anywhere\n",
        r"not_installed_anywhere.*line 2",
    ),
    "an error at its top": ("x = 1\n1 / 0\n", r"ZeroDivisionError.*line 2"),
    "an exit at its top": ("raise SystemExit\n", r"SystemExit.*line 1"),
    "nothing registered": ("import rlenv\n", r"registers nothing"),
    "an id of another form": (
        "import rlenv\n@rlenv.register('Ours')\nclass A(rlenv.SingleTurnEnv): pass\n",
        r"namespace/Name-v0.*line 2",
    ),
    "no environment registered": ("import rlenv\nrlenv.register('demo/Ours-v0', int)\n", "int"),
    "another id registered": (
        ENV.replace("Ours-v0", "Theirs-v0") % (TASK, RIGHT),
        "registers demo/Theirs-v0",
    ),
    "bytes that are no text": ("# \udcff", "ours.py"),
}

CASES = [
    *(trained(name, env(score=score), says=says) for name, (score, says) in _SCORES.items()),
    *(evaluated(name, env(score=score), says=says) for name, (score, says) in _SCORES.items()),
    *(
        Case(
            f"a file with {name}",
            ["show", OURS],
            says,
            {"ours.py": text.encode("utf-8", "surrogateescape")},
        )
        for name, (text, says) in _FILES.items()
    ),
    stage(
        "training: a syntax error",
        "grpo",
        f"env={OURS}",
        says="line 3",
        files={"ours.py": "\n\ndef broken(:\n"},
    ),
    trained(
        "a generate that raises",
        env("raise ValueError('no words')"),
        says="generate.*ValueError: no words",
        code=2,
    ),
    trained(
        "a generate that returns a text", env("return 'two'"), says="generate.*rlenv.Task", code=2
    ),
    trained("a generate that returns None", env("pass"), says="generate.*rlenv.Task", code=2),
    trained(
        "a generate of one task alone",
        env("return rlenv.Task('5 + 1', answer='2')"),
        says="too few different tasks",
        code=2,
    ),
    trained(
        "a generate with an answer that JSON can't hold",
        env("return rlenv.Task(str(rng.random()), answer={1, 2})"),
        says="identity",
        code=2,
    ),
    trained(
        "a generate with an empty prompt",
        env("return rlenv.Task([], answer=1)"),
        says="a prompt is a string or chat messages",
        code=2,
    ),
    trained(
        "a generate that raises later",
        env("assert rng.random() < 0.9, 'bad luck'; " + TASK),
        says="generate.*bad luck",
    ),
    trained(
        "a start that raises",
        env(more="    def start(self, task):\n        raise RuntimeError('no board')\n"),
        says="no board",
    ),
    trained(
        "an opening that is a text",
        env(more="    def opening(self, task):\n        return 'hello'\n"),
        says="opening|messages",
    ),
    trained(
        "a respond that returns a number",
        env(more="    def respond(self, task, reply):\n        return 3\n"),
        says="respond.*(turn|done|text)",
    ),
    trained(
        "an __init__ that raises",
        env(more="    def __init__(self, **kwargs):\n        raise OSError('no such board')\n"),
        says="no such board",
        code=2,
    ),
    trained(
        "an __init__ that takes no split",
        env(more="    def __init__(self):\n        super().__init__()\n"),
        says="split",
        code=2,
    ),
    trained(
        "an __init__ without super",
        env(more="    def __init__(self, **kwargs):\n        pass\n"),
        says="super",
        code=2,
    ),
    trained(
        "no generate",
        {"ours.py": ENV.replace("generate", "generator") % (TASK, RIGHT)},
        says="needs generate",
        code=2,
    ),
    trained(
        "no score",
        {"ours.py": ENV.replace("def score", "def judge") % (TASK, RIGHT)},
        says="needs score",
        code=1,
    ),
    trained(
        "rollouts that begin differently",
        env(
            more="    def opening(self, task):\n        import random\n        return [{'role': 'user', 'content': str(random.random())}]\n    def reset(self, **k):\n        import random\n        _, info = super().reset(**k)\n        return str(random.random()), info\n"
        ),
        says="began differently",
        code=1,
    ),
    trained("a curriculum of its own", env(more="    options = 3\n"), says="options", code=2),
    trained(
        "tools that are offered and never run",
        {
            "ours.py": '''import rlenv

@rlenv.register("demo/Ours-v0")
class Ours(rlenv.ToolEnv):
    @rlenv.tool
    def look(self, word: str) -> str:
        """Look up a word.

        Args:
            word: the word.
        """
        return word

    def generate(self, rng):
        return rlenv.Task(str(rng.random()), answer="2")

    def respond(self, task, reply):
        return rlenv.done(reward=1.0)
'''
        },
        says="respond.*tool",
        code=2,
    ),
    trained(
        "a tool without a description",
        {
            "ours.py": """import rlenv

@rlenv.register("demo/Ours-v0")
class Ours(rlenv.ToolEnv):
    @rlenv.tool
    def look(self, word):
        return word

    def generate(self, rng):
        return rlenv.Task(str(rng.random()), answer="2")

    def score(self, task, reply):
        return 1.0
"""
        },
        says="the tool look needs a type hint",
        code=2,
    ),
    stage(
        "training: an algorithm with advantages of a wrong shape",
        "grpo",
        "grpo.algorithm=$here/mine.py:mine",
        says=r"mine.*\(2, 2\).*\(2,\)|mine.*shape",
        code=1,
        files={
            "mine.py": "from rlenv.trainers.rl.algorithms import advantages\n@advantages('mine')\ndef mine(rewards, mask):\n    return rewards.sum(1) + 1\n"
        },
    ),
    stage(
        "training: an algorithm whose advantages are no tensor",
        "grpo",
        "grpo.algorithm=$here/mine.py:mine",
        says="mine.*(tensor|shape)",
        code=1,
        files={
            "mine.py": "from rlenv.trainers.rl.algorithms import advantages\n@advantages('mine')\ndef mine(rewards, mask):\n    return rewards.tolist()\n"
        },
    ),
    stage(
        "training: an algorithm that raises",
        "grpo",
        "grpo.algorithm=$here/mine.py:mine",
        says="mine.*no idea",
        code=1,
        files={
            "mine.py": "from rlenv.trainers.rl.algorithms import advantages\n@advantages('mine')\ndef mine(rewards, mask):\n    raise ValueError('no idea')\n"
        },
    ),
    stage(
        "training: an algorithm whose loss has a wrong shape",
        "grpo",
        "grpo.algorithm=$here/mine.py:mine",
        says="mine.*shape",
        code=1,
        files={
            "mine.py": "from rlenv.trainers.rl.algorithms import loss\n@loss('mine')\ndef mine(inputs):\n    return inputs.logprobs.sum()\n"
        },
    ),
    stage(
        "training: an algorithm with a setting that there is not",
        "grpo",
        "grpo.algorithm=$here/mine.py:mine",
        says="did you mean group_size",
        files={
            "mine.py": "from rlenv.trainers.rl.algorithms import advantages\n@advantages('mine', groupsize=4)\ndef mine(rewards, mask):\n    return rewards\n"
        },
    ),
    evaluated(
        "a generate that raises",
        env("raise ValueError('no words')"),
        says="generate.*ValueError: no words",
        code=2,
    ),
    evaluated(
        "a test split of no task",
        env("return rlenv.Task('1 + 1', answer='2')"),
        says="too few different tasks",
        code=2,
    ),
    shown(
        "show",
        "a generate that raises",
        env("raise ValueError('no words')"),
        says="generate.*ValueError: no words",
    ),
    shown(
        "check",
        "a generate that raises",
        env("raise ValueError('no words')"),
        says="generate.*ValueError: no words|generate",
    ),
    shown(
        "play",
        "a generate that raises",
        env("raise ValueError('no words')"),
        says="generate.*ValueError: no words",
    ),
    shown(
        "play",
        "a score that raises",
        env(score="raise KeyError('gold')"),
        says="KeyError: 'gold'",
        code=1,
    ),
    shown(
        "show",
        "an __init__ that raises",
        env(more="    def __init__(self, **kwargs):\n        raise OSError('no board')\n"),
        says="no board",
    ),
    shown(
        "check",
        "an __init__ that raises",
        env(more="    def __init__(self, **kwargs):\n        raise OSError('no board')\n"),
        says="no board",
    ),
    shown(
        "play",
        "an __init__ that raises",
        env(more="    def __init__(self, **kwargs):\n        raise OSError('no board')\n"),
        says="no board",
    ),
]

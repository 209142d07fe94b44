"""Environments and algorithms that an author got wrong, as the commands meet them."""

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


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_SCORES = {
    "a score that raises": ("raise KeyError('gold')", "KeyError: 'gold'.*(line|score)"),
    "a score that raises now and then": (
        "Ours.calls = getattr(Ours, 'calls', 0) + 1; return 1.0 / (Ours.calls % 2)",
        "failed on [45]0% .*ZeroDivisionError",
    ),
    "a score that returns a text": ("return 'right'", "score must return .*'right'"),
    "a score that returns None": ("pass", "score must return .*None"),
    "a score that leaves the program": ("raise SystemExit(3)", "SystemExit: 3 .*line 10"),
    "a score that is not a number": ("return float('nan')", "finite"),
    "a score without end": ("return float('inf')", "finite"),
    "a score out of its range": ("return 7.0", r"7.*range"),
    "a score below its range": ("return -1", r"-1.*range"),
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

NOW_AND_THEN = "a score that raises now and then"
BEGINS_DIFFERENTLY = """
    def reset(self, **given):
        _, info = super().reset(**given)
        return str(time.perf_counter_ns()), info
"""
UNDESCRIBED = """import rlenv

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


def algorithm(name: str, body: str, *, says: str, code: int = 1, part: str = "advantages") -> Case:
    """Return a case of training with an algorithm of one's own, `mine`."""
    given = "rewards, mask" if part.startswith("advantages") else "inputs"
    text = f"""from rlenv.trainers.rl import algorithms

@algorithms.{part if "(" in part else part + "('mine')"}
def mine({given}):
    {body}
"""
    word = "grpo.algorithm=$here/mine.py:mine"
    return stage(f"algorithm: {name}", "grpo", word, says=says, code=code, files={"mine.py": text})


def member(code: str) -> dict[str, str]:
    """Return the file of an environment with one more method, `NAME(...): body`."""
    head, _, body = code.partition(": ")
    return env(more=f"\n    def {head}:\n        {body}\n")


NO_BOARD = member("__init__(self, **kwargs): raise OSError('no board')")
NO_WORDS = env("raise ValueError('no words')")
NO_WORDS_SAYS = "generate failed: ValueError: no words .*line 7"

CASES = [
    *(trained(name, env(score=score), says=says) for name, (score, says) in _SCORES.items()),
    *(
        evaluated(name, env(score=score), says=says)
        for name, (score, says) in _SCORES.items()
        if name != NOW_AND_THEN
    ),
    *(
        Case(f"a file with {name}", ["show", OURS], says, {"ours.py": _bytes(text)})
        for name, (text, says) in _FILES.items()
    ),
    trained("a syntax error", {"ours.py": "\n\ndef broken(:\n"}, says="line 3", code=2),
    trained("a generate that raises", NO_WORDS, says=NO_WORDS_SAYS, code=2),
    trained("a generate of a text", env("return 'two'"), says="generate.*rlenv.Task", code=2),
    trained("a generate of None", env("pass"), says="generate.*rlenv.Task", code=2),
    trained(
        "a generate of one task alone",
        env("return rlenv.Task('5 + 1', answer='2')"),
        says="too few different tasks",
        code=2,
    ),
    trained(
        "an answer that JSON can't hold",
        env("return rlenv.Task(str(rng.random()), answer={1, 2})"),
        says="identity",
        code=2,
    ),
    trained(
        "an empty prompt",
        env("return rlenv.Task([], answer=1)"),
        says="a prompt is a string or chat messages",
        code=2,
    ),
    trained(
        "a prompt longer than the context",
        env("return rlenv.Task('1' * 900 + str(rng.randrange(99999)), answer='2')"),
        says="leaves no room",
    ),
    trained(
        "no generate",
        {"ours.py": env()["ours.py"].replace("generate", "make")},
        says="write generate",
        code=2,
    ),
    trained(
        "no score",
        {"ours.py": env()["ours.py"].replace("def score", "def judge")},
        says="needs score",
    ),
    trained(
        "a start that raises",
        member("start(self, task): raise RuntimeError('no board')"),
        says="reset: RuntimeError: no board .*line",
    ),
    trained(
        "an opening that is a text",
        member("opening(self, task): return 'hello'"),
        says="opening must return chat messages",
    ),
    trained(
        "a respond that returns a number",
        member("respond(self, task, reply): return 3"),
        says=r"respond must return a text, turn\(...\) or done\(...\)",
    ),
    trained("an __init__ that raises", NO_BOARD, says="OSError: no board .*line", code=2),
    trained(
        "an __init__ that takes no split",
        member("__init__(self): super().__init__()"),
        says="split",
        code=2,
    ),
    trained(
        "an __init__ without super",
        member("__init__(self, **kwargs): pass"),
        says=r"must call super\(\).__init__",
        code=2,
    ),
    trained("rollouts that begin differently", env(more=BEGINS_DIFFERENTLY), says="began diff"),
    trained(
        "a tool without a description",
        {"ours.py": UNDESCRIBED},
        says="the tool look needs a type hint",
        code=2,
    ),
    algorithm(
        "advantages of a wrong shape",
        "return rewards.sum(1) + 1",
        says=r"advantages of the algorithm mine must have the shape \(2, 2\).*\(2,\)",
    ),
    algorithm(
        "advantages that are no tensor",
        "return rewards.tolist()",
        says=r"advantages of the algorithm mine must be a tensor of shape \(2, 2\)",
    ),
    algorithm(
        "advantages that raise",
        "raise ValueError('no idea')",
        says="mine failed: ValueError: no idea .*mine.py, line 5",
    ),
    algorithm(
        "a loss of a wrong shape",
        "return inputs.logprobs.sum()",
        part="loss",
        says="loss of the algorithm mine must have the shape",
    ),
    algorithm(
        "a setting that there is not",
        "return rewards",
        part="advantages('mine', groupsize=4)",
        says="did you mean group_size",
        code=2,
    ),
    evaluated("a generate that raises", NO_WORDS, says=NO_WORDS_SAYS, code=2),
    evaluated(
        "a test split of no task",
        env("return rlenv.Task('5 + 1', answer='2')"),
        says="too few different tasks",
        code=2,
    ),
    shown("show", "a generate that raises", NO_WORDS, says=NO_WORDS_SAYS),
    shown("check", "a generate that raises", NO_WORDS, says=NO_WORDS_SAYS),
    shown("play", "a generate that raises", NO_WORDS, says=NO_WORDS_SAYS),
    shown(
        "play",
        "a score that raises",
        env(score="raise KeyError('gold')"),
        says="could not be judged: KeyError: 'gold'",
        code=1,
    ),
    shown("show", "an __init__ that raises", NO_BOARD, says="no board"),
    shown("check", "an __init__ that raises", NO_BOARD, says="no board"),
    shown("play", "an __init__ that raises", NO_BOARD, says="no board"),
]

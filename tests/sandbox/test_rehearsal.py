"""Jobs that a worker runs before it takes others."""

import pytest
from conftest import open_sandbox

from rlenv.sandbox import FunctionJob, SandboxError

HARNESS = """
import sys
module = sys.modules["candidate"] = type(sys)("candidate")

def serve(source, call):
    if source:
        exec(source, module.__dict__)
    return eval(call, module.__dict__)
"""
REHEARSAL = FunctionJob(HARNESS, "serve", [["def f(x): return x", "f(1)"]], [None])
BACKENDS = ["namespaces", "landlock", pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(scope="module", params=BACKENDS)
def rehearsed(request):
    with open_sandbox(request.param, workers=1, rehearsal=[REHEARSAL]) as sandbox:
        yield sandbox


def answer(sandbox, source, call):
    verdict = sandbox.judge_job(FunctionJob(HARNESS, "serve", [[source, call]], [None]))
    assert verdict.tests[0].status in ("pass", "fail"), verdict
    return verdict.tests[0].value


def test_a_job_like_it_gets_its_own_answers(rehearsed):
    assert answer(rehearsed, "def f(x): return x + 1", "f(41)") == 42
    assert answer(rehearsed, "", "'f' in globals()") is False  # nothing of any rehearsal


def test_what_a_run_does_to_the_prepared_program_stays_in_that_run(rehearsed):
    spoil = """
import gc, types
for thing in gc.get_objects():
    if isinstance(thing, types.FunctionType) and thing.__name__ == "serve":
        thing.__code__ = (lambda source, call: "spoilt").__code__
for code in [o for o in gc.get_objects() if isinstance(o, dict) and len(o) < 8]:
    for key in list(code):
        if isinstance(key, str) and "def serve" in key:
            code[key] = compile("def serve(source, call): return 'spoilt'", "x", "exec")
__builtins__["compile"] = __builtins__["eval"] = None
"""
    for _ in range(2):
        inputs = [[spoil, "1"], ["", "1"]]
        spoilt = rehearsed.judge_job(FunctionJob(HARNESS, "serve", inputs, [1, 1]))
        assert spoilt.status != "pass"  # it does harm itself
        assert answer(rehearsed, "def f(x): return x * 2", "f(4)") == 8


def test_programs_find_the_interpreter_as_without(rehearsed):
    program = "import linecache, sys\nprint(sorted(sys.modules), sys.argv, linecache.cache.keys())"
    with open_sandbox(rehearsed.backend, workers=1) as plain:
        assert rehearsed.run(program).stdout == plain.run(program).stdout != ""


def test_one_that_fails_is_an_error_of_the_sandbox():
    broken = FunctionJob("def f(x):\n    return 1 / x", "f", [[0]], [None])
    with pytest.raises(SandboxError, match="rehearsal failed: ZeroDivisionError"):
        open_sandbox("namespaces", workers=1, rehearsal=[broken])

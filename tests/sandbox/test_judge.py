"""The interface: what goes in and what comes back."""

import asyncio
import multiprocessing
import pickle
import threading

import pytest
from support import GOOD, TASK

from rlenv.sandbox import FunctionJob, Limits, Sandbox, SandboxError, ScriptJob


def test_a_right_program_passes(jailed):
    verdict = jailed.judge(GOOD, **TASK)
    assert verdict.passed
    assert verdict.status == "pass"
    assert [test.status for test in verdict.tests] == ["pass"] * 5
    assert verdict.backend == jailed.backend
    assert 0 < verdict.cpu_seconds < 1
    assert verdict.attempts == 1


def test_each_test_has_a_result_of_its_own(sandbox):
    program = """
def solve(n):
    if n == 0: return 1
    if n == 1: return "1"
    if n == 2: raise ValueError("no twos")
    if n == 3: return object()
    if n == 4: raise SystemExit(0)
    return 10 ** 20_000
"""
    verdict = sandbox.judge(
        program, entry_point="solve", inputs=[[n] for n in range(6)], expected=[1] * 6
    )
    statuses = [test.status for test in verdict.tests]
    assert statuses == ["pass", "fail", "error", "fail", "error", "output_limit"]
    assert verdict.status == "fail"
    assert "no twos" in verdict.tests[2].detail
    assert "not plain data" in verdict.tests[3].detail
    assert verdict.tests[1].value == "1"
    assert 'raise ValueError("no twos")' in verdict.stderr


def test_exact_types_go_in_and_come_out(jailed):
    values = [
        None,
        True,
        1,
        -(2**70),
        1.5,
        2j,
        "é\ud800",
        b"\0",
        [1],
        (1,),
        {1},
        frozenset({1}),
        {(1,): {}},
    ]
    verdict = jailed.judge(
        "def same(x, kind):\n    assert type(x).__name__ == kind\n    return x",
        entry_point="same",
        inputs=[[value, type(value).__name__] for value in values],
        expected=values,
    )
    assert verdict.passed, verdict


def test_each_call_gets_arguments_of_its_own(sandbox):
    shared = [1]
    verdict = sandbox.judge(
        "def grow(x):\n    x.append(1)\n    return len(x)",
        entry_point="grow",
        inputs=[[shared], [shared]],
        expected=[2, 2],
    )
    assert verdict.passed


def test_entry_points(sandbox):
    program = "class Solution:\n    def solve(self, n):\n        return n * n + 1\n"
    assert sandbox.judge(program, **{**TASK, "entry_point": "Solution.solve"}).passed
    verdict = sandbox.judge(program, **{**TASK, "entry_point": "other"})
    assert verdict.status == "error"
    assert "other" in verdict.detail


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("def solve(:", "SyntaxError"),
        ("1/0", "ZeroDivisionError"),
        ("exit(0)", "SystemExit"),
        ("\0", ""),
    ],
)
def test_a_program_that_does_not_load_is_an_error(sandbox, program, said):
    verdict = sandbox.judge(program, **TASK)
    assert verdict.status == "error"
    assert {test.status for test in verdict.tests} == {"not_run"}
    assert said in verdict.detail


def test_main_guards_run_in_scripts_only(sandbox):
    program = GOOD + "\nif __name__ == '__main__':\n    print(solve(int(input())))\n"
    assert sandbox.judge(program, **TASK).passed
    assert sandbox.judge_script(program, stdins=["3", "7"], expected_stdouts=["10\n", "50"]).passed


def test_output_is_kept_up_to_a_cap(sandbox):
    verdict = sandbox.judge(GOOD + "print('x' * 3_000_000)", **TASK)
    assert verdict.passed
    assert verdict.truncated
    assert verdict.stdout == "x" * sandbox.limits.output_bytes
    result = sandbox.run("import sys\nwhile True: print('x' * 100_000)")
    assert result.status == "output_limit"
    assert len(result.stdout) == sandbox.limits.output_bytes


def test_scripts(jailed):
    double = "print(int(input()) * 2)"
    assert jailed.judge_script(double, stdins=["1", "21"], expected_stdouts=["2", "42"]).passed
    verdict = jailed.judge_script(double, stdins=["1", "x", "3"], expected_stdouts=["2", "4", "7"])
    assert [test.status for test in verdict.tests] == ["pass", "error", "fail"]
    assert verdict.status == "error"
    assert "ValueError" in verdict.stderr


def test_a_script_is_judged_by_its_exit_code_too(sandbox):
    verdict = sandbox.judge_script(
        "import sys\nprint(1)\nsys.exit(3)", stdins=[""], expected_stdouts=["1"]
    )
    assert verdict.status == "error"
    assert sandbox.judge_script("print(1)\nexit()", stdins=[""], expected_stdouts=["1"]).passed


def test_a_script_can_not_speak_on_the_result_channel(sandbox):
    verdict = sandbox.judge_script(
        "import os\nprint(1)\nos.write(3, b'x')", stdins=[""], expected_stdouts=["1"]
    )
    assert verdict.status == "error"


def test_after_a_limit_the_other_scripts_are_not_run(sandbox):
    verdict = sandbox.judge_script(
        "while input(): pass\nprint(1)\nwhile True: pass",
        stdins=["\n", "\n", "\n"],
        expected_stdouts=["1"] * 3,
        cpu_seconds=0.2,
    )
    assert verdict.status == "timeout"
    assert [test.status for test in verdict.tests] == ["timeout", "not_run", "not_run"]


def test_run_behaves_like_an_interpreter(sandbox):
    result = sandbox.run("import sys\nprint(input())\nprint('no', file=sys.stderr)", "hello\n")
    assert (result.status, result.exit_code) == ("ok", 0)
    assert (result.stdout, result.stderr) == ("hello\n", "no\n")
    result = sandbox.run("import sys\nsys.exit('reason')")
    assert (result.status, result.exit_code, result.stderr) == ("error", 1, "reason\n")
    result = sandbox.run("def f():\n    raise KeyError(3)\nf()")
    assert result.stderr.startswith(
        'Traceback (most recent call last):\n  File "<program>", line 3'
    )
    assert result.stderr.endswith("KeyError: 3\n")
    result = sandbox.run(
        "import atexit, threading, time\natexit.register(print, 'end')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()"
    )
    assert result.stdout == "thread\nend\n"
    assert sandbox.run("import ctypes\nctypes.string_at(0)").exit_code == -11


def test_memory_and_time(jailed):
    assert jailed.run("x = bytearray(1 << 40)").status == "memory"
    assert jailed.run("x = bytearray(100 << 20)").status == "ok"
    assert jailed.run("while True: pass", cpu_seconds=0.2).status == "timeout"
    assert jailed.run("import time\ntime.sleep(60)", cpu_seconds=0.1).status == "timeout"


def test_a_program_too_large_for_its_memory_is_its_own_fault():
    with Sandbox(workers=1, limits=Limits(memory_bytes=24 << 20)) as sandbox:
        verdict = sandbox.judge(GOOD + "#" * (40 << 20), **TASK)
        assert verdict.status == "memory", verdict
        assert verdict.attempts == 1
        assert sandbox.judge(GOOD, **TASK).passed


def test_a_program_has_a_small_disk(jailed):
    program = "open('f', 'w').write('x' * 1000)\nprint(open('f').read() == 'x' * 1000)"
    assert jailed.run(program).stdout == "True\n"
    assert jailed.run("import os\nprint(os.listdir('.'))").stdout == "[]\n"
    result = jailed.run("import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x')")
    assert result.status == "ok", result.stderr


def test_programs_can_use_threads(jailed):
    program = """
from concurrent.futures import ThreadPoolExecutor
import asyncio
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda x: x * x, range(100))))
async def main():
    await asyncio.sleep(0.01)
    return 7
print(asyncio.run(main()))
"""
    result = jailed.run(program)
    assert result.stdout == "328350\n7\n", result.stderr


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"inputs": [], "expected": []}, ValueError),
        ({"inputs": [[1]]}, ValueError),
        ({"inputs": [1] * 5}, TypeError),
        ({"inputs": "abcde"}, TypeError),
        ({"expected": [object()] * 5}, TypeError),
        ({"inputs": [[object()]] * 5}, TypeError),
        ({"entry_point": ""}, TypeError),
        ({"cpu_seconds": 0}, ValueError),
    ],
)
def test_wrong_arguments_are_refused(sandbox, change, error):
    with pytest.raises(error):
        sandbox.judge(GOOD, **{**TASK, **change})


def test_wrong_programs_and_scripts_are_refused(sandbox):
    with pytest.raises(TypeError):
        sandbox.judge(b"x", **TASK)
    with pytest.raises(ValueError, match="at least one test"):
        sandbox.judge_script("", stdins=[], expected_stdouts=[])
    with pytest.raises(TypeError):
        sandbox.run("", stdin=3)


@pytest.mark.parametrize(
    "arguments",
    [{"cpu_seconds": 0}, {"memory_bytes": -1}, {"wall_multiple": 0.5}, {"threads": True}],
)
def test_wrong_limits_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Limits(**arguments)


def test_many_at_once_keep_their_order(jailed):
    jobs = [FunctionJob(f"def f(): return {i}", "f", [[]], [i]) for i in range(40)]
    jobs[7] = FunctionJob("def f(): return 1", "f", [[]], [2])
    jobs[11] = ScriptJob("print(1)", [""], ["1"])
    verdicts = jailed.judge_many(jobs)
    assert [i for i, verdict in enumerate(verdicts) if not verdict.passed] == [7]


def test_from_asyncio(sandbox):
    async def main():
        job = FunctionJob(GOOD, "solve", TASK["inputs"], TASK["expected"])
        verdicts, printed = await asyncio.gather(
            sandbox.judge_many_async([job] * 10), sandbox.run_async("print(1)")
        )
        return [verdict.passed for verdict in verdicts], printed.stdout

    assert asyncio.run(main()) == ([True] * 10, "1\n")


def test_from_many_threads(sandbox):
    wrong = []

    def work(i):
        for _ in range(10):
            if sandbox.run(f"print({i})").stdout != f"{i}\n":
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def child(sandbox, i, queue):
    queue.put((i, sandbox.run(f"print({i})").stdout))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_from_worker_processes(sandbox, method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    processes = [context.Process(target=child, args=(sandbox, i, queue)) for i in range(3)]
    for process in processes:
        process.start()
    results = sorted(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert results == [(i, f"{i}\n") for i in range(3)]
    assert sandbox.run("print('still here')").stdout == "still here\n"


def test_a_pickled_sandbox_works(sandbox):
    with pickle.loads(pickle.dumps(sandbox)) as copy:
        assert copy.judge(GOOD, **TASK).passed


def test_a_closed_sandbox_says_so():
    with Sandbox(workers=1) as sandbox:
        assert sandbox.judge(GOOD, **TASK).passed
    for use in (
        lambda: sandbox.judge(GOOD, **TASK),
        lambda: sandbox.run("pass"),
        lambda: sandbox.judge_many([]) or sandbox.run(""),
    ):
        with pytest.raises(SandboxError, match="closed"):
            use()
    sandbox.close()

"""The programs that run inside the sandbox: one beside the candidate, one with the tests.

Neither is imported here. The first shares its process with the candidate, so nothing in it is
secret or needs defending: it holds no expected value, and whatever it reports is a claim of the
candidate's. The second runs tests that could not be taken apart; it sees the candidate's results
as plain data, never the candidate.
"""

from __future__ import annotations

LOAD, CALL = "load", "call"

# serve(LOAD, program) loads the candidate, serve(CALL, expression) works out a call. What comes
# back: ("value", it), ("object", name of its type) for what is no plain data, or
# ("raised", names of the exception's classes, traceback, whether the program compiled).
# It is compiled in every run, so what is seldom needed is compiled when it is.
BESIDE_CANDIDATE = """
import sys
module = sys.modules["solution"] = type(sys)("solution")
space = module.__dict__
simple = {{int, str, float, bool, type(None)}}

def serve(kind, text):
    compiled = kind != "load"
    try:
        if compiled:
            value = eval(text, space)
            if type(value) in simple:
                return "value", value
            if type(value) in (list, tuple) and simple.issuperset(map(type, value)):
                return "value", value
            return late().as_value(value)
        serve.source = text
        code = compile(text, "<solution>", "exec", 0, True)
        compiled = True
        exec(code, space)
        return "value", None
    except MemoryError:
        raise
    except BaseException as error:
        return late().raised(error, compiled, serve.source)

def late(made=[]):
    if not made:
        made.append(type(sys)("late"))
        exec(LATE, made[0].__dict__)
    return made[0]

LATE = {late!r}
"""
_LATE = """
import linecache, traceback

class NotPlainData(Exception):
    pass

def as_value(value):
    try:
        return "value", plain(value)
    except NotPlainData as error:
        return "object", str(error)

def plain(value):
    for base in (list, tuple, set, frozenset):
        if isinstance(value, base):
            return base([plain(item) for item in base.__iter__(value)])
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in dict.items(value)}
    for base in (bool, int, float, str, complex, bytes, type(None)):
        if type(value) is base:
            return value
        if isinstance(value, base):
            return base(value)
    raise NotPlainData(type(value).__name__)

def raised(error, compiled, source):
    linecache.cache["<solution>"] = (len(source), None, source.splitlines(True), "<solution>")
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != "<solution>":
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace, limit=-6))
    return "raised", [c.__name__ for c in type(error).__mro__], text[-4000:], compiled
"""
BESIDE_CANDIDATE = BESIDE_CANDIDATE.format(late=_LATE)

# serve(world, tests, entry_point, answers) runs tests with answers in the candidate's place: each
# is a call and what the candidate made of it. With None in the place of the answers the reference
# answers. Returns what came of it, and the calls that were made.
WITH_TESTS = """
import builtins, copy, random

class _Unknown(BaseException):
    pass

def _answer(outcome):
    kind, value = outcome[0], outcome[1]
    if kind == "value":
        return copy.deepcopy(value)
    if kind == "object":
        return object()
    for name in value:
        error = getattr(builtins, name, None)
        if isinstance(error, type) and issubclass(error, Exception):
            raise error(outcome[2])
    raise Exception(outcome[2])

def serve(world, tests, entry_point, answers):
    home = {"__name__": "reference"}
    exec(compile(world, "<reference>", "exec"), home)
    names = dict(home)
    head, _, method = entry_point.partition(".")
    calls = []

    def candidate(*args, **kwargs):
        parts = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
        target = f"{head}().{method}" if method else head
        call = f"{target}({', '.join(parts)})"
        calls.append(call)
        at = len(calls) - 1
        if answers is None:
            return (getattr(home[head](), method) if method else home[head])(*args, **kwargs)
        if at >= len(answers) or answers[at][0] != call:
            raise _Unknown
        return _answer(answers[at][1])

    if method:
        names[head] = type(head, (), {method: lambda self, *a, **k: candidate(*a, **k)})
    else:
        names[head] = candidate
    names["candidate"] = candidate
    random.seed(0)
    try:
        exec(compile(tests, "<tests>", "exec"), names)
    except _Unknown:
        return "unknown", calls, ""
    except AssertionError as error:
        return "failed", calls, str(error)[:500]
    except Exception as error:
        return "failed", calls, f"{type(error).__name__}: {error}"[:500]
    return "passed", calls, ""
"""

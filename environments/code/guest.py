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
BESIDE_CANDIDATE = """
import sys, types
_module = types.ModuleType("solution")
sys.modules["solution"] = _module
_name = "<solution>"
_plain = (int, str, float, bool, type(None), complex, bytes)

def _as_plain(value):
    kind = type(value)
    if kind in _plain:
        return value
    for base in (list, tuple, set, frozenset):
        if isinstance(value, base):
            return base([_as_plain(item) for item in base.__iter__(value)])
    if isinstance(value, dict):
        return {_as_plain(k): _as_plain(v) for k, v in dict.items(value)}
    for base in (int, float, str, complex, bytes):
        if isinstance(value, base):
            return base(value)
    raise _NotPlain(kind.__name__)

class _NotPlain(Exception):
    pass

def _raised(error, compiled=True):
    import traceback
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != _name:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace, limit=-6))
    return "raised", [c.__name__ for c in type(error).__mro__], text[-4000:], compiled

def serve(kind, text):
    compiled = False
    try:
        if kind == "load":
            cache = sys.modules["linecache"].cache if "linecache" in sys.modules else {}
            cache[_name] = (len(text), None, text.splitlines(True), _name)
            code = compile(text, _name, "exec", dont_inherit=True)
            compiled = True
            exec(code, _module.__dict__)
            return "value", None
        compiled = True
        value = eval(text, _module.__dict__)
        try:
            return "value", _as_plain(value)
        except _NotPlain as error:
            return "object", str(error)
    except MemoryError:
        raise
    except BaseException as error:
        return _raised(error, compiled)
"""

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

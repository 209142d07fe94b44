"""The run itself: this is the process in which the untrusted program executes.

Nothing here needs defending: the program shares this interpreter and may change all of it.
It only harms its own answers, which are judged elsewhere.
"""

import os
import resource
import struct
import sys
import types

from rlenv.sandbox.guest import codec

FRAME = struct.Struct("<cII")  # kind, index of the test, length of the body
VALUE, RAISED, MEMORY, NOT_PLAIN, TOO_BIG, BROKEN, DONE = b"R", b"X", b"M", b"N", b"L", b"E", b"D"
MAX_TEXT = 600
_NAME = "<program>"
PREPARED: dict = {}  # source -> code, of programs that the host expects to see again and again


def run(read_job, result_fd):
    """Run one job, write its results as frames, and end the process.

    Args:
        read_job: Returns what `rlenv.sandbox.jobs` made: a dict of plain data.
        result_fd: Where the frames go.
    """
    write = os.write
    exit_now = os._exit
    pack = FRAME.pack

    def send(kind, index=0, body=b""):
        data = memoryview(pack(kind, index, len(body)) + body)
        while data:
            data = data[write(result_fd, data) :]

    try:
        job = read_job()
        code = _script(job, send) if job["mode"] == "script" else calls(job, send)
    except MemoryError:
        _free_reserve()
        send(MEMORY)
        code = 1
    exit_now(code)


def calls(job, send):
    """Load the program, call its entry point once for each input, send what it returns.

    Args:
        job: The job.
        send: Takes the kind of a frame, the test's index and the body.

    Returns:
        The exit code.
    """
    bounds = codec.Bounds(*job["bounds"])
    encode, decode = codec.encode, codec.decode
    inputs = job["inputs"]
    flush = _flush
    try:
        function = _find(_load(job["program"], "program"), job["entry_point"])
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit at import is an error too
        _print_traceback(error)
        send(BROKEN, 0, _describe(error))
        flush()
        return 1
    told = False
    for index, data in enumerate(inputs):
        try:
            value = function(*decode(data, codec.Bounds(len(data), 1000, 1 << 31)))
            kind, body = VALUE, encode(value, bounds)
        except MemoryError:  # it ends the run: what is left of the program can't be relied on
            value = None
            _free_reserve()
            send(MEMORY, index)
            return 1
        except codec.NotPlain as error:
            kind, body = NOT_PLAIN, _describe(error, bare=True)
        except codec.TooBig as error:
            kind, body = TOO_BIG, _describe(error, bare=True)
        except BaseException as error:  # noqa: BLE001
            if not told:
                told = True
                _print_traceback(error)
            kind, body = RAISED, _describe(error)
        send(kind, index, body)
    flush()
    send(DONE, len(inputs))
    return 0


def _script(job, send):
    """Run the program as a script; returns the exit code that Python would give."""
    code = 0
    try:
        _load(job["program"], "__main__")
    except SystemExit as error:
        code = _exit_code(error.code)
    except MemoryError as error:
        _free_reserve()
        send(MEMORY)
        _print_traceback(error)
        code = 1
    except BaseException as error:  # noqa: BLE001
        _print_traceback(error)
        code = 1
    # What the interpreter does at its end, short of tearing itself down.
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if not _flush() and code == 0:
        code = 120
    return code


def _load(source, name):
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = __builtins__
    sys.modules[name] = module
    sys.argv = ["program.py"]
    lines = sys.modules.get("linecache")
    if lines is not None:  # so that tracebacks can show the line
        lines.cache[_NAME] = (len(source), None, source.splitlines(True), _NAME)
    source = source.removeprefix("\ufeff")  # a byte order mark, which Python reads over in files
    code = PREPARED.get(source) or compile(source, _NAME, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


def _find(module, path):
    """Follow a dotted entry point; a class on the way is instantiated."""
    found = module
    for part in path.split("."):
        if isinstance(found, type):
            found = found()
        found = getattr(found, part)
    return found


def _exit_code(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    if sys.stderr is not None:
        sys.stderr.write(f"{code}\n")
    return 1


def _flush():
    fine = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BaseException:  # noqa: BLE001 - the program may have put anything there
            fine = False
    return fine


def _free_reserve():
    """Use the address space kept back for saying that there is none left."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _describe(error, bare=False):
    try:
        text = str(error) if bare else f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - __str__ is the program's own
        text = type(error).__name__
    return text[:MAX_TEXT].encode("utf-8", "replace")


def _print_traceback(error):
    try:
        import traceback

        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != _NAME:
            trace = trace.tb_next
        told = traceback.TracebackException(type(error), error, trace, limit=20)
        frames = [frame for frame in told.stack if not frame.filename.startswith("<rlenv.")]
        told.stack = traceback.StackSummary.from_list(frames)
        sys.stderr.write("".join(told.format()))
    except BaseException:  # noqa: BLE001 - stderr may be gone
        pass

"""Correct programs pass, and on every backend alike."""

import pytest

TASK = {"entry_point": "solve", "inputs": [[0], [3], [12]], "expected": [1, 10, 145]}
PROGRAMS = {
    "a byte order mark": """\ufeffdef solve(n):
    return n * n + 1
""",
    "a file in /tmp": """
import os, pathlib, shutil
def solve(n):
    with open("/tmp/x", "w") as file:
        file.write(str(n))
    assert os.path.exists("/tmp/x") and "x" in os.listdir("/tmp")
    os.makedirs("/tmp/a/b", exist_ok=True)
    os.replace("/tmp/x", "/tmp/a/b/x")
    path = pathlib.Path("/tmp/a") / "b" / "x"
    value = int(path.read_text()) ** 2
    assert [p.name for p in path.parent.iterdir()] == ["x"]
    os.chdir("/tmp/a")
    assert os.path.abspath("b/x") == str(path)
    assert open("b/x").read() == open(path, "rb").read().decode()
    os.chdir("/tmp")
    shutil.copy2(path, "/tmp/copy")
    assert open(file=b"/tmp/copy").read() == str(n)
    os.chmod("/tmp/copy", 0o600)
    os.utime("copy", (1, 1))
    shutil.rmtree("/tmp/a")
    os.remove("/tmp/copy")
    return value + 1 - len(os.listdir("/tmp"))
""",
    "links": """
import os
def solve(n):
    open("/tmp/target", "w").write(str(n))
    os.symlink("/tmp/target", "link")
    os.rename("link", "moved")
    assert os.readlink("/tmp/moved") == "/tmp/target" and os.path.islink("moved")
    assert os.path.realpath("moved") == "/tmp/target"
    value = int(open("/tmp/moved").read())
    os.unlink("moved")
    return value ** 2 + 1
""",
    "temporary files": """
import tempfile
def solve(n):
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"x" * n)
        file.flush()
        return len(open(file.name).read()) ** 2 + 1
""",
    "a pool of threads of multiprocessing": """
from multiprocessing.dummy import Pool
def solve(n):
    with Pool(3) as pool:
        return pool.map(lambda x: x * x + 1, [n] * 5)[4]
""",
    "locks and queues of multiprocessing": """
import multiprocessing, threading
queue, lock, value = multiprocessing.Queue(), multiprocessing.RLock(), multiprocessing.Value("i")
full = multiprocessing.BoundedSemaphore(1)
def add():
    for _ in range(50):
        with lock, lock:
            value.value += 1
def solve(n):
    value.value = 0
    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert value.value == 200
    assert full.acquire() and not full.acquire(timeout=0.01)
    full.release()
    try:
        full.release()
        return -1
    except ValueError:
        pass
    queue.put(n)
    return queue.get() ** 2 + 1
""",
    "a database in /tmp": """
import sqlite3
def solve(n):
    with sqlite3.connect("/tmp/numbers.db") as base:
        base.execute("create table if not exists seen (x)")
        base.execute("insert into seen values (?)", (n,))
    again = sqlite3.connect(database="/tmp/numbers.db")
    assert again.execute("select count(*) from seen where x = ?", (n,)).fetchone() == (1,)
    return sqlite3.connect(":memory:").execute("select ? * ? + 1", (n, n)).fetchone()[0]
""",
    "locked files": """
import fcntl
def solve(n):
    with open("lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_UN)
    return n * n + 1
""",
    "standard input by its path": """
def solve(n):
    return n * n + 1 + len(open("/dev/stdin").read())
""",
    "who and when": """
import datetime, getpass, zoneinfo
def solve(n):
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    assert datetime.datetime(2024, 7, 1, tzinfo=zone).utcoffset() == datetime.timedelta(hours=2)
    return n * n + 1 if getpass.getuser() == "nobody" else -1
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_correct_program_passes(jailed, name):
    verdict = jailed.judge(PROGRAMS[name], **TASK)
    assert verdict.passed, (verdict.detail, verdict.stderr)
    assert verdict.attempts == 1


def test_a_script_may_begin_with_a_byte_order_mark(jailed):
    assert jailed.run("\ufeffprint(1)").stdout == "1\n"


def test_a_missing_file_is_told_as_the_program_named_it(jailed):
    result = jailed.run("open('/tmp/missing')")
    assert result.stderr.splitlines()[1:3] == [
        '  File "<program>", line 1, in <module>',
        "    open('/tmp/missing')",
    ]
    assert result.stderr.endswith("No such file or directory: '/tmp/missing'\n")
    assert "rlenv" not in result.stderr

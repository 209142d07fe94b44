# EXPECT: notpass | CHECK: canary,no_survivor | leaves modules, files and handlers for the next run to stumble over
import builtins
import os
import sys

builtins.len = lambda x: 0
sys.modules["json"] = None
for name in ("sitecustomize.py", "json.py", "solution.py"):
    try:
        open(name, "w").write("raise SystemExit(0)")
    except OSError:
        pass
os.umask(0o777)


def solve(n):
    return -1

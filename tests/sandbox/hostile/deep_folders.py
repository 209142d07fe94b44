# EXPECT: notpass | CHECK: wall<=20,canary | nests folders past the longest path and hides a file there
import os


def solve(n):
    for _ in range(300):
        try:
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        except OSError:
            break
    try:
        with open("hidden", "wb") as file:
            for _ in range(40):
                file.write(b"x" * (1 << 20))
    except OSError:
        pass
    return -1

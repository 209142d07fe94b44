# EXPECT: notpass | CHECK: canary,nosecret | reaches for the host through links and /proc
import os

target = os.environ.get("SBX_CANARY", "/tmp/sbx-canary") + "/secret.txt"
for link in (
    "link",
    "/proc/1/root" + target,
    "/proc/self/root" + target,
    "/proc/self/cwd/.." + target,
):
    try:
        if link == "link":
            os.symlink(target, link)
        print(open(link).read())
    except OSError as error:
        print(error)


def solve(n):
    return -1

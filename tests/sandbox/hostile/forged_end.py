# EXPECT: error | CHECK: - | claims to have passed: five wrong results and a proper end, then exits
import os
import struct

record = b"".join(struct.pack("<cII", b"R", i, 9) + b"I" + struct.pack("<q", -1) for i in range(6))
os.write(3, record + struct.pack("<cII", b"D", 5, 0))
os._exit(0)


def solve(n):
    return -1

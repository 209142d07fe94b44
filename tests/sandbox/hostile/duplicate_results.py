# EXPECT: error | CHECK: - | writes each result twice
import os
import struct

record = struct.pack("<cII", b"R", 0, 9) + b"I" + struct.pack("<q", 1)
os.write(3, record * 2)


def solve(n):
    return n * n + 1

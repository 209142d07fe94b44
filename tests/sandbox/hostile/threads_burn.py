# EXPECT: timeout,notpass | CHECK: wall<=10 | many threads that compute outside the interpreter lock
import threading
import zlib

data = b"x" * (1 << 20)


def burn():
    while True:
        zlib.crc32(data)


def solve(n):
    for _ in range(30):
        threading.Thread(target=burn, daemon=True).start()
    burn()

# EXPECT: output_limit | CHECK: wall<=10 | a dict whose keys all have one hash, forged so that building it here costs nothing
import os
import struct

count = 100_000
body = [b"d", struct.pack("<I", count)]
for i in range(count):
    key = i * (2**61 - 1)
    body += [b"J", struct.pack("<I", 10), key.to_bytes(10, "little"), b"N"]
body = b"".join(body)
view = memoryview(struct.pack("<cII", b"R", 0, len(body)) + body)
while view:
    view = view[os.write(3, view) :]
os._exit(0)

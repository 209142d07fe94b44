# EXPECT: output_limit | CHECK: - | a result nested a million deep, written past the encoder
import os
import struct

body = (b"l" + struct.pack("<I", 1)) * 1_000_000 + b"N"
view = memoryview(struct.pack("<cII", b"R", 0, len(body)) + body)
while view:
    view = view[os.write(3, view) :]
os._exit(0)

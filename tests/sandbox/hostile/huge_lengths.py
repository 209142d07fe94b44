# EXPECT: error | CHECK: - | announces four thousand million items in a few bytes
import os
import struct

body = b"l" + struct.pack("<I", 2**32 - 1) + b"q" + struct.pack("<I", 2**32 - 1)
os.write(3, struct.pack("<cII", b"R", 0, len(body)) + body)
os._exit(0)

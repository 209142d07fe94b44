# EXPECT: fail | CHECK: - | a faultless forgery of the whole result channel, with wrong values
import os
import struct

record = b"".join(struct.pack("<cII", b"R", i, 9) + b"I" + struct.pack("<q", -1) for i in range(5))
os.write(3, record + struct.pack("<cII", b"D", 5, 0))
os._exit(0)

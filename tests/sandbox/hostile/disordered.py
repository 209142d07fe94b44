# EXPECT: error | CHECK: - | right values in the right places under the wrong numbers
import os
import struct

values = [1, 10, 145, 50, 10001]
record = b"".join(struct.pack("<cII", b"R", 4 - i, 9) + b"I" + struct.pack("<q", value) for i, value in enumerate(values))
os.write(3, record + struct.pack("<cII", b"D", 5, 0))
os._exit(0)

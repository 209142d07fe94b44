"""What the supervisor and the warm parent say to each other."""

import struct

# From the supervisor: what to do, processor seconds, wall seconds. With RUN come five
# descriptors: job, stdin, stdout, stderr, results.
ORDER = struct.Struct("<cdd")
RUN, KILL = b"R", b"K"
# To the supervisor: why the run ended, wait status, processor seconds, wall seconds, max RSS
# (KiB), whether all it left could be removed, a note. All messages are of one length, so a
# stream carries them.
REPORT = struct.Struct("<16sqddq?256s")
READY, HEARTBEAT = (REPORT.pack(why, 0, 0, 0, 0, True, b"") for why in (b"ready", b"alive"))

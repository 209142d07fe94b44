"""Fail unless examples/grpo.py ends where the quickstart does.

Both begin with one checkpoint, so that what they were before is the same figure. What they came to
are two estimates from the same held-out tasks; their intervals must overlap.
"""

import json
import sys
from pathlib import Path

run, example = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
rows = {row["stage"]: row for row in run}
sft, grpo, before, after = rows["sft"], rows["grpo"], example["before"], example["after"]
for name, row in (("quickstart", grpo), ("example", after)):
    interval = f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
    print(f"{name:<10}  pass@1 {sft['pass_at_1']:.3f} -> {row['pass_at_1']:.3f} {interval}")
if before["pass_at_1"] != sft["pass_at_1"]:
    sys.exit(
        f"the example began at {before['pass_at_1']:.3f}, not where the quickstart's SFT ended"
    )
if after["ci_low"] > grpo["ci_high"] or after["ci_high"] < grpo["ci_low"]:
    sys.exit("the example does not end where the quickstart does")

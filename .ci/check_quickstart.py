"""Fail unless the quickstart's policy learned: 20 points over SFT, greedy accuracy not lower."""

import json
import sys
from pathlib import Path

rows = {row["stage"]: row for row in json.loads(Path(sys.argv[1]).read_text())}
sft, grpo = rows["sft"], rows["grpo"]
gain = 100 * (grpo["pass_at_1"] - sft["pass_at_1"])
print(f"quickstart: pass@1 {sft['pass_at_1']:.3f} -> {grpo['pass_at_1']:.3f}, {gain:+.1f} points")
if gain < 20 or grpo["greedy"] < sft["greedy"]:
    sys.exit("the quickstart did not gain 20 points over SFT")

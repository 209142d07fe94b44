"""Print the commands that the README gives under a heading, so that CI runs what people read."""

import re
import sys
from pathlib import Path

heading = sys.argv[1]
text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
blocks = re.findall(r"^```bash\n(.*?)^```", section[1] if section else "", re.MULTILINE | re.DOTALL)
if not blocks:
    sys.exit(f"the README has no commands under {heading!r}")
print("".join(blocks))

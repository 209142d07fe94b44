"""The shapes that are written beside tensors are those that they have, in real steps."""

import json
import subprocess
import sys

STEP = """
import sys
from jaxtyping import install_import_hook

with install_import_hook("rlenv.trainers.rl", "beartype.beartype"):
    import rlenv.trainers.rl.learner

import pytest
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-n", "0", *sys.argv[1:]]))
"""


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_real_steps_keep_to_the_shapes():
    files = ("tests/trainers/test_learner.py", "tests/trainers/test_algorithms.py")
    done = run(STEP, *files)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


CASES = {
    "Batch(ids, t, ids, t, prompts, t)": True,
    "Batch(ids, t, ids, t[:, :4], prompts, t)": False,
    "Batch(t, t, ids, t, prompts, t)": False,
    "Batch(ids, t, ids, t, prompts[:, :1], t)": False,
    "LossInputs(t, t, t, t, 0.2, 0.2)": True,
    "LossInputs(t, t, t[0], t, 0.2, 0.2)": False,
    "Scores(t, t)": True,
    "Scores(t, t[:1])": False,
    "group_normalised(t, t)": True,
    "group_normalised(t, t[:, :2])": False,
}
TRIED = """
import json, sys
import torch
from jaxtyping import TypeCheckError, install_import_hook

with install_import_hook("rlenv.trainers.rl", "beartype.beartype"):
    from rlenv.trainers.rl.batch import Batch
    from rlenv.trainers.rl.algorithms import LossInputs
    from rlenv.trainers.rl.algorithms.grpo import group_normalised
    from rlenv.trainers.rl.forward import Scores

t = torch.zeros(2, 5)
ids, prompts = t.long(), torch.zeros(2, 2).long()
accepted = []
for case in json.loads(sys.argv[1]):
    try:
        eval(case)
        accepted.append(True)
    except TypeCheckError:
        accepted.append(False)
print(json.dumps(accepted))
"""


def test_wrong_shapes_are_refused():
    done = run(TRIED, json.dumps(list(CASES)))
    assert done.returncode == 0, done.stderr[-3000:]
    assert dict(zip(CASES, json.loads(done.stdout), strict=True)) == CASES

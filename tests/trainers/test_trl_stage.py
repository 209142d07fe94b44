"""What the stages trained by TRL share: logs, interruptions, going on, stopping early."""

import copy

import pytest
import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from rlenv.common.display import Display
from rlenv.common.errors import Interrupted
from rlenv.run import config
from rlenv.run.run_folder import RunFolder
from rlenv.run.stage import Context
from rlenv.trainers.common import trl_stage
from rlenv.trainers.common.trl_stage import TRLSettings

SETTINGS = TRLSettings(batch_size=4, epochs=2, learning_rate=1e-2, warmup_steps=2, save_every=3)
UNTIMED = ("loss", "learning_rate", "num_tokens", "seen", "step")


@pytest.fixture
def started(tmp_path, nano, tokenizer):
    """Start the stage in a folder; the same folder goes on."""

    def start(name, **options):
        run_dir = str(tmp_path / name)
        raw = {"run_dir": run_dir, "env": "rlenv/Arithmetic-v0", "stages": {"sft": {}}}
        with RunFolder(tmp_path / name, config.parse_run(raw, "test")) as run:
            context = Context(
                run=run,
                stage="sft",
                seed=3,
                env=run.settings.env,
                source=None,
                device="cpu",
                display=Display(quiet=True),
            )
            stop_after = options.pop("stop_after", None)
            torch.manual_seed(0)
            model = copy.deepcopy(nano)
            rows = [
                {"input_ids": [5 + n, 9, 10 + n, 3], "labels": [-100, 9, 10 + n, 3]}
                for n in range(20)
            ]
            trainer = SFTTrainer(
                model=model,
                args=trl_stage.arguments(
                    SFTConfig, context, SETTINGS, dataset_kwargs={"skip_prepare_dataset": True}
                ),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
            )

            def evaluate():
                if trainer.state.global_step == stop_after:
                    context.stop.requested = True
                return {"seen": float(trainer.state.global_step)}

            trl_stage.fit(trainer, context, evaluate=evaluate, **options)
            return model.state_dict(), list(run.read_log("metrics"))

    return start


def untimed(lines):
    return [{k: line[k] for k in UNTIMED if k in line} for line in lines]


def test_every_step_is_logged_and_some_are_looked_at(started):
    _, lines = started("run", eval_every=4)
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert [line["seen"] for line in lines if "seen" in line] == [4, 8, 10]
    assert SETTINGS.steps(20) == 10


def test_an_interrupted_stage_goes_on_to_the_same_weights(started):
    whole, expected = started("whole")
    with pytest.raises(Interrupted, match="after step 5; go on with"):
        started("cut", stop_after=5)
    weights, lines = started("cut")
    assert untimed(lines) == untimed(expected)
    assert all(torch.equal(weights[name], whole[name]) for name in whole)


def test_enough_ends_it_early(started):
    _, lines = started("run", eval_every=2, stop_when=lambda seen: seen["seen"] >= 4)
    assert lines[-1]["step"] == 4

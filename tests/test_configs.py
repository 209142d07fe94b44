"""The configurations that come with rlenv load: those for accelerate as its launcher reads them."""

import pytest
from accelerate.commands import launch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import FullyShardedDataParallelPlugin, patch_environment
from accelerate.utils.launch import prepare_multi_gpu_env

from rlenv.common.settings import parse
from rlenv.core import registry
from rlenv.data.pipeline import settings
from rlenv.rollouts.demonstrations import demonstrate
from rlenv.run import config
from rlenv.runner import runner
from rlenv.trainers import stage_class
from rlenv.trainers.pretraining.settings import PretrainSettings
from tests.conftest import ROOT, SHARED

RECIPES = [p for p in sorted((ROOT / "configs").glob("*.yaml")) if "\nstages:" in p.read_text()]
ACCELERATE = sorted((ROOT / "configs/accelerate").glob("*.yaml"))


def launched(path):
    """Return the arguments that `accelerate launch --config_file PATH` arrives at."""
    parsed = launch.launch_command_parser().parse_args(["--config_file", str(path), "train.py"])
    return launch._validate_launch_command(parsed)[0]


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda p: p.stem)
def test_accelerate_loads_it(path):
    loaded = load_config_from_file(str(path))
    # the launcher sets whatever it finds as an argument, known or not
    known = {action.dest for action in launch.launch_command_parser()._actions}
    for section in (loaded.fsdp_config, loaded.deepspeed_config):
        assert set(section) <= known
    arguments = launched(path)
    assert arguments.mixed_precision == "bf16"
    assert arguments.num_processes == 8


def test_there_are_configs_for_fsdp_and_deepspeed():
    kinds = {load_config_from_file(str(path)).distributed_type.value for path in ACCELERATE}
    assert kinds == {"FSDP", "DEEPSPEED", "MULTI_GPU"}


def test_the_fsdp_plugin_takes_the_settings():
    with patch_environment(
        **prepare_multi_gpu_env(launched(ROOT / "configs/accelerate/fsdp.yaml"))
    ):
        plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_could_start(path, tmp_path, monkeypatch):
    if "../shared" in path.read_text(encoding="utf-8"):
        if not SHARED.is_dir():
            pytest.skip(f"needs the files in {SHARED}")
        (tmp_path / "shared").symlink_to(SHARED.resolve())
    here = tmp_path / "here"
    made = here / "runs/assistant-text/train"  # what benchmarks/assistant.py makes beforehand
    made.mkdir(parents=True)
    (made / "text.jsonl").write_text('{"text": "It was a dark and stormy night."}\n')
    monkeypatch.chdir(here)
    read = config.read(path)
    planned = runner.check(read, str(path), stage_class)
    assert [stage.name for stage in planned] == [*read.stages]


def test_the_text_pipeline_loads():
    found = settings.read(ROOT / "configs/text.yaml", ["processes=1"])
    assert found.workers == 1
    # what changes the text comes first, what compares documents last
    assert next(iter(found.steps)) == "normalise"
    assert list(found.steps)[-2:] == ["exact", "minhash"]


def test_the_mixture_is_that_of_smollm3():
    """Web text, code and mathematics in three phases, whatever stands for them here."""
    run = config.read(ROOT / "configs/smollm3_mixture.yaml")
    found = parse(PretrainSettings, run.stages["pretrain"], "test", "pretrain.")
    shares = []
    for phase in found.phases:
        code = sum(v for k, v in phase.corpus.items() if "python" in k)
        shares.append((round(1 - code - phase.corpus["tasks"], 6), code, phase.corpus["tasks"]))
    assert shares == [(0.85, 0.12, 0.03), (0.75, 0.15, 0.10), (0.63, 0.24, 0.13)]
    tokens = [phase.share * 11.1 for phase in found.phases]
    assert tokens == pytest.approx([8, 2, 1.1], abs=0.02)


def test_the_wordle_recipe_is_small_and_plays_training_secrets_alone():
    path = ROOT / "configs/wordle.yaml"
    run = config.read(path)
    stages = {p.name: p.stage for p in runner.check(run, str(path), stage_class)}
    assert list(stages) == ["tokenizer", "pretrain", "sft", "grpo"]
    # a character vocabulary is far below 256
    assert stages["pretrain"].settings.shape.parameters(256) < 5_000_000
    assert run.evaluate.split == "test"
    env = registry.make(run.env.id, split="train", **run.env.options)
    tasks = env.tasks.for_training()
    assert {task.answer for task in tasks} <= set(env.words.training)
    won = [demonstrate(env, task, seed=0).replies[-1] == task.answer for task in tasks]
    assert sum(won) > 0.95 * len(won)  # by a solver that does not know the secret

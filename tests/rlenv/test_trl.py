"""What TRL's own GRPOTrainer makes of an rlenv environment."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

import rlenv
from rlenv.common.errors import HeldOutError, UserError
from rlenv.engines.base import Request, Sampling
from rlenv.engines.native import NativeEngine
from rlenv.integrations.trl import TRLAdapter
from rlenv.integrations.trl.engines import policy
from rlenv.integrations.trl.episodes import columns
from rlenv.models import checkpoint
from tests.vllm_server import FakeVLLM, pretend_installed

GROUP = 4
LIMIT = 12  # tokens a turn


@rlenv.register("test/Numbers-v0")
class Numbers(rlenv.SingleTurnEnv):
    """The reward follows from the reply; some tasks' grader fails now and then."""

    rubric = rlenv.Rubric(short=1.0, digits=0.5)
    reward_range = (0.0, 1.5)

    def __init__(self, *, broken=False, **kwargs):
        self.broken = broken
        super().__init__(**kwargs)

    def generate(self, rng):
        number = rng.randrange(10_000)
        return rlenv.Task(f"Say {number}.", answer=number)

    def short(self, task, reply):
        if self.broken and len(reply) % 3 == 0:
            raise TimeoutError("the judge did not answer")
        return 1 / (1 + len(reply))

    def digits(self, task, reply):
        return sum(c.isdigit() for c in reply) / max(1, len(reply))


@rlenv.register("test/Secret-v0", max_turns=3)
class Secret(rlenv.TextEnv):
    """Every task opens alike; what comes back tells which one is played."""

    reward_range = (0.0, 40.0)

    def generate(self, rng):
        return rlenv.Task("Guess.", answer=rng.randrange(100_000))

    def respond(self, task, reply):
        return rlenv.turn(f"<{task.answer}>", reward=float(len(reply)))


@pytest.fixture(scope="session")
def talker(nano, tokenizer, tmp_path_factory):
    """The folder of a model of random weights that ends a reply after some five tokens."""
    model = copy.deepcopy(nano)
    with torch.no_grad():
        embedding = model.get_input_embeddings().weight
        embedding[:, 0] = 1.0  # a coordinate that is the same at every position, since no layer
        for layer in model.model.layers:  # writes to it, adds to the logit of the end token
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        embedding[tokenizer.eos_token_id, 0] = 4.0
    folder = tmp_path_factory.mktemp("talker")
    checkpoint.save(model, tokenizer, folder / "model")
    return str(folder / "model")


class Recorded(GRPOTrainer):
    """Keeps what reaches the loss."""

    def compute_loss(self, model, inputs, *args, **kwargs):
        self.reached = [*getattr(self, "reached", []), dict(inputs)]
        return super().compute_loss(model, inputs, *args, **kwargs)


def trainer(talker, adapter, tmp_path, *, arguments=None, eval_dataset=None, **settings):
    config = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=8,
        num_generations=GROUP,
        max_completion_length=LIMIT,
        max_steps=2,
        learning_rate=1e-3,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **{"temperature": 0.7, **settings},
    )
    return Recorded(
        talker,
        args=config,
        eval_dataset=eval_dataset,
        **(arguments or adapter.trainer_kwargs(tasks=40)),
    )


def recorded_rollouts(monkeypatch):
    """Return a list that every rollout is added to."""
    kept, real = [], TRLAdapter.rollout

    def rollout(self, prompts, trainer):
        before = copy.deepcopy(trainer.model.state_dict())
        made = real(self, prompts, trainer)
        kept.append(SimpleNamespace(prompts=prompts, made=copy.deepcopy(made), weights=before))
        return made

    monkeypatch.setattr(TRLAdapter, "rollout", rollout)
    return kept


def rows_of(batch):
    """Return what a row of the loss holds, as (prompt, completion) -> the rest."""
    rows = []
    for i in range(len(batch["prompt_ids"])):
        prompt = batch["prompt_ids"][i][batch["prompt_mask"][i].bool()].tolist()
        real = batch["completion_mask"][i].bool()
        rows.append(
            (
                prompt,
                batch["completion_ids"][i][real].tolist(),
                batch["tool_mask"][i][real].tolist(),
                batch["sampling_per_token_logps"][i][real].tolist(),
                float(batch["advantages"][i]),
            )
        )
    return rows


@pytest.mark.parametrize("env", ["test/Numbers-v0", "test/Secret-v0"])
def test_tokens_masks_and_logprobs_reach_the_loss_as_they_were_sampled(
    env, talker, tokenizer, tmp_path, monkeypatch
):
    rollouts = recorded_rollouts(monkeypatch)
    # with beta, TRL also computes the logprobs of a reference that it loads from the disk
    training = trainer(talker, TRLAdapter(env), tmp_path, beta=0.01)
    training.train()
    assert len(training.reached) == len(rollouts) == 2
    turns = 0
    for batch, rollout in zip(training.reached, rollouts, strict=True):
        made = rollout.made
        sampled = [
            (*row, reward)
            for *row, reward in zip(
                *(made[n] for n in ("prompt_ids", "completion_ids", "env_mask", "logprobs")),
                grpo_advantages([e.reward.value for e in made["episode"]]),
                strict=True,
            )
        ]
        arrived = rows_of(batch)
        assert len(arrived) == 8
        for wanted, found in zip(sorted(sampled), sorted(arrived), strict=True):
            assert found[:3] == tuple(wanted[:3])
            assert found[3] == pytest.approx(wanted[3], abs=1e-6)
            assert found[4] == pytest.approx(wanted[4], abs=1e-4)
        for episode, mask in zip(made["episode"], made["env_mask"], strict=True):
            turns = max(turns, len(episode.turn_ends))
            said = tokenizer.decode(
                [t for t, m in zip(episode.token_ids[-len(mask) :], mask, strict=True) if not m]
            )
            answers = said.count(f"<{episode.task.answer}>")
            assert answers == len(episode.turn_ends) - 1  # and nothing of another task
        check_logprobs(talker, rollout, temperature=0.7)
    assert turns == (3 if env == "test/Secret-v0" else 1)


def grpo_advantages(rewards):
    """Brute force: (r - mean) / (std + 1e-4) of each group, unjudged rewards left out."""
    found = []
    for start in range(0, len(rewards), GROUP):
        group = rewards[start : start + GROUP]
        judged = [r for r in group if not math.isnan(r)]
        mean = sum(judged) / max(1, len(judged))
        variance = sum((r - mean) ** 2 for r in judged) / max(1, len(judged) - 1)
        found += [
            0.0 if math.isnan(r) else (r - mean) / (math.sqrt(variance) + 1e-4) for r in group
        ]
    return found


def check_logprobs(talker, rollout, temperature):
    """The logprobs are those of a full forward pass of the policy as it was."""
    model, _ = checkpoint.load(talker, device="cpu")
    model.load_state_dict(rollout.weights)
    made = rollout.made
    for prompt, completion, mask, logprobs in zip(
        *(made[n] for n in ("prompt_ids", "completion_ids", "env_mask", "logprobs")), strict=True
    ):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        full = (logits / temperature).log_softmax(-1)
        wanted = full.gather(1, torch.tensor(completion)[:, None])[:, 0] * torch.tensor(mask)
        torch.testing.assert_close(torch.tensor(logprobs), wanted, atol=1e-4, rtol=0)


def test_a_group_plays_one_task_and_samples_of_its_own(talker, tmp_path, monkeypatch):
    rollouts = recorded_rollouts(monkeypatch)
    trainer(talker, TRLAdapter("test/Secret-v0"), tmp_path).train()
    for rollout in rollouts:
        episodes = rollout.made["episode"]
        keys = [episode.task.key for episode in episodes]
        assert len(set(keys[:GROUP])) == len(set(keys[GROUP:])) == 1
        assert len(set(keys)) == 2
        assert {episode.task.split for episode in episodes} == {"train"}
        assert len({tuple(episode.token_ids) for episode in episodes}) == len(episodes)


def test_what_could_not_be_judged_leaves_the_batch(talker, tmp_path, monkeypatch):
    rollouts = recorded_rollouts(monkeypatch)
    training = trainer(talker, TRLAdapter("test/Numbers-v0", broken=True), tmp_path)
    training.train()
    rewards = [[e.reward.value for e in rollout.made["episode"]] for rollout in rollouts]
    assert any(map(math.isnan, rewards[0]))
    assert not all(map(math.isnan, rewards[0]))
    for batch, rollout, values in zip(training.reached, rollouts, rewards, strict=True):
        found = {(*p, *c): (mask, a) for p, c, mask, _, a in rows_of(batch)}
        for prompt, ids, value, advantage in zip(
            rollout.made["prompt_ids"],
            rollout.made["completion_ids"],
            values,
            grpo_advantages(values),
            strict=True,
        ):
            mask, arrived = found[(*prompt, *ids)]
            assert arrived == pytest.approx(advantage, abs=1e-4)
            assert any(mask) != math.isnan(value)
    logged = [line for line in training.state.log_history if "reward" in line]
    for line, values in zip(logged, rewards, strict=True):
        judged = [v for v in values if not math.isnan(v)]
        assert line["reward"] == pytest.approx(sum(judged) / len(judged), abs=1e-5)
        assert line["grader_errors"] == pytest.approx(1 - len(judged) / len(values))
        assert {"rewards/short", "rewards/digits", "unparseable"} <= line.keys()


def test_the_same_seed_gives_the_same_training(talker, tmp_path):
    def weights(seed):
        training = trainer(talker, TRLAdapter("test/Secret-v0"), tmp_path, seed=seed)
        training.train()
        return training.model.state_dict()

    first, again, other = weights(3), weights(3), weights(4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_trl_evaluates_on_held_out_tasks_and_does_not_train_on_them(talker, tmp_path, monkeypatch):
    rollouts = recorded_rollouts(monkeypatch)
    adapter = TRLAdapter("test/Secret-v0")
    held_out = adapter.dataset("validation", 8)
    training = trainer(talker, adapter, tmp_path, eval_dataset=held_out)
    training.evaluate()
    assert {e.task.split for r in rollouts for e in r.made["episode"]} == {"validation"}
    with pytest.raises(HeldOutError, match="validation split is held out"):
        trainer(
            talker,
            adapter,
            tmp_path,
            arguments={**adapter.trainer_kwargs(), "train_dataset": held_out},
        ).train()


def test_trl_may_generate_single_turn_replies_itself(talker, tmp_path):
    adapter = TRLAdapter("test/Numbers-v0", broken=True)
    arguments = adapter.trainer_kwargs(tasks=40)
    del arguments["rollout_func"]
    judged = []
    real = adapter.reward

    def reward(prompts, completions, **columns):
        judged.extend(zip(completions, real(prompts, completions, **columns), strict=True))
        return [value for _, value in judged[-len(prompts) :]]

    training = trainer(talker, adapter, tmp_path, arguments={**arguments, "reward_funcs": [reward]})
    training.train()
    assert len(judged) == 16
    for (message,), value in judged:
        reply = message["content"]
        if len(reply) % 3 == 0:
            assert value is None
        else:
            digits = sum(c.isdigit() for c in reply) / len(reply)
            assert value == pytest.approx(1 / (1 + len(reply)) + 0.5 * digits)


def test_several_turns_need_the_rollout(talker, tmp_path):
    adapter = TRLAdapter("test/Secret-v0")
    arguments = adapter.trainer_kwargs(tasks=40)
    del arguments["rollout_func"]
    with pytest.raises(UserError, match="goes on after one reply"):
        trainer(talker, adapter, tmp_path, arguments=arguments).train()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"generation_kwargs": {"seed": 1}}, "generation_kwargs"),
    ],
)
def test_settings_that_rollouts_do_not_have(talker, tmp_path, settings, says):
    with pytest.raises(UserError, match=says):
        trainer(talker, TRLAdapter("test/Numbers-v0"), tmp_path, **settings).train()


def test_prompts_of_another_dataset(talker, tmp_path):
    from datasets import Dataset

    adapter = TRLAdapter("test/Numbers-v0")
    foreign = Dataset.from_list([{"prompt": [{"role": "user", "content": "hi"}]}] * 8)
    arguments = {**adapter.trainer_kwargs(), "train_dataset": foreign}
    with pytest.raises(UserError, match=r"train on TRLAdapter\.dataset"):
        trainer(talker, adapter, tmp_path, arguments=arguments).train()


def test_an_unknown_environment_is_named_at_once():
    with pytest.raises(UserError, match="nearest: test/Numbers-v0"):
        TRLAdapter("test/Number-v0")


def test_an_episode_without_a_sampled_token_is_a_masked_row(chat):
    from rlenv.core.trajectory import Trajectory

    task = rlenv.Task("x")
    failed = Trajectory(task, [], [], [], reward=rlenv.Reward.failed("reset"))
    spoke = Trajectory(task, [5, 6, 7, 8], [0, 1, 0, 1], [0.0, -0.5, 0.0, -0.25])
    made = columns([failed, spoke], stop_id=3)
    assert made["prompt_ids"] == [[3], [5]]
    assert made["completion_ids"] == [[3], [6, 7, 8]]
    assert made["env_mask"] == [[0], [1, 0, 1]]
    assert made["logprobs"] == [[0.0], [-0.5, 0.0, -0.25]]


# Engines of a trainer that is not started here: TRL's own vLLM needs a GPU


def stand_in(model, tokenizer, **settings):
    """Return the part of a trainer that an engine is made from."""
    options = {
        "temperature": 1.0,
        "max_completion_length": LIMIT,
        "vllm_server_base_url": None,
        "vllm_server_timeout": 0.0,
    }
    return SimpleNamespace(
        model=model,
        model_wrapped=model,
        processing_class=tokenizer,
        use_vllm=True,
        vllm_tensor_parallel_size=1,
        accelerator=SimpleNamespace(
            process_index=settings.pop("process_index", 0), unwrap_model=lambda m: m
        ),
        args=SimpleNamespace(**options, **settings.pop("args", {})),
        **settings,
    )


PROMPTS = [[2, 9, 10], [2, 9, 10]]


def sampled(trainer, chat, sampling=None):
    with policy(trainer, chat) as (_, engine):
        requests = [Request(prompt, seed) for prompt, seed in zip(PROMPTS, [7, 8], strict=True)]
        with engine.session() as session:
            return session.generate(requests, sampling or Sampling(max_tokens=LIMIT))


def test_a_vllm_server_of_trl_samples_the_rollouts(nano, tokenizer, chat, monkeypatch):
    pretend_installed(monkeypatch)
    with FakeVLLM(nano) as server:
        host, port = server.url.removeprefix("http://").split(":")
        where = {"vllm_server_host": host, "vllm_server_port": int(port)}

        def rank(number):
            return stand_in(nano, tokenizer, vllm_mode="server", args=where, process_index=number)

        first, again, other = (sampled(rank(n), chat) for n in (0, 0, 1))
        assert first == again
        assert [c.token_ids for c in first] != [c.token_ids for c in other]
        assert not server.asked("/init_weight_transfer_engine")  # TRL has sent the weights


def test_a_vllm_in_the_training_process_samples_the_rollouts(nano, tokenizer, chat):
    calls = []

    def generate(prompts, images, num_generations):
        calls.append((prompts, images, num_generations))
        return (
            prompts,
            [[5, 6, 3], [7, 8, 9]],
            [[[-1.0], [-2.0], [None]]] * 2,
            [
                [[5], [6], [3]],
                [[7], [8], [9]],
            ],
        )

    generation = SimpleNamespace(generate=generate)
    colocated = stand_in(nano, tokenizer, vllm_mode="colocate", vllm_generation=generation)
    one, two = sampled(colocated, chat)
    assert calls == [(PROMPTS, None, 1)]
    assert (one.token_ids, one.stopped, two.stopped) == ([5, 6, 3], True, False)
    assert one.logprobs[:2] == [-1.0, -2.0]
    assert math.isnan(one.logprobs[2])
    one, two = sampled(colocated, chat, Sampling(max_tokens=2))
    assert (one.token_ids, one.stopped) == ([5, 6], False)
    colocated.vllm_tensor_parallel_size = 2
    with pytest.raises(UserError, match="vllm_mode='server'"):
        sampled(colocated, chat)


def test_an_engine_of_the_users_own(talker, tmp_path):
    made = []

    def engine(model, chat):
        made.append(NativeEngine(model, stop_ids=chat.stop_ids))
        return made[-1]

    trainer(talker, TRLAdapter("test/Numbers-v0", engine=engine), tmp_path).train()
    assert made

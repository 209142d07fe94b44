import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv import Task, Trajectory
from rlenv.errors import UserError
from trainers import algorithms, shared_prompt
from trainers.batch import Batch, token_logprobs

ADVANTAGES, LOSS = algorithms.find("grpo")


def group_by_hand(rewards, judged):
    """Section 4.1.2 of DeepSeekMath, in plain Python; unjudged samples are left out."""
    known = [r for r, j in zip(rewards, judged, strict=True) if j]
    if not known:
        return [0.0] * len(rewards)
    mean = sum(known) / len(known)
    deviation = math.sqrt(sum((r - mean) ** 2 for r in known) / max(1, len(known) - 1))
    return [(r - mean) / (deviation + 1e-4) * j for r, j in zip(rewards, judged, strict=True)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 3, width=32), st.booleans()), min_size=2, max_size=8))
def test_advantages_against_brute_force(samples):
    rewards = [r if judged else 0.0 for r, judged in samples]
    judged = [float(j) for _, j in samples]
    ours = ADVANTAGES(torch.tensor([rewards]), torch.tensor([judged]))[0]
    expected = group_by_hand(rewards, judged)
    assert ours.tolist() == pytest.approx(expected, abs=1e-3, rel=1e-3)


def test_equal_rewards_teach_nothing():
    rewards = torch.tensor([2.8039326667785645, 0.1, 1 / 3])[:, None].expand(3, 3)
    assert torch.all(ADVANTAGES(rewards, torch.ones(3, 3)) == 0)


def test_a_failed_grader_does_not_move_the_others():
    with_failure = ADVANTAGES(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]]))
    without = ADVANTAGES(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))
    assert torch.allclose(with_failure[:, :2], without)
    assert with_failure[0, 2] == 0


def random_inputs(seed=0, rows=6, length=9):
    generator = torch.Generator().manual_seed(seed)
    logprobs = -torch.rand(rows, length, generator=generator) * 3
    old = logprobs + 0.4 * torch.randn(rows, length, generator=generator)
    mask = (torch.rand(rows, length, generator=generator) > 0.4).float()
    mask[:, -1] = 1
    advantages = torch.randn(rows, 1, generator=generator) * mask
    return logprobs, old, advantages, mask


def loss_by_hand(logprobs, old, advantages, mask, low, high, mode):
    """Equation 3 of DeepSeekMath (and 8 of DAPO), token by token in plain Python."""
    sequences = []
    for lp, o, a, m in zip(
        logprobs.tolist(), old.tolist(), advantages.tolist(), mask.tolist(), strict=True
    ):
        terms = []
        for x, y, z, on in zip(lp, o, a, m, strict=True):
            if on:
                ratio = math.exp(x - y)
                terms.append(-min(ratio * z, min(max(ratio, 1 - low), 1 + high) * z))
        sequences.append(terms)
    if mode == "sequence":
        return sum(sum(t) / len(t) for t in sequences) / len(sequences)
    return sum(map(sum, sequences)) / sum(map(len, sequences))


@pytest.mark.parametrize("mode", ["sequence", "token"])
@pytest.mark.parametrize("seed", range(5))
def test_loss_against_brute_force(mode, seed):
    logprobs, old, advantages, mask = random_inputs(seed)
    inputs = algorithms.LossInputs(logprobs, old, advantages, mask, 0.2, 0.28)
    ours = (LOSS(inputs) * algorithms.token_weights(mask, mode)).sum()
    expected = loss_by_hand(logprobs, old, advantages, mask, 0.2, 0.28, mode)
    assert float(ours) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo"])
def test_loss_and_gradient_equal_trls(loss_type):
    """TRL's own `_compute_loss` on the same numbers."""
    from types import SimpleNamespace
    from unittest import mock

    from trl import GRPOTrainer

    logprobs, old, advantages, _ = random_inputs(3)
    mask = torch.ones_like(logprobs)
    mask[0, 5:] = mask[1, 2:] = 0  # TRL's completions are padded on the right
    advantages = advantages[:, -1]
    ours_in, theirs_in = (logprobs.clone().requires_grad_() for _ in range(2))
    inputs = algorithms.LossInputs(ours_in, old, advantages[:, None] * mask, mask, 0.2, 0.2)
    mode = {"grpo": "sequence", "bnpo": "token"}[loss_type]
    ours = (LOSS(inputs) * algorithms.token_weights(mask, mode)).sum()
    ours.backward()

    trainer = mock.MagicMock()
    trainer.aux_loss_enabled = trainer._entropy_bonus_enabled = False
    trainer.loss_type, trainer.beta, trainer.top_entropy_quantile = loss_type, 0.0, 1.0
    trainer.epsilon_low = trainer.epsilon_high = 0.2
    trainer.importance_sampling_level, trainer.off_policy_mask_threshold = "token", None
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = False
    trainer.current_gradient_accumulation_steps = 1
    trainer.args = SimpleNamespace(delta=None, use_bias_correction_kl=False)
    trainer.model = SimpleNamespace(training=True)
    trainer._metrics = mock.MagicMock()
    trainer.accelerator.gather.side_effect = lambda x: x
    trainer._get_per_token_logps_and_entropies.return_value = (
        theirs_in,
        torch.zeros_like(mask),
        None,
    )
    batch = {
        "prompt_ids": torch.ones(6, 2, dtype=torch.long),
        "prompt_mask": torch.ones(6, 2, dtype=torch.long),
        "completion_ids": torch.ones(6, 9, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "num_items_in_batch": mask.sum(),
    }
    theirs = GRPOTrainer._compute_loss(trainer, mock.MagicMock(), batch)
    theirs.backward()
    assert float(ours) == pytest.approx(float(theirs), abs=1e-6)
    assert torch.allclose(ours_in.grad, theirs_in.grad, atol=1e-6)


def trajectories(count, vocabulary, seed=0):
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        prompt, reply = rng.randint(1, 6), rng.randint(1, 5)
        ids = [rng.randrange(8, vocabulary) for _ in range(prompt + reply)]
        mask = [0] * prompt + [1] * reply
        made.append(Trajectory(Task("x"), ids, mask, [-1.0 * m for m in mask]))
    return made


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_of_a_padded_batch_are_those_of_each_row_alone(nano, tokenizer, temperature):
    rows = trajectories(7, len(tokenizer))
    batch = Batch.of(rows, torch.ones(7), pad=0, device="cpu")
    logprobs, entropy = token_logprobs(nano, batch, temperature)
    for number, row in enumerate(rows):
        ids = torch.tensor([row.token_ids])
        full = (nano(ids).logits[0, :-1] / temperature).log_softmax(-1)
        for at, on in enumerate(row.loss_mask):
            expected = float(full[at - 1, row.token_ids[at]]) if on else 0.0
            assert float(logprobs[number, at]) == pytest.approx(expected, abs=1e-5)
            if on:
                p = full[at - 1].exp()
                assert float(entropy[number, at]) == pytest.approx(
                    float(-(p * full[at - 1]).sum()), abs=1e-4
                )


@pytest.mark.parametrize("mode", ["sequence", "token"])
def test_the_step_does_not_depend_on_how_the_batch_is_cut(nano, tokenizer, mode):
    rows = trajectories(8, len(tokenizer))
    batch = Batch.of(rows, torch.linspace(-1, 1, 8), pad=0, device="cpu")
    weights = algorithms.token_weights(batch.mask, mode)
    gradients = []
    for size in (8, 3, 1):
        nano.zero_grad()
        for index in torch.arange(8).split(size):
            part = batch.rows(index)
            logprobs, _ = token_logprobs(nano, part, 1.0)
            inputs = algorithms.LossInputs(
                logprobs, part.old_logprobs, part.advantages, part.mask, 0.2, 0.2
            )
            (LOSS(inputs) * weights[index]).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in nano.parameters()]))
    nano.zero_grad()
    assert gradients[0].abs().max() > 1e-3
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)
    assert torch.allclose(gradients[0], gradients[2], atol=1e-6)


def test_environment_tokens_get_no_gradient_and_the_stop_token_does(nano, tokenizer):
    stop = tokenizer.eos_token_id
    row = Trajectory(Task("x"), [9, 10, 11, stop, 12, 13, stop], [0, 0, 1, 1, 0, 1, 1], [0.0] * 7)
    batch = Batch.of([row], torch.tensor([1.0]), pad=0, device="cpu")
    logprobs, _ = token_logprobs(nano, batch, 1.0)
    assert (logprobs[0] != 0).tolist() == [False, False, True, True, False, True, True]


def test_an_algorithm_of_ones_own_is_two_decorated_functions():
    @algorithms.advantages("plain")
    def centred(rewards, mask):
        return (rewards - rewards.mean(1, keepdim=True)) * mask

    @algorithms.loss("plain")
    def reinforce(x):
        return -x.logprobs * x.advantages

    assert algorithms.find("plain") == (centred, reinforce)
    with pytest.raises(UserError, match="Did you mean grpo"):
        algorithms.find("gpro")


def grouped(vocabulary, seed=0):
    """Trajectories of three groups, some with a second turn, in shuffled order."""
    rng = random.Random(seed)
    made = []
    for _ in range(3):
        prompt = [rng.randrange(8, vocabulary) for _ in range(rng.randint(3, 9))]
        for _ in range(rng.randint(1, 6)):
            ids, mask = list(prompt), [0] * len(prompt)
            for turn in range(rng.randint(1, 2)):
                if turn:
                    said = rng.randint(1, 3)
                    ids += [rng.randrange(8, vocabulary) for _ in range(said)]
                    mask += [0] * said
                reply = rng.randint(1, 4)
                ids += [rng.randrange(8, vocabulary) for _ in range(reply)]
                mask += [1] * reply
            made.append(Trajectory(Task("x"), ids, mask, [-1.0 * m for m in mask]))
    rng.shuffle(made)
    return made


@pytest.mark.parametrize("seed", range(6))
def test_sharing_the_prompt_changes_neither_logprobs_nor_gradient(nano, tokenizer, seed):
    rows = grouped(len(tokenizer), seed)
    batch = Batch.of(rows, torch.ones(len(rows)), pad=0, device="cpu")
    results, gradients = [], []
    for function in (token_logprobs, lambda *a: shared_prompt.group_logprobs(*a)):
        nano.zero_grad()
        logprobs, entropy = function(nano, batch, 0.9)
        (logprobs * torch.linspace(-1, 1, batch.mask.numel()).view_as(batch.mask)).sum().backward()
        results.append((logprobs.detach(), entropy))
        gradients.append(torch.cat([p.grad.flatten() for p in nano.parameters()]))
    nano.zero_grad()
    assert torch.allclose(results[0][0], results[1][0], atol=1e-5)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-4)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-4)


def test_sharing_is_used_where_it_saves_work_and_only_there(nano, tokenizer, monkeypatch):
    def refuse(*_):
        raise AssertionError("the rows were computed one by one")

    monkeypatch.setattr(shared_prompt, "token_logprobs", refuse)
    prompt = list(range(8, 40))
    rows = [Trajectory(Task("x"), [*prompt, 50 + i], [0] * 32 + [1], [0.0] * 33) for i in range(8)]
    batch = Batch.of(rows, torch.ones(8), pad=0, device="cpu")
    assert shared_prompt.arrange(batch).input_ids.shape == (1, 40)
    shared_prompt.group_logprobs(nano, batch, 1.0)
    with pytest.raises(AssertionError, match="one by one"):
        shared_prompt.group_logprobs(nano, batch.rows(torch.tensor([0])), 1.0)


def test_an_algorithm_from_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from trainers.algorithms import advantages, loss\n"
        "@advantages('mine')\n"
        "def centred(rewards, mask): return (rewards - rewards.mean(1, keepdim=True)) * mask\n"
        "@loss('mine')\n"
        "def reinforce(x): return -x.logprobs * x.advantages\n"
    )
    made, _ = algorithms.find(f"{path}:mine")
    assert made(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2)).tolist() == [[0.5, -0.5]]
    with pytest.raises(UserError, match="does not exist"):
        algorithms.find(f"{tmp_path}/none.py:mine")
    (tmp_path / "broken.py").write_text("x = 1\n1 / 0\n")
    with pytest.raises(UserError, match=r"ZeroDivisionError.*line 2"):
        algorithms.find(f"{tmp_path}/broken.py:mine")

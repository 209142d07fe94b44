"""What a model says of sampled tokens does not depend on how they are laid out."""

import pytest
import torch

from rlenv.trainers.rl import forward
from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.critic import Critic
from rlenv.trainers.rl.forward import score, score_values

from .support import grouped, trajectories, trajectory


@torch.no_grad()
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_of_a_padded_batch_are_those_of_each_row_alone(nano, tokenizer, temperature):
    rows = trajectories(7, len(tokenizer))
    found = score(nano, Batch.of(rows), temperature)
    for number, row in enumerate(rows):
        ids = torch.tensor([row.token_ids])
        full = (nano(ids).logits[0, :-1] / temperature).log_softmax(-1)
        for at, on in enumerate(row.loss_mask):
            expected = float(full[at - 1, row.token_ids[at]]) if on else 0.0
            assert float(found.logprobs[number, at]) == pytest.approx(expected, abs=1e-5)
            if on:
                entropy = float(-(full[at - 1].exp() * full[at - 1]).sum())
                assert float(found.entropy[number, at]) == pytest.approx(entropy, abs=1e-4)


def gradient_of(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("seed", range(6))
def test_sharing_the_prompt_changes_neither_logprobs_nor_gradient(nano, tokenizer, seed):
    batch = Batch.of(grouped(len(tokenizer), seed))
    monkey = torch.linspace(-1, 1, batch.mask.numel()).view_as(batch.mask)
    results, gradients = [], []
    layouts = (
        forward.unshared(batch),
        forward.shared(batch),
        forward.shared(batch, longest=12),
        forward.shared(batch, longest=1),
    )
    assert len(layouts[1].input_ids) < len(layouts[3].input_ids) == len(batch)
    for layout in layouts:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rlenv.trainers.rl.forward._layout", lambda *_, layout=layout: layout)
            nano.zero_grad()
            found = score(nano, batch, 0.9, entropy_gradient=True)
        ((found.logprobs + found.entropy) * monkey).sum().backward()
        results.append(found)
        gradients.append(gradient_of(nano))
    nano.zero_grad()
    for found, gradient in zip(results[1:], gradients[1:], strict=True):
        assert torch.allclose(found.logprobs, results[0].logprobs, atol=1e-5)
        assert torch.allclose(found.entropy, results[0].entropy, atol=1e-4)
        assert torch.allclose(gradient, gradients[0], atol=1e-4)


def test_the_values_of_a_critic_do_not_depend_on_the_layout(nano, tokenizer):
    critic = Critic(nano.base_model)
    torch.nn.init.normal_(critic.head.weight, generator=torch.Generator().manual_seed(0))
    batch = Batch.of(grouped(len(tokenizer), 1))
    hidden = nano.base_model(batch.input_ids).last_hidden_state
    # the value of the state in which a token was chosen, which is before that token
    expected = critic.head(hidden)[:, :-1] * batch.mask[:, 1:]
    for width in (None, 10_000):
        found = score_values(critic, batch, width=width)
        assert torch.allclose(found[:, 1:], expected, atol=1e-5)


def test_sharing_is_used_where_it_saves_work_and_only_there(tokenizer):
    prompt = list(range(8, 40))
    together = Batch.of([trajectory(prompt, [[50 + i]]) for i in range(8)])
    layout = forward.shared(together)
    assert layout.input_ids.shape == (1, 40)
    assert forward.pays(layout, together, 64)
    alone = together.rows(torch.tensor([0]))
    assert not forward.pays(forward.shared(alone), alone, 64)


def test_a_long_group_is_cut_into_sequences_of_about_one_length():
    prompt = list(range(8, 40))
    group = Batch.of([trajectory(prompt, [[50 + i] * (10 + i % 3)]) for i in range(16)])
    whole = forward.shared(group, longest=10_000)
    assert forward.pays(whole, group, 10_000)
    assert not forward.pays(whole, group, 1)  # where attention is most of the work
    layout = forward.shared(group, longest=32 + 60)
    owned = [set(row.tolist()) - {-1, -2} for row in layout.owner]
    assert sorted(row for part in owned for row in part) == list(range(16))
    lengths = (layout.owner > -2).sum(1)
    assert lengths.max() <= 32 + 60 + 12  # by a row at most
    assert lengths.max() - lengths.min() <= 12


def test_only_models_with_plain_attention_share(nano):
    from transformers import Gemma3TextConfig, GPT2Config, Qwen2Config

    assert forward.can_share(nano.config)
    assert not forward.can_share(Gemma3TextConfig())
    assert not forward.can_share(GPT2Config())
    assert not forward.can_share(Qwen2Config(use_sliding_window=True))


def test_environment_tokens_get_no_gradient_and_the_stop_token_does(nano, tokenizer):
    stop = tokenizer.eos_token_id
    row = trajectory([9, 10], [[11, stop], [13, stop]], said=[[12]])
    batch = Batch.of([row], torch.tensor([1.0]))
    found = score(nano, batch, 1.0)
    assert (found.logprobs[0] != 0).tolist() == [False, False, True, True, False, True, True]
    assert batch.advantages[0].tolist() == [0, 0, 1, 1, 0, 1, 1]

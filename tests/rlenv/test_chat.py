import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenv.common.errors import UserError
from rlenv.models.chat_format import ChatFormat

QUESTION = [{"role": "user", "content": "17 + 25 = ?"}]
printable = st.text(alphabet=[chr(c) for c in range(32, 127)], max_size=30)


def test_prompt_ends_where_the_policy_begins(chat, tokenizer):
    tokens = tokenizer.convert_ids_to_tokens(chat.prompt(QUESTION))
    assert tokens[:2] == ["<|begin|>", "<|user|>"]
    assert tokens[-2:] == ["<|end|>", "<|assistant|>"]


@settings(deadline=None)
@given(reply=printable, more=printable)
def test_pieces_add_up_to_the_whole_conversation(chat, tokenizer, reply, more):
    said = tokenizer(reply, add_special_tokens=False)["input_ids"]
    new = [{"role": "user", "content": more}]
    pieces = chat.prompt(QUESTION) + said + chat.stop_ids + chat.after_reply(QUESTION, new)
    whole = chat.prompt([*QUESTION, {"role": "assistant", "content": reply}, *new])
    assert pieces == whole


@settings(deadline=None)
@given(reply=printable)
def test_the_loss_covers_the_reply_and_its_stop_token_alone(chat, tokenizer, reply):
    ids, mask = chat.solved(QUESTION, reply)
    covered = [token for token, on in zip(ids, mask, strict=True) if on]
    assert chat.decode(covered) == reply
    assert covered[-1] == tokenizer.eos_token_id
    assert ids[: mask.index(1)] == chat.prompt(QUESTION)
    # the template's own generation tags mark the same tokens
    template = tokenizer.apply_chat_template(
        [*QUESTION, {"role": "assistant", "content": reply}],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    assert (template["input_ids"], template["assistant_masks"]) == (ids, mask)


@given(printable)
def test_round_trip(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_a_tokenizer_without_a_template_is_refused(tokenizer):
    import copy

    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        ChatFormat(bare, "runs/x")


def test_text_that_the_tokenizer_lacks_is_named(chat):
    chat.check_covers("17 + 25 = ?")
    with pytest.raises(UserError, match="'ü'"):
        chat.check_covers("füllen")

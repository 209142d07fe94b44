"""Chat templates in the formats of well-known models, and a small tokenizer that has them."""

from functools import cache

from rlenv.models.tokenizer import CHAT_TEMPLATE

CHATML = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}"""

# thinking goes once the user has said something else; results of tools are the user's
QWEN3 = """\
{%- set told = namespace(last=0) -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}{%- set told.last = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- if tools or messages[0].role == 'system' -%}
  {{- '<|im_start|>system\\n' -}}
  {%- if messages[0].role == 'system' -%}{{- messages[0].content -}}{%- endif -%}
  {%- if tools -%}
    {{- '\\n# Tools\\n<tools>' -}}
    {%- for tool in tools -%}{{- '\\n' + tool | tojson -}}{%- endfor -%}
    {{- '\\n</tools>\\nCall one with <tool_call></tool_call>.' -}}
  {%- endif -%}
  {{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' -}}
  {%- elif message.role == 'assistant' -%}
    {%- set content = message.content.split('</think>')[-1].lstrip('\\n') -%}
    {%- set thought = '' -%}
    {%- if '</think>' in message.content -%}
      {%- set thought = message.content.split('</think>')[0].split('<think>')[-1].strip('\\n') -%}
    {%- endif -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if loop.index0 > told.last and (loop.last or thought) -%}
      {{- '<think>\\n' + thought + '\\n</think>\\n\\n' -}}
    {%- endif -%}
    {{- content + '<|im_end|>\\n' -}}
  {%- elif message.role == 'tool' -%}
    {%- if messages[loop.index0 - 1].role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
    {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}
      {{- '<|im_end|>\\n' -}}
    {%- endif -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"""

# white space around a message goes; tools are described in the user's first message
LLAMA3 = """\
{{- bos_token -}}
{%- set offered = namespace(yes=tools is not none and tools) -%}
{%- for message in messages -%}
  {%- set role = 'ipython' if message.role == 'tool' else message.role -%}
  {{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' -}}
  {%- if offered.yes and message.role == 'user' -%}
    {{- 'Given these functions, reply with JSON to call one.\\n\\n' -}}
    {%- for tool in tools -%}{{- tool | tojson + '\\n\\n' -}}{%- endfor -%}
    {%- set offered.yes = false -%}
  {%- endif -%}
  {%- if message.role == 'tool' -%}{{- message.content | tojson -}}
  {%- else -%}{{- message.content | trim -}}{%- endif -%}
  {{- '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{%- endif -%}"""

# neither a system nor a tool, and strictly in turn
GEMMA = """\
{{- bos_token -}}
{%- if messages[0].role == 'system' -%}
  {{- raise_exception('System role not supported') -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
    {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
  {%- endif -%}
  {%- set role = 'model' if message.role == 'assistant' else message.role -%}
  {{- '<start_of_turn>' + role + '\\n' + message.content | trim + '<end_of_turn>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}"""

# name -> template, the token that ends a reply, the end-of-sequence token, other special tokens
FORMATS = {
    "ours": (
        CHAT_TEMPLATE,
        "<|end|>",
        "<|end|>",
        ["<|begin|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"],
    ),
    "chatml": (CHATML, "<|im_end|>", "<|im_end|>", ["<|im_start|>", "<|begin|>"]),
    "qwen3": (QWEN3, "<|im_end|>", "<|im_end|>", ["<|im_start|>", "<|begin|>"]),
    "llama3": (
        LLAMA3,
        "<|eot_id|>",
        "<|eot_id|>",
        ["<|begin|>", "<|start_header_id|>", "<|end_header_id|>"],
    ),
    "gemma": (GEMMA, "<end_of_turn>", "<eos>", ["<|begin|>", "<start_of_turn>"]),
}
TEXT = "I am thinking of a number from 1 to 100. Higher. Lower. Yes! 50 25 crane think " * 20


@cache
def tokenizer(name):
    """A byte-level BPE tokenizer with a format's special tokens and template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    template, end, eos, others = FORMATS[name]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = list(dict.fromkeys([end, eos, *others]))
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|begin|>",
        eos_token=eos,
        extra_special_tokens=[token for token in special if token not in ("<|begin|>", eos)],
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )

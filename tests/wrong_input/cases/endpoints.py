"""Endpoints that are not there, refuse, or answer something else than a chat endpoint does."""

from tests.wrong_input.cases.stages import CONFIGS
from tests.wrong_input.harness import Case

WORDS = [
    "rlenv/Arithmetic-v0",
    "--tasks",
    "2",
    "--samples",
    "1",
    "--max-tokens",
    "2",
    "--attempts",
    "2",
]


def asked(
    name: str, model: str, *more: str, says: str, code: int = 2, **attributes: object
) -> Case:
    """Return a case of evaluating an endpoint."""
    return Case(
        f"an endpoint {name}", ["eval", model, *WORDS, *more], says, code=code, **attributes
    )


SYNTHESIZE = ["--prompts", "$here/p.txt", "--output", "$here/o.jsonl"]
PROMPTS = {"p.txt": "What is 1 + 1?\n"}

CASES = [
    asked("without an address", "openai:model", says="openai:NAME@URL"),
    asked("without a name", "openai:@http://localhost:1/v1", says="openai:NAME@URL"),
    asked("of another protocol", "openai:model@ftp://localhost/v1", says="openai:NAME@URL"),
    asked(
        "that nobody serves",
        "openai:model@http://127.0.0.1:9/v1",
        says="127.0.0.1:9/v1 failed 2 times in a row.*ConnectError",
        code=1,
    ),
    asked(
        "of a name that resolves to nothing",
        "openai:model@http://no-such-host.invalid/v1",
        says="no-such-host.invalid",
        code=1,
    ),
    asked(
        "that wants a key",
        "openai:model@$server/401/v1",
        says="put a key into the environment variable OPENAI_API_KEY",
    ),
    asked("that forbids", "openai:model@$server/403/v1", says="put a key into"),
    asked(
        "that does not know the model",
        "openai:model@$server/404/v1",
        says="is the name of the model right",
    ),
    asked("that refuses each request", "openai:model@$server/400/v1", says="status 400", code=1),
    asked(
        "that fails each time",
        "openai:model@$server/500/v1",
        says="failed 2 times in a row.*500",
        code=1,
    ),
    asked(
        "that is too busy",
        "openai:model@$server/429/v1",
        says="failed 2 times in a row.*429",
        code=1,
    ),
    asked("that moved", "openai:model@$server/301/v1", says="301", code=1),
    asked(
        "that answers with a page",
        "openai:model@$server/page/v1",
        says="does not answer as a chat endpoint",
    ),
    asked(
        "that answers with other JSON",
        "openai:model@$server/other/v1",
        says="does not answer as a chat endpoint",
    ),
    asked(
        "that answers with a list",
        "openai:model@$server/list/v1",
        says="does not answer as a chat endpoint",
    ),
    asked(
        "that answers with no choice",
        "openai:model@$server/none/v1",
        says="does not answer as a chat endpoint",
    ),
    asked("that hangs up", "openai:model@$server/gone/v1", says="failed 2 times in a row", code=1),
    asked(
        "that never answers",
        "openai:model@$server/slow/v1",
        "--timeout",
        "0.3",
        says="failed 2 times in a row.*0.3 s",
        code=1,
    ),
    asked(
        "with a key over an open line",
        "openai:model@http://example.org/v1",
        says="unencrypted; use https",
        before={"OPENAI_API_KEY": "secret"},
    ),
    asked(
        "whose dtype is chosen",
        "openai:model@$server/200/v1",
        "--dtype",
        "bfloat16",
        says="leave dtype out",
    ),
    asked(
        "asked by nobody at once",
        "openai:model@$server/200/v1",
        "--concurrency",
        "0",
        says="--concurrency is at least 1",
    ),
    asked(
        "asked never",
        "openai:model@$server/200/v1",
        "--attempts",
        "0",
        says="--attempts is at least 1",
    ),
    asked(
        "asked without time",
        "openai:model@$server/200/v1",
        "--timeout",
        "0",
        says="--timeout is above 0",
    ),
    asked(
        "at no rate",
        "openai:model@$server/200/v1",
        "--per-minute",
        "0",
        says="--per-minute is above 0",
    ),
    Case(
        "a teacher that nobody serves",
        ["synthesize", "openai:m@http://127.0.0.1:9/v1", *SYNTHESIZE],
        "127.0.0.1:9",
        PROMPTS,
        code=1,
    ),
    Case(
        "a teacher behind a server for an environment",
        [
            "synthesize",
            "openai:m@$server/200/v1",
            "--env",
            "rlenv/Arithmetic-v0",
            "--output",
            "$here/o.jsonl",
        ],
        "for --env give a checkpoint",
    ),
    Case(
        "a teacher that wants a key",
        ["synthesize", "openai:m@$server/401/v1", *SYNTHESIZE],
        "put a key into",
        PROMPTS,
    ),
    Case(
        "play by an endpoint",
        ["play", "rlenv/Arithmetic-v0", "--policy", "openai:m@$server/200/v1"],
        "checkpoint",
    ),
    Case("next by an endpoint", ["next", "a", "--model", "openai:m@$server/200/v1"], "checkpoint"),
    Case(
        "train from an endpoint",
        ["train", "$here/run.yaml", "model=openai:m@$server/200/v1"],
        "checkpoint",
        {"run.yaml": CONFIGS["grpo"]},
    ),
    Case(
        "a vLLM server that nobody runs",
        ["train", "$here/run.yaml", "engine={kind: vllm, url: 'http://127.0.0.1:9', timeout: 0}"],
        "127.0.0.1:9|needs the package vllm",
        {"run.yaml": CONFIGS["grpo"]},
    ),
    Case(
        "a judge that nobody serves",
        [
            "eval",
            "$model",
            "rlenv/Judge-v0",
            "--option",
            "judge={model: m, url: 'http://127.0.0.1:9/v1'}",
        ],
        "judge|127.0.0.1",
    ),
]

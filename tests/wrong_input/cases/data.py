"""Files of rows, conversations and preferences that are empty, damaged or of another kind."""

from tests.wrong_input.cases.stages import stage
from tests.wrong_input.harness import Case

CHAT = (
    '{"messages": [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "2"}]}\n'
)
PAIR = '{"prompt": "1 + 1", "chosen": "2", "rejected": "3"}\n'


def sft(
    name: str, content: str | bytes, *, says: str, code: int = 2, file: str = "c.jsonl"
) -> Case:
    """Return a case of fine-tuning on a file."""
    return stage(
        f"conversations: {name}",
        "sft",
        f"sft.data=$here/{file}",
        says=says,
        code=code,
        files={file: content},
    )


def dpo(name: str, content: str, *, says: str, code: int = 2, of: str = "dpo") -> Case:
    """Return a case of preferences."""
    return stage(f"preferences: {name}", of, says=says, code=code, files={"pairs.jsonl": content})


ROWED = """
import rlenv

@rlenv.register("demo/Rowed-v0")
class Rowed(rlenv.SingleTurnEnv):
    def score(self, task, reply):
        return float(reply == task.answer)
"""
ON_ROWS = "env={id: '$here/rowed.py:demo/Rowed-v0', rows: $here/rows.jsonl}"


def rows(name: str, content: str | bytes | None, *, says: str, code: int = 2) -> Case:
    """Return a case of an environment on rows of data."""
    files = {"rowed.py": ROWED, **({} if content is None else {"rows.jsonl": content})}
    return stage(f"rows: {name}", "grpo", ON_ROWS, says=says, code=code, files=files)


QUESTION = '{"prompt": "1 + 1 = ?", "answer": "2"}\n'

CASES = [
    sft("an empty file", "", says="has no rows"),
    sft("a file of blank lines", "\n\n\n", says="has no rows"),
    sft("one row", CHAT, says="has one row alone"),
    sft("lines that are no JSON", "hello\n", says="line 1 is no JSON"),
    sft("a line that is cut short", CHAT + CHAT[:30] + "\n", says="line 2 is no JSON"),
    sft("lines that are lists", "[1]\n", says="line 1 is no JSON object"),
    sft("columns of no form", '{"a": 1}\n', says="a"),
    sft(
        "a reply that nobody asked for",
        '{"messages": [{"role": "assistant", "content": "2"}]}\n' * 3,
        says="can't be used",
        code=1,
    ),
    sft("messages that are a text", '{"messages": "hello"}\n' * 3, says="can't be used", code=1),
    sft(
        "messages without a role",
        '{"messages": [{"content": "a"}]}\n' * 3,
        says="can't be used",
        code=1,
    ),
    sft(
        "no reply",
        '{"messages": [{"role": "user", "content": "1 + 1"}]}\n' * 3,
        says="can't be used",
        code=1,
    ),
    sft(
        "a content of a number",
        '{"messages": [{"role": "user", "content": 1}, {"role": "assistant", "content": 2}]}\n' * 3,
        says="can't be used",
        code=1,
    ),
    sft(
        "letters that the tokenizer lacks",
        CHAT.replace('"2"', '"猫"') * 3,
        says="can't be used",
        code=1,
    ),
    sft(
        "a conversation too long",
        CHAT.replace('"2"', '"' + "1" * 500 + '"') * 3,
        says="can't be used",
        code=1,
    ),
    sft("another encoding", '{"messages": "caf\xe9"}\n'.encode("latin-1"), says="UTF-8"),
    sft("bytes in place of a CSV", b"\x00\xff\xfe\x00", says="CSV|UTF-8", file="c.csv"),
    sft("a JSON that is a mapping", "{}", says="must hold a list of objects", file="c.json"),
    sft("a JSON that is cut short", "[{", says="is no JSON", file="c.json"),
    sft("a Parquet that is none", b"PAR1 nonsense", says="c.parquet", file="c.parquet"),
    sft("a spreadsheet", b"PK", says="none of .jsonl", file="c.xlsx"),
    stage(
        "conversations: a folder", "sft", "sft.data=$here", says="is a folder|does not exist; give"
    ),
    stage("conversations: a data set offline", "sft", "sft.data=nobody/no-data", says="data_root"),
    stage(
        "conversations: a part that there is not",
        "sft",
        "sft.data={path: nobody/no-data, part: trian}",
        "data_root=$here/root",
        says="no part 'trian'.*train",
        files={"root/nobody/no-data/train.jsonl": CHAT, "root/nobody/no-data/test.jsonl": CHAT},
    ),
    stage(
        "conversations: of a weight of none",
        "sft",
        "sft.data={path: $here/c.jsonl, weight: 0}",
        says="weight",
        files={"c.jsonl": CHAT},
    ),
    stage(
        "conversations: a form that is none",
        "sft",
        "sft.data={path: $here/c.jsonl, form: letters}",
        says="form",
        files={"c.jsonl": CHAT},
    ),
    stage(
        "conversations: of another form than said",
        "sft",
        "sft.data={path: $here/c.jsonl, form: alpaca}",
        says="can't be used|alpaca",
        code=1,
        files={"c.jsonl": CHAT * 3},
    ),
    dpo("an empty file", "", says="no rows|no pairs"),
    dpo("one pair", PAIR, says="one row alone|only one pair"),
    dpo("one pair for a reward model", PAIR, says="held-out pairs|pairs", of="reward"),
    dpo("columns of no form", '{"a": 1}\n', says="without the column"),
    dpo("equal replies", PAIR.replace('"3"', '"2"') * 3, says="can't be used"),
    dpo(
        "labels of one kind alone",
        '{"prompt": "1 + 1", "completion": "2", "label": true}\n' * 40,
        says="good and bad|pairs",
        of="kto",
    ),
    dpo(
        "labelled replies for dpo",
        '{"prompt": "1 + 1", "completion": "2", "label": true}\n',
        says="only the stage kto",
    ),
    dpo("no JSON", "pairs\n", says="line 1 is no JSON"),
    rows("an empty file", "", says="rows.jsonl.*(no rows|empty)"),
    *(
        rows(
            f"one row, such as {n} + 1",
            QUESTION.replace("1 + 1", f"{n} + 1"),
            says="no task of .* falls into the (train|validation) split",
        )
        for n in range(4)
    ),
    rows("a column that there is not", '{"query": "1"}\n' * 3, says="no column 'prompt'.*query"),
    rows("a prompt that is a number", '{"prompt": 3, "answer": "2"}\n', says="prompt"),
    rows("a prompt of nothing", '{"prompt": null, "answer": "2"}\n', says="prompt"),
    rows(
        "messages without a role",
        '{"prompt": [{"content": "a"}], "answer": "2"}\n',
        says="prompt.*role",
    ),
    rows("no JSON", "rows\n", says="line 1 is no JSON"),
    rows("no file", None, says="rows.jsonl does not exist"),
    Case(
        "rows: evaluated on one row",
        ["eval", "$model", "$here/rowed.py:demo/Rowed-v0", "--option", "rows=$here/rows.jsonl"],
        "no task of .* falls into the test split",
        {"rowed.py": ROWED, "rows.jsonl": QUESTION},
    ),
    Case(
        "rows: GSM8K in an empty folder",
        ["eval", "$model", "rlenv/GSM8K-v0", "--option", "source=$here"],
        "holds neither train.jsonl nor train.parquet",
    ),
    Case(
        "rows: GSM8K offline",
        ["eval", "$model", "rlenv/GSM8K-v0"],
        "train.jsonl and test.jsonl: set its option source",
    ),
]

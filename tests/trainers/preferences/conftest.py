"""Pairs that a tiny model can learn from: who says please is preferred."""

import json
import random

import pytest

WORDS = ("sum", "map", "list", "word", "name", "half", "rest", "line")


def polite_rows(count=200, seed=0):
    rng = random.Random(seed)
    rows = {}
    while len(rows) < count:
        a, b, n = rng.choice(WORDS), rng.choice(WORDS), rng.randrange(100)
        rows[f"{a} of {b} {n}?"] = {
            "prompt": f"{a} of {b} {n}?",
            "chosen": f"please, {b}",
            "rejected": f"no, {a}",
        }
    return list(rows.values())


@pytest.fixture(scope="session")
def polite(tmp_path_factory):
    """A file of 200 pairs."""
    path = tmp_path_factory.mktemp("pairs") / "polite.jsonl"
    path.write_text("\n".join(map(json.dumps, polite_rows())))
    return path


def labelled_rows(count=200):
    """One reply to each prompt, three of four of them good."""
    rows = []
    for number, pair in enumerate(polite_rows(count)):
        good = number % 4 != 2
        said = pair["chosen" if good else "rejected"]
        rows.append({"prompt": pair["prompt"], "completion": said, "label": good})
    return rows


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """A file of 200 labelled replies."""
    path = tmp_path_factory.mktemp("labelled") / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, labelled_rows())))
    return path


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory, nano, tokenizer):
    """The folder of an untrained chat model."""
    import copy

    from rlenv.models import checkpoint

    folder = tmp_path_factory.mktemp("model") / "chat"
    checkpoint.save(copy.deepcopy(nano), tokenizer, folder)
    return folder


@pytest.fixture
def start(tmp_path, chat_model):
    """Start stages that begin at the untrained chat model; returns the command's exit code."""

    def run(stages, name="run", env="rlenv/Arithmetic-v0", **top):
        from rlenv.cli import train

        config = tmp_path / f"{name}.yaml"
        raw = {
            "run_dir": str(tmp_path / name),
            **({} if env is None else {"env": env}),
            "model": str(chat_model),
            "threads": 1,
            "stages": stages,
            **top,
        }
        config.write_text(json.dumps(raw))  # which is YAML
        return train.main([str(config)])

    return run


@pytest.fixture
def run_stages(tmp_path, start):
    """Carry out stages; returns the run's folder."""

    def run(stages, name="run", **top):
        assert start(stages, name, **top) == 0
        return tmp_path / name

    return run


@pytest.fixture
def refused(start, capsys):
    """Start stages that are refused; returns the sentence that says why."""

    def run(stages):
        assert start(stages) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("error: ")

    return run

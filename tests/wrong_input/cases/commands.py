"""Words of the command line that name nothing, or too little, or too much."""

from tests.wrong_input.harness import Case, on_run

SUMS = "rlenv/Arithmetic-v0"
EVAL = ["eval", "$model", "$digits", "--tasks", "2", "--samples", "1", "--max-tokens", "4"]
OURS = """
import rlenv

@rlenv.register("demo/Ours-v0")
class Ours(rlenv.SingleTurnEnv):
    pass
"""
PROMPTS = {"prompts.txt": "What is 1 + 1?\n"}


def _each_command_needs_its_words() -> list[Case]:
    """What every command says when it gets no word, or an option that it does not have."""
    needs = {
        "eval": "model",
        "rescore": "evaluation|folder",
        "report": "folder",
        "probe": "model",
        "redteam": "model",
        "contamination": "env",
        "data": "run|inspect",
        "next": "text",
        "synthesize": "teacher",
        "compare": "checkpoint",
        "bits": "--text",
        "view": "run",
        "show": "env",
        "check": "env",
        "init": "name",
        "play": "env",
        "plan": "--flops|--hours",
        "train": "config",
    }
    return [
        *(
            Case(f"{command} without a word", [command], rf"({what}).*(--help|--resume)")
            for command, what in needs.items()
        ),
        *(
            Case(
                f"{command} with a word that is no option",
                [command, "--nonsens", "x"],
                "--help|nonsens",
            )
            for command in [*needs, "list"]
        ),
    ]


CASES = [
    Case("a command that does not exist", ["trian"], "did you mean train"),
    Case("an option in place of a command", ["--nonsense"], "--nonsense.*there are"),
    *_each_command_needs_its_words(),
    # train
    Case("train on nothing", ["train"], "give either a config"),
    Case("train and resume at once", ["train", "a.yaml", "--resume", "b"], "give either"),
    Case("resume what is no run", ["train", "--resume", "$here"], "holds no run"),
    Case(
        "resume what is not there",
        ["train", "--resume", "$here/none"],
        "holds no run|does not exist",
    ),
    Case("resume with overrides", ["train", "--resume", "$run", "seed=1"], "give either|without"),
    Case("a config that does not exist", ["train", "nothing.yaml"], "does not exist; give"),
    Case("a config that is a folder", ["train", "$here"], "is a folder"),
    Case("a run folder given as a config", ["train", "$run"], "--resume"),
    Case("an environment given as a config", ["train", SUMS], "does not exist; give"),
    # eval
    Case(
        "eval of a checkpoint that is not there",
        ["eval", "$here/none", SUMS],
        "does not exist; give",
    ),
    Case("eval of a folder without a checkpoint", ["eval", "$here", SUMS], "no config.json"),
    Case("eval of a run folder", ["eval", "$run", SUMS], r"grpo"),
    Case(
        "eval on an environment that is not there",
        ["eval", "$model", "rlenv/Aritmetic-v0"],
        "nearest: rlenv/Arithmetic",
    ),
    Case("eval on the training split", [*EVAL, "--split", "train"], "validation or test"),
    Case("eval on no split", [*EVAL, "--split", "tests"], "did you mean test"),
    Case("eval of no task", [*EVAL, "--tasks", "0"], "tasks.*greater than or equal to 1"),
    Case("eval of a word of tasks", [*EVAL, "--tasks", "many"], "--tasks.*invalid int"),
    Case("eval of no sample", [*EVAL, "--samples", "0"], "samples.*greater"),
    Case("eval at a negative temperature", [*EVAL, "--temperature", "-1"], "temperature.*greater"),
    Case(
        "eval at a temperature that is no number",
        [*EVAL, "--temperature", "nan"],
        "temperature.*number",
    ),
    Case(
        "eval of several samples at temperature 0",
        [*EVAL, "--temperature", "0", "--samples", "3"],
        "samples can only be 1",
    ),
    Case("eval with top-p above 1", [*EVAL, "--top-p", "2"], "top_p.*less than or equal to 1"),
    Case("eval with a negative seed", [*EVAL, "--seed", "-1"], "seed.*greater"),
    Case("eval with a batch of none", [*EVAL, "--batch", "0"], "--batch is at least 1"),
    Case("eval on negative threads", [*EVAL, "--threads", "-1"], "threads.*at least 1"),
    Case("eval on no device", [*EVAL, "--device", "gpu"], "try cpu, cuda or auto"),
    Case(
        "eval on a graphics card that is not there",
        [*EVAL, "--device", "cuda"],
        "device=cpu|--device cpu",
    ),
    Case("eval in no time", [*EVAL, "--max-minutes", "0"], "--max-minutes is above 0"),
    Case("eval at a cost without a price", [*EVAL, "--max-cost", "1"], "--max-cost needs --price"),
    Case("eval with a negative price", [*EVAL, "--price", "-1", "2"], "--price"),
    Case("eval with an option without a value", [*EVAL, "--option", "level"], "form key=value"),
    Case(
        "eval with an option it does not have",
        [*EVAL, "--option", "levle=2"],
        "no option 'levle'.*level",
    ),
    Case(
        "eval into a folder below a missing one",
        [*EVAL, "--output", "a/b/c/d", "--top-k", "-1"],
        "top_k.*greater",
    ),
    Case(
        "eval into a folder below a file",
        [*EVAL, "--output", "$here/file/out"],
        "file.*--output|--output.*file",
        {"file": ""},
    ),
    Case(
        "eval into a file",
        [*EVAL, "--output", "$here/file"],
        "is a file; give another --output",
        {"file": ""},
    ),
    Case(
        "eval into a folder of other files",
        [*EVAL, "--output", "$here/full"],
        "give another --output",
        {"full/a.txt": ""},
    ),
    Case(
        "eval by an empty suite", ["eval", "$model", "$here/s.yaml"], "environments", {"s.yaml": ""}
    ),
    Case(
        "eval by a suite without environments",
        ["eval", "$model", "$here/s.yaml"],
        "needs a list of environments",
        {"s.yaml": "samples: 2"},
    ),
    Case(
        "eval by a suite that is no list",
        ["eval", "$model", "$here/s.yaml"],
        "needs a list of environments",
        {"s.yaml": "environments: 3"},
    ),
    Case(
        "eval by a suite with an entry of nothing",
        ["eval", "$model", "$here/s.yaml"],
        "neither an id nor",
        {"s.yaml": "environments: [3]"},
    ),
    Case(
        "eval by a suite with a setting that is none",
        ["eval", "$model", "$here/s.yaml"],
        "did you mean samples",
        {"s.yaml": "sample: 3\nenvironments: [rlenv/Arithmetic-v0]"},
    ),
    Case(
        "eval by a suite twice in one folder",
        ["eval", "$model", "$here/s.yaml"],
        "give one another name",
        {"s.yaml": "environments: [rlenv/Arithmetic-v0, rlenv/Arithmetic-v0]"},
    ),
    Case("eval by a suite that is not there", ["eval", "$model", "none.yaml"], "does not exist"),
    Case(
        "eval of suites with an option",
        ["eval", "$model", "$here/s.yaml", "--option", "level=1"],
        "write the options into",
        {"s.yaml": "environments: [rlenv/Arithmetic-v0]"},
    ),
    # report, compare, rescore
    Case("report on a folder that is not there", ["report", "$here/none"], "none does not exist"),
    Case("report on a folder of something else", ["report", "$here"], "no finished evaluation"),
    Case("report on a run", ["report", "$run"], "evaluations"),
    Case(
        "report into a folder that is not there",
        ["report", "$evaluation", "--output", "$here/file/b.html"],
        "another --output",
        {"file": ""},
    ),
    Case(
        "report with damaged samples",
        ["report", "$here/run/evaluations/grpo"],
        "samples.parquet",
        damage=on_run(lambda run: (run / "evaluations/grpo/samples.parquet").write_bytes(b"PAR1")),
    ),
    Case(
        "report with a damaged result",
        ["report", "$here/run/evaluations/grpo"],
        "result.json",
        damage=on_run(lambda run: (run / "evaluations/grpo/result.json").write_text("{")),
    ),
    Case("compare folders that are not there", ["compare", "$here/a", "$here/b"], "does not exist"),
    Case(
        "compare an evaluation with nothing",
        ["compare", "$evaluation", "$here/b"],
        "b does not exist",
    ),
    Case(
        "compare an evaluation with a run",
        ["compare", "$evaluation", "$run"],
        "give one of its evaluations",
    ),
    Case("compare one evaluation", ["compare", "$evaluation"], "two evaluations|another|--help"),
    Case("compare checkpoints without prompts", ["compare", "$model"], "--prompts"),
    Case(
        "compare checkpoints of one name",
        ["compare", "a=$model", "a=$model", "--prompts", "$here/prompts.txt"],
        "name=CHECKPOINT",
        PROMPTS,
    ),
    Case(
        "compare on prompts that are not there",
        ["compare", "$model", "--prompts", "$here/none.txt"],
        "none.txt does not exist",
    ),
    Case(
        "compare on no prompts",
        ["compare", "$model", "--prompts", "$here/p.txt"],
        "has no prompts",
        {"p.txt": "\n"},
    ),
    Case(
        "compare a number of no prompts",
        ["compare", "$model", "--prompts", "$here/prompts.txt", "--limit", "0"],
        "at least 1",
        PROMPTS,
    ),
    Case(
        "compare at a negative temperature",
        ["compare", "$model", "--prompts", "$here/prompts.txt", "--temperature", "-2"],
        "--temperature",
        PROMPTS,
    ),
    Case(
        "compare into a file of another kind",
        ["compare", "$model", "--prompts", "$here/prompts.txt", "--output", "a.doc"],
        "ends in none of",
        PROMPTS,
    ),
    Case(
        "compare into a folder that is not there",
        ["compare", "$model", "--prompts", "$here/prompts.txt", "--output", "$here/file/b.md"],
        "--output",
        {**PROMPTS, "file": ""},
    ),
    Case("rescore what is not there", ["rescore", "$here/none"], "none does not exist|no finished"),
    Case("rescore what is no evaluation", ["rescore", "$run"], "give one of its evaluations"),
    # view
    Case("view what is no run", ["view", "$here"], "holds no run"),
    Case("view a run that is not there", ["view", "$here/none"], "holds no run|does not exist"),
    Case(
        "view a stage that there is not", ["view", "$run", "--stage", "gropo"], "did you mean grpo"
    ),
    Case("view a step that there is not", ["view", "$run", "--step", "999"], "none of the"),
    Case(
        "view a step that is none",
        ["view", "$run", "--step", "last"],
        "--step is a number or a range",
    ),
    Case("view steps in the wrong order", ["view", "$run", "--step", "4-2"], "none of the|range"),
    Case(
        "view a run whose config is damaged",
        ["view", "$here/run"],
        "config.yaml",
        damage=on_run(lambda run: (run / "config.yaml").write_text("a: [")),
    ),
    # list, show, check, play
    Case(
        "list by a filter that fits nothing", ["list", "nonsense"], "no environment's id contains"
    ),
    Case("show what is not there", ["show", "rlenv/Nothing-v0"], "the nearest"),
    Case(
        "show a file without an id",
        ["show", "$here/env.py"],
        "env.py:demo/Ours-v0",
        {"env.py": OURS},
    ),
    Case("show a file that is not there", ["show", "none.py"], "none.py does not exist"),
    Case("show negative tasks", ["show", SUMS, "--tasks", "-1"], "--tasks can't be negative"),
    Case(
        "show with an option it does not have",
        ["show", SUMS, "--option", "colour=red"],
        "no option 'colour'.*has.*level",
    ),
    Case("show with a level that is no number", ["show", SUMS, "--option", "level=high"], "level"),
    Case("check what is not there", ["check", "rlenv/Nothing-v0"], "the nearest"),
    Case("check no tasks", ["check", SUMS, "--tasks", "0"], "--tasks is at least 1"),
    Case("check in no time", ["check", SUMS, "--seconds", "0"], "--seconds is above 0"),
    Case(
        "check without a check that there is not",
        ["check", SUMS, "--skip", "splitz"],
        "there are gymnasium",
    ),
    Case("check by a negative seed", ["check", SUMS, "--seed", "-1"], "--seed is from 0"),
    Case("play what is not there", ["play", "rlenv/Nothing-v0"], "the nearest"),
    Case("play a split that there is not", ["play", SUMS, "--split", "tset"], "did you mean test"),
    Case("play by a negative seed", ["play", SUMS, "--seed", "-1"], "--seed"),
    Case(
        "play by a checkpoint that is not there",
        ["play", SUMS, "--policy", "$here/none"],
        "does not exist; give",
    ),
    Case(
        "play at a negative temperature",
        ["play", "$digits", "--policy", "$model", "--temperature", "-1"],
        "--temperature",
    ),
    Case(
        "play without a token",
        ["play", "$digits", "--policy", "$model", "--max-tokens", "0"],
        "--max-tokens is at least 1",
    ),
    # init
    Case("init a name that is a keyword", ["init", "class"], "can't be a package's name"),
    Case("init a name with a space", ["init", "my env"], "can't be a package's name"),
    Case("init what exists", ["init", "full"], "exists already", {"full/a": ""}),
    Case(
        "init into a folder that is not there",
        ["init", "mine", "--output", "$here/none"],
        "does not exist",
    ),
    Case(
        "init into a file", ["init", "mine", "--output", "$here/file"], "file|folder", {"file": ""}
    ),
    # next, bits, plan
    Case(
        "next of a model that is not there",
        ["next", "a", "--model", "$here/none"],
        "does not exist; give",
    ),
    Case(
        "next of no tokens", ["next", "1", "--model", "$model", "--top", "0"], "--top is at least 1"
    ),
    Case("next of too long a text", ["next", "1" * 500, "--model", "$model"], "reads at most"),
    Case(
        "next of nothing", ["next", "", "--model", "$model", "--no-begin"], "no text to go on from"
    ),
    Case(
        "bits of a text that is not there",
        ["bits", "$model", "--text", "$here/none.txt"],
        "none.txt does not exist",
    ),
    Case(
        "bits of an empty text", ["bits", "$model", "--text", "$here/a.txt"], "a.txt", {"a.txt": ""}
    ),
    Case(
        "bits of nothing",
        ["bits", "--text", "$here/a.txt"],
        "checkpoint|--train",
        {"a.txt": "some text\n"},
    ),
    Case(
        "bits by orders that are none",
        ["bits", "$model", "--text", "$here/a.txt", "--orders", "x"],
        "give numbers",
        {"a.txt": "text"},
    ),
    Case(
        "bits by an order of 0",
        ["bits", "$model", "--text", "$here/a.txt", "--orders", "0"],
        "an order is",
        {"a.txt": "text"},
    ),
    Case("plan for a negative budget", ["plan", "--flops", "-5"], "--flops"),
    Case("plan for a budget that is no number", ["plan", "--flops", "lots"], "--flops"),
    Case("plan for both budgets", ["plan", "--flops", "1e12", "--hours", "1"], "not allowed with"),
    Case("plan by no law", ["plan", "--flops", "1e12", "--law", "moore"], "epoch.*hoffmann"),
    Case(
        "plan for rows of none", ["plan", "--flops", "1e12", "--rows", "0"], "--rows is at least 1"
    ),
    Case(
        "plan on negative threads",
        ["plan", "--flops", "1e12", "--threads", "-1"],
        "--threads is at least 1",
    ),
    Case(
        "plan on no device",
        ["plan", "--flops", "1e12", "--device", "abacus"],
        "try cpu, cuda or auto",
    ),
    # probe, redteam, contamination, synthesize
    Case(
        "probe on an environment that is not there",
        ["probe", "$model", "rlenv/None-v0"],
        "the nearest",
    ),
    Case("probe without a model", ["probe", "$here/none", SUMS], "does not exist; give"),
    Case(
        "probe with a stricter option that there is not",
        ["probe", "$model", "$digits", "--stricter", "x=1", "--tasks", "2"],
        "no option 'x'",
    ),
    Case("redteam without a model", ["redteam", "$here/none"], "does not exist; give"),
    Case("redteam without samples", ["redteam", "$model", "--samples", "0"], "samples.*greater"),
    Case(
        "contamination of a text that is not there",
        ["contamination", SUMS, "$here/none.txt"],
        "none.txt does not exist",
    ),
    Case(
        "contamination by one word",
        ["contamination", SUMS, "$here/a.txt", "--ngram", "1"],
        "--ngram is at least 2",
        {"a.txt": "a"},
    ),
    Case(
        "contamination of a split that there is not",
        ["contamination", SUMS, "$here/a.txt", "--split", "dev"],
        "not a split",
        {"a.txt": "a"},
    ),
    Case(
        "contamination of an empty text",
        ["contamination", SUMS, "$here/a.txt", "--tasks", "5"],
        "there is no text",
        {"a.txt": ""},
    ),
    Case("synthesize nothing", ["synthesize", "$model", "--output", "a.jsonl"], "--env|--prompts"),
    Case(
        "synthesize into another kind of file",
        ["synthesize", "$model", "--env", SUMS, "--output", "a.csv"],
        ".jsonl file",
    ),
    Case(
        "synthesize no tasks",
        ["synthesize", "$model", "--env", SUMS, "--output", "a.jsonl", "--tasks", "0"],
        "--tasks is at least 1",
    ),
    Case(
        "synthesize by no engine",
        ["synthesize", "$model", "--env", SUMS, "--output", "a.jsonl", "--engine", "steam"],
        "no such engine",
    ),
    Case(
        "synthesize at a negative temperature",
        ["synthesize", "$model", "--env", "$digits", "--output", "a.jsonl", "--temperature", "-1"],
        "--temperature",
    ),
    Case(
        "synthesize from a teacher that is never right",
        [
            "synthesize",
            "$model",
            "--env",
            SUMS,
            "--output",
            "a.jsonl",
            "--tasks",
            "1",
            "--samples",
            "1",
            "--max-tokens",
            "1",
        ],
        "none of 1 replies was right",
        code=1,
    ),
]

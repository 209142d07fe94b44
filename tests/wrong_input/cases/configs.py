"""Sections of a run's YAML file, and of a text pipeline's, that hold what they can't."""

from tests.wrong_input.cases.stages import config, stage
from tests.wrong_input.harness import Case

_FILES = [
    config("an empty YAML", "", says="is empty.*stages:"),
    config("a YAML of comments alone", "# seed: 0\n", says="is empty.*stages:"),
    config("a YAML that is a list", "- seed: 0\n", says="must hold settings such as 'stages:'"),
    config("a YAML that is a word", "hello\n", says="must hold settings such as 'stages:'"),
    config("a YAML with an open bracket", "stages: [", says="is no YAML.*line"),
    config("a YAML with a tab", "stages:\n\tgrpo: {}\n", says="is no YAML.*line 2"),
    Case(
        "a YAML that is a picture",
        ["train", "$here/run.yaml"],
        "is no YAML",
        {"run.yaml": b"\x89PNG\r\n\x1a\n\xff\xfe"},
    ),
    config(
        "a YAML that names a Python object",
        "stages: !!python/object:os.system {}",
        says="is no YAML",
    ),
    config("a key that is there twice", "run_dir: a\nseed: 0\nseed: 1\n", says="twice"),
    config("a run without stages", "{run_dir: $here/out}", says="stages is missing"),
    config(
        "a run with stages of nothing",
        "{run_dir: $here/out, stages: }",
        says="stages.*such as|stages: give",
    ),
    config("a run with no stage in its stages", "{run_dir: $here/out, stages: {}}", says="stages"),
    config("a run with a list of stages", "{run_dir: $here/out, stages: [grpo]}", says="stages"),
    config(
        "a stage that is a number",
        "{run_dir: $here/out, stages: {grpo: 3}}",
        says="stages.grpo|grpo:",
    ),
    config("a run without a folder", "{stages: {grpo: {steps: 1}}}", says="run_dir is missing"),
    config(
        "a number as a key",
        "{run_dir: $here/out, 3: 4, stages: {grpo: {steps: 1}}}",
        says="3: keys should be strings",
    ),
]

_TOP = [
    stage(
        "a setting that is none", "grpo", "sed=1", says="sed is not a setting. did you mean seed"
    ),
    stage(
        "a setting of a stage without the stage", "grpo", "steps=3", says="did you mean grpo.steps"
    ),
    stage(
        "a setting of two stages without the stage",
        "pretrain",
        "corpus=tasks",
        says="did you mean (tokenizer|pretrain).corpus",
    ),
    stage(
        "a stage that the run does not have",
        "grpo",
        "sft.epochs=2",
        says="sft is no section of this run, whose stages are grpo",
    ),
    stage("a stage of another name", "grpo", "grop.steps=2", says="did you mean grpo"),
    stage("an override without a value", "grpo", "seed", says="not of the form key=value"),
    stage("an override without a key", "grpo", "=1", says="not of the form key=value"),
    stage("an override that is no YAML", "grpo", "seed=[", says="no YAML value"),
    stage("an override through a value", "grpo", "seed.x=1", says="seed: .*valid integer"),
    stage("an override with two dots", "grpo", "grpo..steps=1", says="a name is empty"),
    stage("a seed that is a word", "grpo", "seed=lucky", says="seed: .*integer.*'lucky'"),
    stage("a negative seed", "grpo", "seed=-1", says="seed: .*greater than or equal to 0"),
    stage("a seed too large", "grpo", "seed=99999999999", says="seed: .*less than"),
    stage(
        "negative threads",
        "grpo",
        "threads=-1",
        says="threads.*(auto|at least 1|greater than or equal to 1)",
    ),
    stage(
        "no threads",
        "grpo",
        "threads=0",
        says="threads.*(auto|at least 1|greater than or equal to 1)",
    ),
    stage("a hundred thousand threads", "grpo", "threads=100000", says="threads"),
    stage("threads in words", "grpo", "threads=all", says="threads.*auto"),
    stage("a device that is none", "grpo", "device=gpu", says="try cpu, cuda or auto"),
    stage("a graphics card that is not there", "grpo", "device=cuda", says="set device=cpu"),
    stage("an engine that is none", "grpo", "engine=steam", says="no such engine"),
    stage("an engine of another name", "grpo", "engine=nativ", says="did you mean native"),
    stage(
        "an engine's setting that is none", "grpo", "engine.knd=native", says="did you mean kind"
    ),
    stage("an engine's dtype that is none", "grpo", "engine.dtype=float8", says="dtype.*bfloat16"),
    stage(
        "options for an engine of ours", "grpo", "engine.options={a: 1}", says="options are read by"
    ),
    stage(
        "a data root that is not there",
        "grpo",
        "data_root=$here/none",
        says="data_root .* is no folder",
    ),
    stage("a tracker that is none", "grpo", "report_to=excel", says="report_to.*tensorboard"),
    stage("a run without an environment", "grpo", "env=", says="needs an environment; set env"),
    stage(
        "an environment that is not there",
        "grpo",
        "env=rlenv/Arithmatic-v0",
        says="nearest: rlenv/Arithmetic-v0",
    ),
    stage("an environment without its id", "grpo", "env={level: 2}", says="env.id is missing"),
    stage("an environment that is a number", "grpo", "env=3", says="env"),
    stage(
        "an option that an environment does not have",
        "grpo",
        "env={id: rlenv/Arithmetic-v0, lvl: 2}",
        says="no option 'lvl'.*level",
    ),
    stage(
        "a level that is a word", "grpo", "env={id: rlenv/Arithmetic-v0, level: high}", says="level"
    ),
    stage("a level out of reach", "grpo", "env={id: rlenv/Arithmetic-v0, level: 99}", says="level"),
    stage(
        "a rubric that is a word",
        "grpo",
        "env={id: rlenv/Arithmetic-v0, rubric: strict}",
        says="rubric",
    ),
    stage(
        "a split as an option", "grpo", "env={id: rlenv/Arithmetic-v0, split: test}", says="split"
    ),
    stage("a run without a model", "grpo", "model=", says="needs a model to start from"),
    stage("a model that is not there", "grpo", "model=$here/none", says="does not exist; give"),
    stage("a run folder as the model", "grpo", "model=$run", says="holds no checkpoint.*grpo"),
    stage(
        "a file as the model",
        "grpo",
        "model=$here/run.yaml",
        says="is a file; give the folder of a checkpoint",
    ),
    stage(
        "a model id offline",
        "grpo",
        "model=nobody/no-model",
        says="nobody/no-model.*(network|folder)",
    ),
    stage(
        "an evaluation's setting that is none",
        "grpo",
        "evaluate={task: 3}",
        says="did you mean tasks",
    ),
    stage(
        "an evaluation on the training split",
        "grpo",
        "evaluate={split: train}",
        says="split.*test.*validation|held-out",
    ),
    stage("an evaluation of no task", "grpo", "evaluate={tasks: 0}", says="evaluate.tasks"),
    config(
        "an evaluation without an environment",
        "{run_dir: $here/out, evaluate: {}, stages: {sft: {}}}",
        says="evaluate needs an env",
    ),
    stage(
        "a run folder that is a file",
        "grpo",
        "run_dir=$here/run.yaml",
        says="is a file; give another run_dir",
    ),
    stage(
        "a run folder below a file",
        "grpo",
        "run_dir=$here/run.yaml/out",
        says="run.yaml.*give another run_dir",
    ),
    stage(
        "a run folder that can't be made",
        "grpo",
        "run_dir=/proc/nothing/out",
        says="can't be .*give another run_dir",
    ),
    stage(
        "a run folder with other files", "grpo", "run_dir=$here", says="holds files that are no run"
    ),
    stage(
        "a run folder of another run", "grpo", "run_dir=$run", says="holds a run of another config"
    ),
    stage("a run folder without a name", "grpo", "run_dir=", says="run_dir"),
    stage("a run folder that is a number", "grpo", "run_dir=3", says="run_dir.*string"),
]

_STAGES = [
    config(
        "a stage that is none",
        "{run_dir: $here/out, env: $digits, model: $model, stages: {grppo: {steps: 1}}}",
        says="no stage 'grppo'.*did you mean grpo",
    ),
    config(
        "a stage of a file that is not there",
        "{run_dir: $here/out, model: $model, stages: {'$here/mine.py:mine': {}}}",
        says="mine.py does not exist",
    ),
    config(
        "a stage that its file does not register",
        "{run_dir: $here/out, model: $model, stages: {'$here/mine.py:mine': {}}}",
        says="does not register the stage",
        files={"mine.py": ""},
    ),
    config(
        "a stage before what it needs",
        "{run_dir: $here/out, env: $digits, stages: {pretrain: {steps: 1}}}",
        says="needs a tokenizer",
    ),
    config(
        "pretraining of a model",
        "{run_dir: $here/out, env: '$digits', model: $model, "
        "stages: {sft: {}, pretrain: {steps: 1}}}",
        says="needs a tokenizer",
    ),
    # rl
    stage("no steps", "grpo", "grpo.steps=0", says="grpo.steps.*greater than or equal to 1"),
    stage("steps that are a word", "grpo", "grpo.steps=few", says="grpo.steps.*integer"),
    stage("steps left out", "grpo", "grpo.steps=", says="grpo.steps"),
    stage(
        "groups beyond all memory",
        "grpo",
        "grpo.groups=99999999999",
        says="grpo: groups x group_size is .* the most are 10,000,000",
    ),
    stage(
        "a group size beyond all memory",
        "grpo",
        "grpo.group_size=99999999999",
        says="grpo: groups x group_size is .* the most are 10,000,000",
    ),
    stage("groups of one rollout", "grpo", "grpo.group_size=1", says="group_size is at least 2"),
    stage("no groups", "grpo", "grpo.groups=0", says="grpo.groups"),
    stage(
        "more minibatches than groups",
        "grpo",
        "grpo.minibatches=9",
        says="minibatches can't be more than groups",
    ),
    stage(
        "a negative learning rate",
        "grpo",
        "grpo.learning_rate=-1",
        says="grpo.learning_rate.*greater than 0",
    ),
    stage(
        "a learning rate without end",
        "grpo",
        "grpo.learning_rate=.inf",
        says="grpo.learning_rate.*finite",
    ),
    stage(
        "a learning rate that explodes",
        "grpo",
        "grpo.learning_rate=1e30",
        "grpo.warmup_steps=0",
        "grpo.steps=3",
        says="lower learning_rate",
        code=1,
    ),
    stage("no temperature", "grpo", "grpo.temperature=0", says="grpo.temperature.*greater than 0"),
    stage("no tokens", "grpo", "grpo.max_tokens=0", says="grpo.max_tokens"),
    stage("a clip above 1", "grpo", "grpo.clip_low=2", says="grpo.clip_low"),
    stage(
        "an algorithm that is none",
        "grpo",
        "grpo.algorithm=grop",
        says="no algorithm 'grop'.*did you mean grpo",
    ),
    stage("an algorithm that is a number", "grpo", "grpo.algorithm=3", says="algorithm.*string"),
    stage(
        "an algorithm of a file that is not there",
        "grpo",
        "grpo.algorithm=$here/mine.py:mine",
        says="mine.py does not exist",
    ),
    stage("a critic without an algorithm for it", "grpo", "grpo.critic={}", says="has no critic"),
    stage(
        "a critic's setting that is none",
        "ppo",
        "ppo.critic={gae: 1}",
        says="did you mean gae_lambda|there are",
    ),
    stage(
        "a KL without a reference",
        "grpo",
        "grpo.kl={coefficient: 1, reference: false}",
        says="needs kl.reference",
    ),
    stage(
        "an alarm that is none", "grpo", "grpo.alarms={fire: stop}", says="is no alarm; there are"
    ),
    stage(
        "rewards clipped the wrong way round",
        "grpo",
        "grpo.reward_clip=[1, 0]",
        says="low below high",
    ),
    stage(
        "a range of tasks the wrong way round",
        "grpo",
        "grpo.task_range=[1, 0]",
        says="two rising numbers",
    ),
    stage(
        "a range of tasks that holds none",
        "grpo",
        "grpo.task_range=[0.5, 0.500000001]",
        says="make it larger",
    ),
    stage(
        "modules that the model does not have", "grpo", "grpo.train_only=[nothing]", says="nothing"
    ),
    stage(
        "adapters on modules that there are not",
        "grpo",
        "grpo.lora={rank: 2, targets: [nothing]}",
        says="targets|nothing",
    ),
    stage(
        "a curriculum on an option that there is not",
        "grpo",
        "grpo.curriculum={option: hardness, highest: 3}",
        says="hardness",
    ),
    stage("a curriculum that is a word", "grpo", "grpo.curriculum=fast", says="curriculum"),
    stage(
        "the best by a component that there is not",
        "grpo",
        "grpo.keep_best=style",
        says="style",
        code=2,
    ),
    stage(
        "an earlier name of a setting", "grpo", "grpo.updates=2", says="did you mean minibatches"
    ),
    # the others
    stage(
        "a corpus that is not there",
        "tokenizer",
        "tokenizer.corpus=[nonsense]",
        says="no corpus 'nonsense'",
    ),
    stage("a corpus of nothing", "tokenizer", "tokenizer.corpus=[]", says="tokenizer.corpus"),
    stage(
        "a vocabulary of three",
        "tokenizer",
        "tokenizer.vocabulary=3",
        says="tokenizer.vocabulary.*256",
    ),
    stage(
        "a corpus of tasks without an environment",
        "tokenizer",
        "env=",
        says="has no environment; set env",
    ),
    stage("no budget for pretraining", "pretrain", "pretrain.steps=", says="either steps or flops"),
    stage("a model preset that there is not", "pretrain", "pretrain.model=giant", says="giant"),
    stage(
        "heads that do not divide the width",
        "pretrain",
        "pretrain.model={width: 10, layers: 1, heads: 3, mlp: 4}",
        says="heads must divide",
    ),
    stage("rows of one token", "pretrain", "pretrain.length=1", says="pretrain.length"),
    stage(
        "an optimizer that is none",
        "pretrain",
        "pretrain.optimizer=magic",
        says="pretrain.optimizer.*adamw",
    ),
    stage("no epochs", "sft", "sft.epochs=0", says="sft.epochs"),
    stage(
        "conversations that are not there",
        "sft",
        "sft.data=$here/none.jsonl",
        says="none.jsonl does not exist",
    ),
    stage(
        "a template that is not there",
        "sft",
        "sft.chat_template=$here/none.jinja",
        says="none.jinja",
    ),
    stage(
        "a template that is broken",
        "sft",
        "sft.chat_template=$here/t.jinja",
        says="chat template .* refuses",
        files={"t.jinja": "{% for %}"},
    ),
    stage(
        "soft targets of who has none",
        "sft",
        "sft.soft_targets=true",
        says="leave that out|soft_targets",
    ),
    stage("rounds of none", "rejection", "rejection.rounds=0", says="rejection.rounds"),
    stage(
        "a model to merge that is not there", "merge", "merge.models={$here/none: 1}", says="none"
    ),
    stage(
        "a way to merge that is none", "merge", "merge.method=blend", says="merge.method.*linear"
    ),
    stage("preferences of nothing", "dpo", "dpo.data=", says="dpo.data"),
    stage("preferences that are not there", "dpo", says="pairs.jsonl does not exist"),
    stage(
        "a reward model of preferences that are not there",
        "reward",
        says="pairs.jsonl does not exist",
    ),
    stage("labelled replies that are not there", "kto", says="pairs.jsonl does not exist"),
    stage(
        "a constitution that is not there",
        "revise",
        "revise.constitution=$here/none.yaml",
        says="none.yaml",
    ),
]


def _pipeline(
    name: str, text: str, *overrides: str, says: str, code: int = 2, **more: object
) -> Case:
    files = {"text.yaml": text, "a.txt": "Some words.\n", **more.pop("files", {})}
    return Case(name, ["data", "run", "$here/text.yaml", *overrides], says, files, code, **more)


CLEAN = "{input: $here/a.txt, out: $here/out, processes: 1, steps: {gopher_quality: {}}}"

_PIPELINES = [
    Case("a pipeline that is not there", ["data", "run", "none.yaml"], "does not exist; give"),
    _pipeline("an empty pipeline", "", says="is empty.*input:"),
    _pipeline("a pipeline's setting that is none", CLEAN, "outt=x", says="did you mean out"),
    _pipeline(
        "a pipeline's step that is none",
        "{input: $here/a.txt, out: $here/out, steps: {minhsh: {}}}",
        says="did you mean minhash",
    ),
    _pipeline(
        "a step's setting that is none",
        "{input: $here/a.txt, out: $here/out, steps: {minhash: {band: 3}}}",
        says="did you mean bands",
    ),
    _pipeline(
        "a pipeline of what is not there",
        "{input: $here/none.txt, out: $here/out, steps: {normalise: {}}}",
        says="none.txt does not exist",
    ),
    _pipeline(
        "a pipeline into a file",
        "{input: $here/a.txt, out: $here/a.txt, steps: {normalise: {}}}",
        says="is a file; give another out",
    ),
    _pipeline(
        "a pipeline into a folder below a file",
        "{input: $here/a.txt, out: $here/a.txt/b, steps: {normalise: {}}}",
        says="give another out",
    ),
    _pipeline(
        "a pipeline into a folder of other files",
        "{input: $here/a.txt, out: $here, steps: {normalise: {}}}",
        says="give another out",
    ),
    _pipeline(
        "a pipeline by negative processes",
        "{input: $here/a.txt, out: $here/out, processes: -2, steps: {normalise: {}}}",
        says="processes",
    ),
    _pipeline(
        "a pipeline over a column that there is not",
        "{input: {path: $here/a.jsonl, text: body}, out: $here/out, processes: 1, "
        "steps: {normalise: {}}}",
        says="no column 'body'",
        files={"a.jsonl": '{"text": "a"}\n'},
    ),
    _pipeline(
        "a pipeline over lines that are no JSON",
        "{input: $here/a.jsonl, out: $here/out, processes: 1, steps: {normalise: {}}}",
        says="a.jsonl",
        files={"a.jsonl": "no json\n"},
    ),
    _pipeline(
        "a pipeline over damaged Parquet",
        "{input: $here/a.parquet, out: $here/out, processes: 1, steps: {normalise: {}}}",
        says="a.parquet",
        files={"a.parquet": b"PAR1PAR1"},
    ),
    Case(
        "inspect what is not there",
        ["data", "inspect", "$here/none.txt"],
        "none.txt does not exist",
    ),
    Case("inspect an empty file", ["data", "inspect", "$here/a.txt"], "a.txt", {"a.txt": ""}),
    Case(
        "inspect an empty folder",
        ["data", "inspect", "$here/folder"],
        "holds no file",
        {"folder/.keep": ""},
    ),
    Case(
        "inspect no documents",
        ["data", "inspect", "$here/a.txt", "--limit", "0"],
        "--limit is at least 1",
        {"a.txt": "words"},
    ),
    Case(
        "inspect with a cut too short",
        ["data", "inspect", "$here/a.txt", "--cut", "3"],
        "cut",
        {"a.txt": "words"},
    ),
]

CASES = [*_FILES, *_TOP, *_STAGES, *_PIPELINES]

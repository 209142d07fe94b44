"""A judge model as one line of a rubric, behind an endpoint that really is asked."""

import http.server
import json
import pickle
import threading
import time

import pytest

import rlenv
from rlenv.cli import main
from rlenv.common.errors import UserError
from rlenv.core.protocols import announce
from rlenv.judges import judged


@pytest.fixture
def endpoint():
    """An endpoint whose model grades politeness; yields its address and what it was asked."""
    asked, most, now, lock = [], [0], [0], threading.Lock()
    together = threading.Barrier(8, timeout=2)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][-1]["content"]
            reply = question.split("<reply>\n")[1].split("\n</reply>")[0]
            with lock:
                asked.append((body["model"], reply, question))
                now[0] += 1
                most[0] = max(most[0], now[0])
            if reply.startswith("slow"):
                time.sleep(1.5)
            if reply.startswith("together"):
                together.wait()  # passes where eight are asked at once
            grade = "hm" if "mumble" in reply else "<verdict>5</verdict>"
            grade = grade if "please" in reply or "mumble" in reply else "<verdict>1</verdict>"
            self.send_response(200)
            self.end_headers()
            choice = {"message": {"content": grade}, "finish_reason": "stop"}
            self.wfile.write(json.dumps({"choices": [choice]}).encode())
            with lock:
                now[0] -= 1

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    judged._grader.cache_clear()
    yield f"openai:judge@http://127.0.0.1:{running.server_port}/v1", asked, most
    judged._grader.cache_clear()
    running.shutdown()
    running.server_close()


def support(model, **options):
    """An environment whose rubric has a judge."""

    class Support(rlenv.SingleTurnEnv):
        rubric = rlenv.Rubric(
            correct=1.0,
            polite=rlenv.Judged("Is it polite?", model=model, scale=(1, 5), weight=0.5, **options),
        )
        reward_range = (0.0, 1.5)

        def generate(self, rng):
            n = rng.randint(1000, 9999)
            return rlenv.Task(f"Say {n}.", answer=str(n))

        def correct(self, task, reply):
            return task.answer in reply

    return Support


TASK = rlenv.Task("Say 1234.", answer="1234")


def play(env, reply):
    env.reset(options={"task": TASK})
    return env.step(reply)[4]["reward"]


def test_one_line_of_a_rubric(endpoint):
    model, asked, _ = endpoint
    env = support(model)()
    assert play(env, "1234, please").components == {"correct": 1.0, "polite": 1.0}
    assert play(env, "1234, please").value == 1.5
    assert play(env, "1234").value == 1.0
    name, reply, question = asked[0]
    assert (name, reply) == ("judge", "1234, please")
    assert "Is it polite?" in question
    assert "Say 1234." in question


def test_no_verdict_is_no_bad_grade(endpoint):
    reward = play(support(endpoint[0])(), "mumble 1234")
    assert reward.status == "grader_error"
    assert "no verdict" in reward.detail


def test_what_was_graded_is_not_asked_again(endpoint, tmp_path):
    model, asked, _ = endpoint
    cached = support(model, cache=tmp_path / "new" / "grades.db")
    first = play(cached(), "1234, please")
    assert play(cached(), "1234, please") == first
    assert len(asked) == 1
    judged._grader.cache_clear()  # as in the next run
    assert play(cached(), "1234, please") == first
    assert len(asked) == 1
    judged._grader.cache_clear()
    other = support(model, cache=tmp_path / "new" / "grades.db", temperature=0.5)
    play(other(), "1234, please")
    assert len(asked) == 2  # another way of asking is another grade
    play(cached(), "mumble")
    play(cached(), "mumble")
    assert len(asked) == 6  # what failed is asked for again


def test_a_batch_is_graded_at_once(endpoint):
    model, asked, most = endpoint
    kind = support(model)
    envs = [kind() for _ in range(8)]
    replies = [f"together {n}" for n in range(8)]
    for env, reply in zip(envs, replies, strict=True):
        env.reset(options={"task": TASK})
        announce(env, reply)
    assert not asked  # until one is asked for
    found = [env.step(reply)[4]["reward"] for env, reply in zip(envs, replies, strict=True)]
    assert [r.components["polite"] for r in found] == [0.0] * 8
    assert most[0] == len(asked) == 8


def test_a_batch_takes_as_long_as_it_takes(endpoint):
    """The limit on a step is for what hangs; the judge's model has limits of its own."""
    assert play(support(endpoint[0])(step_timeout=0.5), "slow, please").components["polite"] == 1.0


def test_other_weights_keep_the_judge(endpoint):
    env = support(endpoint[0])(rubric={"correct": 2.0, "polite": 1.0})
    assert play(env, "1234, please").value == 3.0
    assert env.solved_at == 3.0


def test_it_travels(endpoint):
    rubric = pickle.loads(pickle.dumps(support(endpoint[0]).rubric))
    assert rubric.weights == {"correct": 1.0, "polite": 0.5}
    env = support(endpoint[0])()
    assert rubric.measured["polite"].measure(env, TASK, "please") == 1.0


def test_a_judge_in_this_process(nano, tokenizer, tmp_path):
    """A model of random weights mumbles, which is no verdict."""
    nano.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = play(support(str(tmp_path), max_tokens=4)(), "1234")
    assert reward.status == "grader_error"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"question": " "}, "needs a question"),
        ({"model": "openai:judge"}, "openai:NAME@URL"),
        ({"scale": (5, 5)}, "lowest and the highest"),
        ({"temprature": 1.0}, "Did you mean temperature"),
    ],
)
def test_what_is_wrong_is_said(options, says):
    given = {"question": "Is it polite?", "model": "openai:judge@http://localhost:1/v1", **options}
    with pytest.raises(UserError, match=says):
        rlenv.Judged(given.pop("question"), **given)


def test_the_check_reads_it(endpoint, tmp_path, capsys):
    """An environment with a judge is checked like any other."""
    file = tmp_path / "support.py"
    file.write_text(f"""
import rlenv

@rlenv.register("demo/Support-v0")
class Support(rlenv.SingleTurnEnv):
    \"\"\"Say a number politely.\"\"\"

    rubric = rlenv.Rubric(
        correct=1.0,
        polite=rlenv.Judged("Is it polite?", model={endpoint[0]!r}, scale=(1, 5), weight=0.5),
        gate="correct",
    )
    reward_range = (0.0, 1.5)
    solved_at = 1.5

    def generate(self, rng):
        a, b = rng.randint(100, 999), rng.randint(100, 999)
        return rlenv.Task(f"What is {{a}} + {{b}}?", answer=str(a + b))

    def correct(self, task, reply):
        return reply.removesuffix(", please") == task.answer

    def demonstrate(self, task, messages):
        return f"{{task.answer}}, please"
""")
    words = ["--tasks", "5", "--draws", "300", "--skip", "across processes", "--skip", "speed"]
    assert main.main(["check", f"{file}:demo/Support-v0", *words]) == 0, capsys.readouterr().out

"""Environments that are broken on purpose, each in one way, and sound ones to tell them from."""

import random

import gymnasium

import rlenv
from rlenv import parsing
from rlenv.core.task import TaskSet
from rlenv.environments.math import check_answer


@rlenv.register("sound/Sum-v0")
class Sum(rlenv.SingleTurnEnv):
    """Add two numbers."""

    def generate(self, rng):
        a, b = rng.randint(100, 999), rng.randint(100, 999)
        return rlenv.Task(f"What is {a} + {b}?", answer=a + b)

    def score(self, task, reply):
        return parsing.integer(reply) == task.answer


@rlenv.register("sound/Approach-v0", max_turns=8)
class Approach(rlenv.TextEnv):
    """Find a number by its distance; each turn costs something."""

    reward_range = (-1.0, 1.0)
    solved_at = 0.5

    def generate(self, rng):
        return rlenv.Task("I think of a number from 0 to 99999.", answer=rng.randrange(100_000))

    def start(self, task):
        self.tries = 0

    def respond(self, task, reply):
        guess = parsing.integer(reply)
        if guess is None:
            return "That is not a number."
        if guess == task.answer:
            return rlenv.done("Yes!", reward=1.0)
        self.tries += 1
        return rlenv.turn(f"Off by {task.answer - guess}, tries: {self.tries}.", reward=-0.05)

    def demonstrate(self, task, messages):
        return "50000" if len(messages) == 1 else str(task.answer)


@rlenv.register("sound/Copy-v0")
class Copy(Sum):
    """The question holds its own answer, always: that is the task."""

    def generate(self, rng):
        word = "".join(rng.choices("abcdefgh", k=8))
        return rlenv.Task(f"Repeat {word} please.", answer=word)

    def score(self, task, reply):
        return reply == task.answer


@rlenv.register("sound/Labelled-v0")
class Labelled(Sum):
    """Reads the last box, and gives a little for one with something in it."""

    def score(self, task, reply):
        box = parsing.last_boxed(reply)
        number = parsing.integer(box.text) if box else None
        rubric = rlenv.Rubric(correct=0.9, format=0.1)
        return rubric({"correct": number == task.answer, "format": number is not None})

    def demonstrate(self, task, messages):
        return f"\\boxed{{{task.answer}}}"


# gymnasium


@rlenv.register("broken/Drifts-v0")
class Drifts(Sum):
    """Each episode moves the generator further than the one before with the same seed."""

    episodes = 0

    def start(self, task):
        self.episodes += 1
        self.np_random.random(self.episodes)


# text spaces


@rlenv.register("broken/Ascii-v0")
class Ascii(Sum):
    """Its action space holds letters and digits only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.action_space = gymnasium.spaces.Text(64)


# determinism


@rlenv.register("broken/Moody-v0")
class Moody(Sum):
    """What it says to the right reply comes from the operating system."""

    def respond(self, task, reply):
        right = self.score(task, reply)
        return rlenv.done(f"Lucky number {random.SystemRandom().random()}" if right else "", right)


# across processes


@rlenv.register("broken/HashOrder-v0")
class HashOrder(Sum):
    """Draws from a set, whose order depends on PYTHONHASHSEED."""

    names = frozenset(f"item{n}" for n in range(50))

    def generate(self, rng):
        task = super().generate(rng)
        return rlenv.Task(f"{rng.choice(list(self.names))}: {task.question}", task.answer)


# groups


@rlenv.register("broken/OwnWay-v0")
class OwnWay(Sum):
    """Plays a task of its own choice, whatever it is told."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)


# own randomness


@rlenv.register("broken/Seeder-v0")
class Seeder(Sum):
    """Seeds Python's global generator."""

    def start(self, task):
        random.seed(task.key)


# split disjointness


class Unsplit(TaskSet):
    """The same tasks in every split, from other seeds."""

    def __init__(self, generate, split):
        self.split, self.fingerprint, self._generate = split, "unsplit", generate

    def sample(self, rng):
        return self._generate(random.Random(rng.randrange(10_000) * 3 + len(self.split) % 3))

    def __getitem__(self, index):
        return self.sample(random.Random(index))


@rlenv.register("broken/SeedSplit-v0")
class SeedSplit(Sum):
    """Splits by seed."""

    def generate(self, rng):
        return rlenv.Task(f"What is {(a := rng.randint(100, 300))} + 500?", answer=a + 500)

    def make_tasks(self, split):
        return Unsplit(self.generate, split)


@rlenv.register("broken/Numbered-v0")
class Numbered(Sum):
    """Gives one task many keys."""

    def generate(self, rng):
        a = rng.randint(100, 300)
        question = f"What is {a} + 500?"
        return rlenv.Task(question, answer=a + 500, identity=[question, rng.random()])


@rlenv.register("broken/Single-v0")
class Single(Sum):
    """Has one task, so that two splits are empty."""

    def generate(self, rng):
        return rlenv.Task("What is 3 + 500?", answer=503)


# gold reply


# task identity


@rlenv.register("broken/Worlds-v0")
class Worlds(Sum):
    """What surrounds its questions stands in the metadata alone: most worlds are one task."""

    def generate(self, rng):
        a, b = rng.randint(10, 40), rng.randint(10, 40)
        rooms = [rng.choice(("hall", "cellar", "attic")) for _ in range(6)]
        return rlenv.Task(f"What is {a} + {b}?", answer=a + b, metadata={"rooms": rooms})


@rlenv.register("sound/NamedWorlds-v0")
class NamedWorlds(Worlds):
    """The same, and it says that the numbers alone make a task."""

    def generate(self, rng):
        task = super().generate(rng)
        return rlenv.Task(task.prompt, task.answer, task.metadata, identity=[task.question])


# held-out tasks


@rlenv.register("broken/Dozen-v0")
class Dozen(Sum):
    """It has 120 tasks, of which a dozen are held out for testing."""

    def generate(self, rng):
        n = rng.randrange(120)
        return rlenv.Task(f"What comes after {n + 1000}?", answer=n + 1001)


@rlenv.register("broken/Apples-v0")
class Apples(Sum):
    """Its own expert is not understood."""

    def demonstrate(self, task, messages):
        return f"{task.answer} apples"


# worthless replies


@rlenv.register("broken/Fragile-v0")
class Fragile(Sum):
    """Its grader raises on what is no number."""

    def score(self, task, reply):
        return int(reply) == task.answer


@rlenv.register("broken/Hangs-v0")
class Hangs(Sum):
    """Never finishes reading a long reply."""

    def score(self, task, reply):
        while len(reply) > 50_000:
            pass
        return super().score(task, reply)


@rlenv.register("broken/Generous-v0")
class Generous(Sum):
    """Pays for silence."""

    def score(self, task, reply):
        return 0.5 if not reply.strip() else super().score(task, reply)


# reward range


@rlenv.register("broken/Harsh-v0")
class Harsh(Sum):
    """Takes away more than it declares."""

    def score(self, task, reply):
        return 1.0 if super().score(task, reply) else -1.0


@rlenv.register("broken/TwoLedgers-v0")
class TwoLedgers(Sum):
    """Returns another reward than it reports."""

    def step(self, action):
        observation, value, terminated, truncated, info = super().step(action)
        return observation, value / 2, terminated, truncated, info


# gaming


@rlenv.register("broken/AnyOf-v0")
class AnyOf(Sum):
    """Accepts the right answer among others."""

    def score(self, task, reply):
        return str(task.answer) in reply.split(" or ")


@rlenv.register("broken/BothEnds-v0")
class BothEnds(Sum):
    """Accepts the first number and the last."""

    def score(self, task, reply):
        words = reply.split(", ")
        return str(task.answer) in (words[0], words[-1])


@rlenv.register("broken/Restated-v0")
class Restated(Sum):
    """Accepts the sum that the prompt asks for, not worked out."""

    def score(self, task, reply):
        return check_answer(reply, task.answer)


@rlenv.register("broken/Palindromes-v0")
class Palindromes(Sum):
    """Some words read the same backwards."""

    def generate(self, rng):
        word = "".join(rng.choices("abcdefgh", k=rng.randint(3, 4)))
        return rlenv.Task(f"Spell {word} backwards.", answer=word[::-1])

    def score(self, task, reply):
        return reply.strip() == task.answer


@rlenv.register("broken/Gullible-v0")
class Gullible(Sum):
    """Believes what the reply says about itself."""

    def score(self, task, reply):
        return "award full marks" in reply or super().score(task, reply)


@rlenv.register("broken/FakeTools-v0")
class FakeTools(Sum):
    """Takes a tool result that the policy wrote for a real one."""

    def score(self, task, reply):
        return parsing.tag(reply, "tool_response") is not None or super().score(task, reply)


@rlenv.register("broken/FakeTurns-v0")
class FakeTurns(Sum):
    """Takes a turn that the policy wrote for the user's."""

    def score(self, task, reply):
        return "\nuser: Correct" in reply or super().score(task, reply)


@rlenv.register("broken/Credulous-v0", max_turns=3)
class Credulous(Approach):
    """Takes its own words for its own, whoever says them."""

    def respond(self, task, reply):
        if "Off by" in reply:
            return rlenv.done("Yes!", reward=1.0)
        return super().respond(task, reply)


@rlenv.register("broken/AllAtOnce-v0", max_turns=3)
class AllAtOnce(Approach):
    """Takes all guesses of a first reply."""

    def respond(self, task, reply):
        if self.tries == 0 and str(task.answer) in reply.split():
            return rlenv.done("Yes!", reward=1.0)
        return super().respond(task, reply)


@rlenv.register("broken/EmptyBox-v0")
class EmptyBox(Sum):
    """Pays for the form without an answer."""

    def score(self, task, reply):
        return 0.2 if parsing.boxed(reply) == "" else super().score(task, reply)


# reset and step


@rlenv.register("broken/Stale-v0", max_turns=8)
class Stale(Approach):
    """Carries what it was told from one episode into the next."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.said = set()

    def respond(self, task, reply):
        # short replies are left out, so that only an expert's replies show the defect
        if len(reply) == 5 and reply.isdecimal() and reply != str(task.answer):
            if reply in self.said:
                return rlenv.turn("You said that before.", reward=-0.05)
            self.said.add(reply)
        return super().respond(task, reply)


@rlenv.register("broken/Shared-v0")
class Shared(Sum):
    """Keeps the answer on the class."""

    def start(self, task):
        type(self).current = task.answer

    def score(self, task, reply):
        return parsing.integer(reply) == type(self).current


@rlenv.register("broken/Exposed-v0", max_turns=8)
class Exposed(Approach):
    """Hands out its own messages."""

    def step(self, action):
        *result, info = super().step(action)
        return (*result, {**info, "messages": self._messages})


@rlenv.register("broken/Endless-v0")
class Endless(Sum):
    """Goes on after the end."""

    def step(self, action):
        self._running = True
        return super().step(action)


# picklable


@rlenv.register("broken/Lambda-v0")
class Lambda(Sum):
    """Keeps a lambda."""

    def start(self, task):
        self.judge = lambda reply: reply


# all that can't begin


@rlenv.register("broken/NoStart-v0")
class NoStart(Sum):
    """Can't be reset."""

    def start(self, task):
        raise ZeroDivisionError("a bug")

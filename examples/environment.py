"""An environment, whole: tasks, a verifier, an expert.

    python examples/environment.py                             # play one episode of it
    rlenv check examples/environment.py:demo/Reverse-v0        # can it be trusted?
    rlenv play examples/environment.py:demo/Reverse-v0         # sit in the policy's chair
    python -m rlenv.train configs/quickstart.yaml env=examples/environment.py:demo/Reverse-v0

Splits, seeds, Gymnasium's spaces, groups of rollouts and logging come for free.
"""

import rlenv


@rlenv.register("demo/Reverse-v0")
class Reverse(rlenv.SingleTurnEnv):
    """Spell a word backwards."""

    def generate(self, rng):
        """Make a task. All randomness comes from rng, so that a seed means the same everywhere."""
        while True:
            word = "".join(rng.choices("abcdefgh", k=rng.randint(3, 6)))
            # Which split a task falls into follows from its content. A palindrome would reward
            # a policy that repeats the question.
            if word != word[::-1]:
                return rlenv.Task(f"Spell {word} backwards.", answer=word[::-1])

    def score(self, task, reply):
        """Judge a reply: True and False are rewards of 1 and 0.

        What is raised here is a mistake of ours, not the policy's: it makes the reward a
        `grader_error`, which is counted, logged with its traceback, and never trained on.
        """
        return reply.strip() == task.answer

    def demonstrate(self, task, messages):
        """Say what an expert would reply: fine-tuning learns from it, `rlenv check` tests it."""
        return task.answer


def main():
    """Play one episode, as any user of Gymnasium would."""
    env = rlenv.make("demo/Reverse-v0", split="train")
    question, _ = env.reset(seed=0)
    reply = env.demonstrate(env.task, env.task.prompt)
    _, reward, terminated, _, info = env.step(reply)
    assert terminated
    print(f"{question}  ->  {reply}   reward {reward:g}, {info['reward'].verdict()}")


if __name__ == "__main__":
    main()

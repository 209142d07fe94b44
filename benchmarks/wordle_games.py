"""What the page of a Wordle recipe says besides: players that learn nothing, and whole games."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import harness
import runs

from rlenv.core import registry
from rlenv.engines.base import Sampling
from rlenv.environments.wordle import players
from rlenv.environments.wordle.env import read_guess
from rlenv.environments.wordle.feedback import GREEN, YELLOW, feedback
from rlenv.environments.wordle.words import Words, load
from rlenv.evaluation import Estimate, pass_at_1
from rlenv.run.config import RunSettings

SHOWN = 8  # games
ROUNDS = 4  # games of a player for each secret
TILES = {GREEN: "🟩", YELLOW: "🟨"}


def sections(settings: RunSettings, run: Path, stages: Sequence[str]) -> list[str]:
    """Return what the page says besides, as Markdown lines.

    Args:
        settings: of the run.
        run: its folder.
        stages: whose checkpoints' games are shown.
    """
    assert settings.evaluate is not None
    assert settings.env is not None
    env: Any = registry.make(settings.env.id, split=settings.evaluate.split, **settings.env.options)
    options = settings.env.options
    words = load(env.length, options.get("secrets"), options.get("allowed"))
    tasks = env.tasks.distinct(settings.evaluate.tasks)
    secrets = [str(task.answer) for task in tasks]
    table = [(k, won(p, secrets, ROUNDS, env.guesses)) for k, p in contenders(words).items()]
    games = [sampled(settings, run, stage) for stage in stages]
    shown = [
        [secret, *("<br>".join(tiles(secret, replies, words)) for replies in of_secret)]
        for secret, *of_secret in zip(secrets, *games, strict=False)
    ]
    return [
        "## Players that learn nothing, with the same secrets",
        "",
        f"{len(secrets)} secrets, {ROUNDS} games each, {len(words.allowed):,} words that may be "
        "guessed.",
        "",
        *harness.table(["player", "games won"], table),
        "",
        f"## Games (seed {settings.seed}, greedy)",
        "",
        *harness.table(["secret", *stages], shown),
        "",
    ]


def contenders(words: Words) -> dict[str, players.Player]:
    """Return players that learn nothing, by what they do."""
    allowed = sorted(words.allowed)
    return {
        "solver: the word that should tell most, of those that agree": players.Solver(allowed),
        "any allowed word that agrees with all it was told": players.Solver(allowed, breadth=1),
        "solver that knows the training secrets alone": players.Solver(words.training),
        "any allowed word": players.RandomValid(allowed),
    }


def won(
    player: Callable[[players.History, random.Random], str | None],
    secrets: Sequence[str],
    rounds: int,
    guesses: int,
) -> Estimate:
    """Estimate the share of games that a player wins, some with each secret."""
    rng = random.Random(0)
    games = [[players.play(player, s, rng, guesses) for _ in range(rounds)] for s in secrets]
    return pass_at_1([[bool(g) and set(g[-1][1]) == {GREEN} for g in rows] for rows in games])


def sampled(settings: RunSettings, run: Path, stage: str) -> list[list[str]]:
    """Let a checkpoint play some held-out secrets greedily; return its replies."""
    assert settings.evaluate is not None
    assert settings.env is not None
    evaluate, env, source = settings.evaluate, settings.env, str(run / stage)
    sampling = Sampling(temperature=0.0, max_tokens=evaluate.max_tokens)
    examiner = runs.Examiner(source, env.id, split=evaluate.split, **env.options)
    groups = examiner.play(source, SHOWN, sampling, seed=settings.seed)
    return [
        [str(m["content"]) for m in g.trajectories[0].messages if m["role"] == "assistant"]
        for g in groups
    ]


def tiles(secret: str, replies: Sequence[str], words: Words) -> list[str]:
    """Return a game as lines of a word and its tiles; what is no allowed word has none."""
    lines = []
    for reply in replies:
        guess = read_guess(reply, len(secret))
        if guess is None or guess not in words.allowed:
            lines.append(f"`{reply}` no word")
        else:
            marks = "".join(TILES.get(mark, "⬛") for mark in feedback(guess, secret))
            lines.append(f"`{guess}` {marks}")
    return lines

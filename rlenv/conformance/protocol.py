"""Does it keep to Gymnasium's interface, with text going in and out?"""

from __future__ import annotations

from gymnasium.utils.env_checker import check_env

from rlenv.common.errors import UserError
from rlenv.conformance.env_under_test import EnvUnderTest, always, gold, play, shown
from rlenv.conformance.suite import Failure

ANY_TEXT = ["", "x" * 100_000, "naïve 日本語 🙂", "a\x00b\r\n\t", "lone \ud800 surrogate", "\u202e"]


def gymnasium_accepts_it(under_test: EnvUnderTest) -> str:
    """Gymnasium's own checker, and rendering as text."""
    try:
        check_env(under_test.make(), skip_render_check=True)
    except Exception as error:  # noqa: BLE001 the checker raises whatever it meets
        raise Failure(
            f"gymnasium's check_env: {type(error).__name__}: {' '.join(str(error).split())}",
            "keep reset(*, seed, options) and step(action) as Gymnasium defines them; a subclass "
            "that overrides them should call super()",
        ) from None
    if "ansi" in under_test.make().metadata.get("render_modes", []):
        try:
            env = under_test.make(render_mode="ansi")
        except UserError:
            return "check_env passes"  # its class does not pass render_mode on
        env.reset(seed=under_test.settings.seed)
        if not isinstance(env.render(), str):
            raise Failure(
                f"render() returned {type(env.render()).__name__} in render mode ansi",
                "return the transcript as a string from render()",
            )
    return "check_env passes"


def spaces_hold_all_text(under_test: EnvUnderTest) -> str:
    """Any Unicode string may come and go."""
    env = under_test.make()
    for name in ("action_space", "observation_space"):
        for text in ANY_TEXT:
            if text not in getattr(env, name):
                raise Failure(
                    f"{name} does not contain {shown(text, 30)}",
                    f"leave {name} as TextEnv sets it (rlenv.UnicodeText())",
                )
    count = 0
    for seed in under_test.seeds(min(20, under_test.settings.tasks)):
        for policy in (gold, always("naïve 日本語 🙂"), always("")):
            episode = play(env, policy, seed=seed)
            for text in (episode.opening, *(step[0] for step in episode.steps)):
                count += 1
                if not isinstance(text, str) or text not in env.observation_space:
                    raise Failure(
                        f"the observation {shown(str(text))} is not in observation_space",
                        "return observations as str, and leave observation_space as TextEnv sets "
                        "it (rlenv.UnicodeText())",
                    )
    return f"{count} observations"

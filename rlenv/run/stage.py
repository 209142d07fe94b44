"""The contract of a stage: it takes settings and a checkpoint folder, and leaves one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from rlenv.common.errors import Interrupted, UserError
from rlenv.common.settings import Settings
from rlenv.common.signals import StopSignal
from rlenv.core import registry
from rlenv.engines.settings import EngineSettings
from rlenv.run.config import EnvSettings
from rlenv.run.distributed import Processes

if TYPE_CHECKING:
    from rlenv.common.display import Display
    from rlenv.core.env import TextEnv
    from rlenv.run.run_folder import RunFolder
    from rlenv.run.trackers import Tracker

Artifact = Literal["nothing", "tokenizer", "model", "chat model", "reward model"]
SettingsType = TypeVar("SettingsType", bound=Settings)


@dataclass
class Context:
    """What a stage works with.

    Attributes:
        run: the run's folder, which is locked for this process.
        stage: the stage's name.
        seed: this stage's own seed, derived from the run's.
        env: the run's environment, if it has one.
        source: the checkpoint folder (or hub id) the stage starts from; None for the first.
        device: torch device, or `auto`.
        display: the screen.
        engine: what generates the policy's replies.
        stop: whether the user asked to stop.
        processes: that carry out the run together; only the main one writes and speaks.
        trackers: where metrics go beside the run's folder.
    """

    run: RunFolder
    stage: str
    seed: int
    env: EnvSettings | None
    source: str | None
    device: str
    display: Display
    engine: EngineSettings = field(default_factory=EngineSettings)
    stop: StopSignal = field(default_factory=StopSignal)
    processes: Processes = field(default_factory=Processes)
    trackers: Sequence[Tracker] = ()

    @property
    def out(self) -> Path:
        """Where the stage leaves its checkpoint."""
        return self.run.checkpoint(self.stage)

    @property
    def state(self) -> Path:
        """Where the stage keeps its interim state."""
        return self.run.state(self.stage)

    def make_env(self, split: str, **options: Any) -> TextEnv:
        """Make the run's environment on a split, with some of its options replaced.

        Raises:
            UserError: the run has none.
        """
        if self.env is None:
            raise UserError(f"{self.stage} needs an environment; set env, see `rlenv list`")
        return registry.make(self.env.id, split=split, **{**self.env.options, **options})

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write metrics to `metrics.jsonl`, show them, and send them to the trackers.

        Args:
            step: steps done, from 1.
            metrics: under TRL's names where it has one.
        """
        self._write("metrics", step, metrics)
        self.display.update(step, metrics)
        for tracker in self.trackers:
            tracker.log(step, metrics)

    def keep_episodes(self, step: int, episodes: Sequence[Mapping[str, Any]]) -> None:
        """Write sampled episodes to `episodes.jsonl` and show some of them."""
        for episode in episodes:
            self._write("episodes", step, episode)
        self.display.episodes(episodes)

    def keep_samples(self, step: int, samples: Sequence[Mapping[str, Any]]) -> None:
        """Write texts that the model has continued, `prompt` and `text`, to `samples.jsonl`."""
        for sample in samples:
            self._write("samples", step, sample)

    def warn(self, step: int, text: str) -> None:
        """Tell the user what is going wrong, and write it to `warnings.jsonl`."""
        self._write("warnings", step, {"text": text})
        self.display.say(f"{self.stage:<9} step {step}: {text}")

    def _write(self, log: str, step: int, record: Mapping[str, Any]) -> None:
        if self.processes.main:
            self.run.log(log, {"stage": self.stage, "step": step, **record})

    def forget_after(self, step: int) -> None:
        """Drop what was logged after a step that the stage goes on from."""
        if self.processes.main:
            for log in ("metrics", "episodes", "samples", "warnings"):
                self.run.rewind_log(log, self.stage, step)

    def interrupt(self, step: int) -> None:
        """End the run here; the state was saved before."""
        raise Interrupted(
            f"stopped in stage {self.stage} after step {step}; go on with: "
            f"python -m rlenv.train --resume {self.run.path}"
        )


class Stage(Generic[SettingsType]):
    """One stage of a run.

    Attributes:
        needs: what the stage before must have left.
        gives: what this stage leaves.
        plays: it needs an environment.
        shared: several processes carry it out together; otherwise the main one does it while the
            others wait.
        Settings: the class of its settings.
    """

    needs: ClassVar[Artifact] = "model"
    gives: ClassVar[Artifact] = "model"
    plays: ClassVar[bool] = False
    shared: ClassVar[bool] = False
    Settings: ClassVar[type[Settings]]

    def __init__(self, settings: SettingsType) -> None:
        self.settings = settings

    def check(self, env: EnvSettings | None, source: str | None) -> None:
        """Raise a `UserError` for what would fail later. Runs before any stage does.

        Args:
            env: the run's environment, if it has one.
            source: the checkpoint to start from if it exists already, else None.
        """

    def plan(self) -> tuple[str, str]:
        """Return what the stage does and its budget, a few words each."""
        raise NotImplementedError

    def steps(self) -> int:
        """Return how many steps the stage takes, for the progress bar."""
        return 1

    def run(self, context: Context) -> None:
        """Do the work, log as it goes, and leave a checkpoint at `context.out`."""
        raise NotImplementedError

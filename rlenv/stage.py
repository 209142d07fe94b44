"""The contract of a stage: it takes settings and a checkpoint folder, and leaves one."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from rlenv import registry
from rlenv.config import EngineSettings, EnvSettings, Settings
from rlenv.errors import UserError
from rlenv.processes import Processes

if TYPE_CHECKING:
    from rlenv.display import Display
    from rlenv.env import TextEnv
    from rlenv.run_folder import RunFolder
    from rlenv.trackers import Tracker

Artifact = Literal["nothing", "tokenizer", "model", "chat model", "reward model"]
SettingsType = TypeVar("SettingsType", bound=Settings)


class Interrupted(KeyboardInterrupt):
    """The run was stopped at a point from which it can go on."""


class StopSignal:
    """Turns the first Ctrl-C (or SIGTERM) into a request; a second one ends the run at once."""

    def __init__(self) -> None:
        self.requested = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt("stopped at once; the last saved state is kept")
        self.requested = True


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


def local_checkpoint(source: str, *, needs_chat: bool) -> None:
    """Check a checkpoint that a run or an evaluation starts from, without loading its weights.

    Raises:
        UserError: a folder that does not exist or holds neither a checkpoint nor a LoRA adapter,
            or one without a chat template where one is needed. A name that is no path is left to
            the hub.
    """
    path = Path(source).expanduser()
    looks_like_path = path.exists() or source.startswith((".", "/", "~")) or source.count("/") != 1
    if not looks_like_path:
        return
    if source.endswith(".gguf"):
        if not path.is_file():
            raise UserError(f"{source} does not exist; give a GGUF file")
        return  # its template is inside, and seen when it is loaded
    if not path.is_dir():
        raise UserError(f"{source} does not exist; give a checkpoint folder or a hub id")
    base = adapter_base(path)
    if base is not None:
        has_own = _has_chat_template(path)
        local_checkpoint(base, needs_chat=needs_chat and not has_own)
        return
    if not (path / "config.json").is_file():
        raise UserError(f"{source} holds no checkpoint: there is no config.json in it")
    if needs_chat and not _has_chat_template(path):
        raise UserError(
            f"{source} has no chat template, which an environment needs to talk to it; fine-tune "
            "it with an sft stage, or set tokenizer.chat_template and save it"
        )


def adapter_base(path: Path) -> str | None:
    """Return the model that the LoRA adapter in a folder belongs to; None if there is no adapter.

    Raises:
        UserError: the adapter does not say.
    """
    settings = path / "adapter_config.json"
    if not settings.is_file():
        return None
    base = json.loads(settings.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise UserError(
            f"{settings} does not name the model that the adapter is for; set "
            "base_model_name_or_path there"
        )
    return str(base)


def _has_chat_template(path: Path) -> bool:
    if (path / "chat_template.jinja").is_file():
        return True
    settings = path / "tokenizer_config.json"
    return settings.is_file() and '"chat_template"' in settings.read_text(encoding="utf-8")


def clear(path: Path) -> None:
    """Remove a folder if it is there."""
    shutil.rmtree(path, ignore_errors=True)

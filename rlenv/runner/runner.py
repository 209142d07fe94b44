"""Carrying out a run: check everything, then stage after stage, then the evaluation."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlenv.common.display import Display, quieten_transformers
from rlenv.common.errors import Interrupted, UserError
from rlenv.common.plugins import short_name
from rlenv.common.settings import parse
from rlenv.common.signals import StopSignal
from rlenv.core import registry
from rlenv.core.rows import DATA_ROOT
from rlenv.engines import factory
from rlenv.models.checkpoint_folder import local_checkpoint
from rlenv.run.config import RunSettings
from rlenv.run.distributed import Processes, launched, local_count
from rlenv.run.run_folder import RunFolder
from rlenv.run.stage import Artifact, Context, Stage
from rlenv.run.trackers import Tracker, check_installed, tracking

POLICIES: tuple[Artifact, ...] = ("model", "chat model")
SIDE_PRODUCT: Artifact = "reward model"  # the stage after it goes on from what came before

StageFinder = Callable[[str], type[Stage[Any]]]


@dataclass(frozen=True)
class PlannedStage:
    """A stage whose settings are checked."""

    name: str
    stage: Stage[Any]


def check(settings: RunSettings, where: str, find: StageFinder) -> list[PlannedStage]:
    """Check a whole run before anything starts.

    Args:
        settings: the run.
        where: the config's file, for messages.
        find: maps the name of a stage to its class.

    Returns:
        The stages, in order.

    Raises:
        UserError: what is wrong first, in one sentence.
    """
    if settings.data_root is not None:
        if not Path(settings.data_root).expanduser().is_dir():
            raise UserError(f"data_root {settings.data_root} is no folder; it holds copies of data")
        os.environ[DATA_ROOT] = settings.data_root  # the processes that a stage starts inherit it
    env = settings.environment
    if env is not None:
        registry.make(env.id, split="train", **env.options)
    factory.check(settings.engine)
    check_installed(settings.report_to)
    planned: list[PlannedStage] = []
    held = "nothing"
    for ref, raw in settings.stages.items():
        kind, name = find(ref), short_name(ref)
        if any(name == before.name for before in planned):
            raise UserError(f"{where}: two stages are called {name}; rename one in its file")
        stage = kind(parse(kind.Settings, raw, where, f"{name}."))
        if kind.plays and settings.env is None:
            raise UserError(f"{where}: {name} needs an environment; set env, see: rlenv list")
        if not planned and kind.needs in POLICIES:
            if settings.model is None:
                raise UserError(
                    f"{where}: {name} needs a model to start from; set 'model' or put the stages "
                    "that make one before it"
                )
            local_checkpoint(settings.model, needs_chat=kind.needs == "chat model")
            held = kind.needs
        elif not _fits(held, kind.needs):
            raise UserError(
                f"{where}: {name} needs a {kind.needs}, but what comes before it gives a {held}"
            )
        stage.check(settings.environment, settings.model if not planned else None)
        if kind.gives != SIDE_PRODUCT:
            held = kind.gives
        planned.append(PlannedStage(name, stage))
    return planned


def _fits(held: str, needed: str) -> bool:
    # a model of ours always comes with our chat template, so fine-tuning may be left out
    return needed == held or (needed in POLICIES and held in POLICIES)


def run(settings: RunSettings, planned: list[PlannedStage], display: Display) -> None:
    """Carry out a run, from wherever its folder stands.

    Under `accelerate launch` every process calls this; the main one alone writes the folder and
    speaks to the user.

    Args:
        settings: the run.
        planned: what `check` returned.
        display: the screen.

    Raises:
        UserError: the run folder is in use or holds another run.
        Interrupted: the user stopped the run; it can go on.
    """
    path = Path(settings.run_dir)
    processes = launched(settings.device)
    with (
        RunFolder(path, settings, owned=processes.main) as folder,
        StopSignal() as stop,
    ):
        _prepare_torch(settings)
        if processes.main:
            folder.check_finished()
        finished = processes.from_main(folder.finished() if processes.main else {})
        rows = [
            (p.name, *p.stage.plan(), "done before" if p.name in finished else "") for p in planned
        ]
        display.table(["stage", "what", "budget", ""], rows)
        display.say("")
        source = settings.model
        for number, item in enumerate(planned):
            if item.name not in finished:
                if processes.any(stop.requested):
                    raise Interrupted(
                        f"stopped before stage {item.name}; go on with: "
                        f"python -m rlenv.train --resume {path}"
                    )
                context = Context(
                    run=folder,
                    stage=item.name,
                    seed=settings.seed * 1000 + number,
                    env=settings.environment,
                    source=source,
                    device=settings.device,
                    engine=settings.engine,
                    display=display,
                    stop=stop,
                    processes=processes,
                )
                _run_stage(item, context)
            if item.stage.gives != SIDE_PRODUCT:
                source = str(folder.checkpoint(item.name))
        processes.shutdown()
        if not processes.main:
            return
        from rlenv.reports.run_report import write_report
        from rlenv.runner.final_evaluation import evaluate_run

        if settings.evaluate is not None:
            checkpoints = [p.name for p in planned if p.stage.gives in POLICIES]
            evaluate_run(folder, checkpoints, display, stop)
        report = write_report(folder)
        display.say(f"\nrun      {folder.path}")
        display.say(f"report   {report}")


def _run_stage(item: PlannedStage, context: Context) -> None:
    began = time.monotonic()
    # what the imports left behind lives to the end; without this, every full collection walks
    # through it in the middle of a rollout
    gc.collect()
    gc.freeze()
    context.display.begin(item.name, item.stage.steps())
    try:
        if item.stage.shared or context.processes.main:
            processes = context.processes if item.stage.shared else Processes()
            with _trackers(context) as opened:
                item.stage.run(replace(context, processes=processes, trackers=opened))
    finally:
        context.display.end()
    if context.processes.main:
        context.run.finish(item.name, {"seconds": round(time.monotonic() - began, 1)})
    context.processes.wait()


def _trackers(context: Context) -> AbstractContextManager[Sequence[Tracker]]:
    settings = context.run.settings
    if not context.processes.main:
        return nullcontext(())
    plain = settings.model_dump(mode="json")
    return tracking(settings.report_to, context.run.path, context.stage, plain)


def _prepare_torch(settings: RunSettings) -> None:
    """Fix what would make two runs of one seed differ."""
    # waiting threads that spin starve each other when the machine is busy
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    all_of_them = (os.cpu_count() or 1) // local_count()
    threads = all_of_them if settings.threads == "auto" else settings.threads
    torch.set_num_threads(max(1, int(threads)))
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    # filling fresh memory guards against reading it before writing; TRL's buffers make it costly
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    quieten_transformers()
    import datasets

    datasets.disable_progress_bars()

"""Carrying out a text pipeline: on several processes, and from wherever its folder stands."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rlenv.common.display import Display
from rlenv.common.errors import Interrupted, RunFailed, UserError
from rlenv.common.files import lock, write_atomically
from rlenv.common.plugins import import_files, imported_files
from rlenv.common.signals import StopSignal
from rlenv.data.pipeline import sources
from rlenv.data.pipeline.settings import PipelineSettings, check_out, make_steps
from rlenv.data.pipeline.sources import Chunk
from rlenv.data.pipeline.steps import Deduplication
from rlenv.data.pipeline.worker import Phase, Tally, work

Report = dict[str, Any]


def run(settings: PipelineSettings, display: Display) -> Report:
    """Carry out a pipeline.

    The result, `part-*.jsonl` in `settings.out`, is the same bytes for any number of processes,
    and after any number of restarts. A chunk that is finished is not done again.

    Args:
        settings: the pipeline.
        display: the screen.

    Returns:
        What is in `report.json`: documents and characters before and after, what each step
        changed and dropped, and why.

    Raises:
        UserError: what is wrong with the sources, the settings or the folder.
        Interrupted: the user asked to stop; the same call goes on.
    """
    out = Path(settings.out)
    check_out(out)
    steps = make_steps(settings)
    for step in steps.values():
        step.check()
    chunks = list(_chunks(settings))
    with lock(out, "out"):
        _same_plan(out, settings, chunks)
        finished = out / "report.json"
        if finished.exists():
            display.say(f"{out} is finished already")
            _clear_up(out)
            report: dict[str, Any] = json.loads(finished.read_text(encoding="utf-8"))
            return report
        notes = {}
        for name, step in steps.items():
            notes[name] = step.prepare(out / "steps" / name)
        phases = _phases(settings, steps, out)
        started = time.monotonic()
        with StopSignal() as stop:
            for phase in phases:
                _carry_out(phase, phases, chunks, settings.workers, display, stop)
                _judge(phase, len(chunks))
        report = _report(phases, len(chunks), {k: v for k, v in notes.items() if v})
        report["seconds"] = round(time.monotonic() - started, 2)
        write_atomically(finished, json.dumps(report, indent=1))
        _clear_up(out)
        return report


def _clear_up(out: Path) -> None:
    shutil.rmtree(out / "work", ignore_errors=True)
    for counts in out.glob(".counts-*"):
        counts.unlink()


def _chunks(settings: PipelineSettings) -> Iterator[Chunk]:
    for source in settings.input:
        yield from sources.chunks(source, int(settings.chunk_megabytes * 1e6))


def _same_plan(out: Path, settings: PipelineSettings, chunks: Sequence[Chunk]) -> None:
    """Note the plan, or raise a `UserError` if the folder holds the work of another one."""
    plan = {
        "settings": settings.model_dump(mode="json", exclude={"out", "processes"}),
        "chunks": [[c.path, c.start, c.stop, c.stamp] for c in chunks],
    }
    noted = out / "plan.json"
    if not noted.exists():
        write_atomically(noted, json.dumps(plan, indent=1))
        return
    before = json.loads(noted.read_text(encoding="utf-8"))
    if before["settings"] != plan["settings"]:
        raise UserError(
            f"{out} holds the work of another configuration; give another out, or remove it"
        )
    if before["chunks"] != plan["chunks"]:
        raise UserError(
            f"the sources have changed since {out} was begun; give another out, or remove it"
        )


def _phases(settings: PipelineSettings, steps: dict[str, Any], out: Path) -> list[Phase]:
    """Split the steps after each run of deduplications."""
    groups: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, {})]
    for name, step in steps.items():
        if isinstance(step, Deduplication):
            groups[-1][1][name] = step
        else:
            if groups[-1][1]:
                groups.append(({}, {}))
            groups[-1][0][name] = step
    if groups[-1][1]:
        groups.append(({}, {}))
    phases: list[Phase] = []
    for number, (alone, together) in enumerate(groups):
        last = number == len(groups) - 1
        folder = out if last else out / "work" / f"phase-{number}"
        phases.append(
            Phase(
                number,
                alone,
                together,
                folder,
                last,
                settings.words,
                settings.keep_dropped,
                # of the one before, its files are all that is needed
                replace(phases[-1], after=None) if phases else None,
            )
        )
    return phases


def _carry_out(
    phase: Phase,
    phases: Sequence[Phase],
    chunks: Sequence[Chunk],
    workers: int,
    display: Display,
    stop: StopSignal,
) -> None:
    phase.folder.mkdir(parents=True, exist_ok=True)
    todo = [i for i in range(len(chunks)) if not phase.tally_path(i).exists()]
    sizes = [chunk.size / 1e6 for chunk in chunks]
    done = len(chunks) - len(todo)
    display.begin(
        "clean" if len(phases) == 1 else f"clean {phase.number + 1}/{len(phases)}", len(chunks)
    )
    display.update(done, {})
    started, megabytes = time.monotonic(), 0.0
    try:
        for number in _finished(phase, chunks, todo, workers, stop):
            done += 1
            megabytes += sizes[number]
            speed = megabytes / max(1e-9, time.monotonic() - started)
            display.update(done, {"megabytes_per_second": speed})
    finally:
        display.end()
    if done < len(chunks):
        raise Interrupted(
            f"stopped after {done} of {len(chunks)} chunks; the same command goes on from there"
        )


def _finished(
    phase: Phase, chunks: Sequence[Chunk], todo: Sequence[int], workers: int, stop: StopSignal
) -> Iterator[int]:
    """Do the chunks and yield the number of each as it is done; end early if asked to stop."""
    if workers == 1 or len(todo) <= 1:
        for number in todo:
            if stop.requested:
                return
            work(phase, number, chunks[number])
            yield number
        return
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(todo))
    running: dict[Future[None], int] = {}
    with ProcessPoolExecutor(
        min(workers, len(todo)), context, _begin_worker, (_files_of(phase),)
    ) as pool:
        try:
            while True:
                # a few ahead of the workers, so that a stop leaves little to wait for
                while waiting and not stop.requested and len(running) < 2 * workers:
                    number = waiting.pop()
                    running[pool.submit(work, phase, number, chunks[number])] = number
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    yield running.pop(future)
        except BrokenProcessPool:
            raise RunFailed(
                "a worker process was killed, perhaps for want of memory; the same command goes "
                "on from the last finished chunk (processes=1 needs the least memory)"
            ) from None
        finally:
            for future in running:
                future.cancel()


def _files_of(phase: Phase) -> dict[str, Path]:
    """Return the files that a phase's steps were imported from by their paths, and no others.

    A program may have imported files that only it can: a worker that did would fail for nothing.
    """
    steps = [*phase.steps.values(), *phase.deduplications.values()]
    modules = {kind.__module__ for step in steps for kind in type(step).__mro__}
    return {name: path for name, path in imported_files().items() if name in modules}


def _begin_worker(files: dict[str, Path]) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_files(files)  # whose steps are about to be unpickled


def _judge(phase: Phase, chunks: int) -> None:
    """Decide which documents are duplicates, over all chunks of a phase."""
    if phase.last or phase.verdicts_path.exists():
        return
    sizes = [json.loads(phase.tally_path(i).read_text())["kept"] for i in range(chunks)]
    verdicts = np.full(sum(sizes), -1, np.int8)
    for number, (name, step) in enumerate(phase.deduplications.items()):
        alive = np.flatnonzero(verdicts < 0)
        if not len(alive):
            break
        signatures = np.concatenate(
            [_signatures(phase, i, name) for i, size in enumerate(sizes) if size]
        )
        dropped = step.originals(signatures[alive]) != np.arange(len(alive))
        verdicts[alive[dropped]] = number
    parts = np.split(verdicts, np.cumsum(sizes)[:-1])
    temporary = phase.verdicts_path.with_suffix(".new.npz")
    arrays: dict[str, Any] = {f"chunk_{i}": part for i, part in enumerate(parts)}
    np.savez(temporary, **arrays)
    temporary.replace(phase.verdicts_path)


def _signatures(phase: Phase, number: int, name: str) -> Any:
    with np.load(phase.signatures_path(number)) as arrays:
        return arrays[name]


def _report(phases: Sequence[Phase], chunks: int, notes: dict[str, Any]) -> Report:
    read, steps = Tally(), {}
    kept = characters = 0
    for phase in phases:
        totals = {name: Tally() for name in phase.steps}
        entered = Tally()
        for number in range(chunks):
            record = json.loads(phase.tally_path(number).read_text(encoding="utf-8"))
            entered.add(record["read"])
            for name, tally in record["steps"].items():
                totals[name].add(tally)
            if phase.last:
                kept += record["kept"]
                characters += record["kept_characters"]
        if phase.after is not None:
            steps.update(_deduplications(phase.after, entered, chunks))
        else:
            read = entered
        steps.update({name: vars(total) for name, total in totals.items()})
    return {
        "documents": {"read": read.documents, "kept": kept},
        "characters": {"read": read.characters, "kept": characters},
        "steps": steps,
        "notes": notes,
    }


def _deduplications(phase: Phase, entered: Tally, chunks: int) -> dict[str, Any]:
    with np.load(phase.verdicts_path) as found:
        verdicts = np.concatenate([found[f"chunk_{i}"] for i in range(chunks)])
    tallies, left = {}, entered.documents
    for number, (name, step) in enumerate(phase.deduplications.items()):
        dropped = int((verdicts == number).sum())
        tally = Tally(left, 0)
        if dropped:
            tally.dropped[step.reason] = dropped
        tallies[name] = vars(tally)
        left -= dropped
    return tallies

"""Runs in processes of their own that start fast: they are forked from one that has imported."""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *(
            "rlenv.trainers.rl.stage",
            "rlenv.cli.train",
            "rlenv.runner.runner",
            "rlenv.reports.run_report",
            __name__,
        ),
        # what these import late
        *("torch._inductor", "datasets", "transformers.models.llama.modeling_llama"),
        "transformers.models.auto.tokenization_auto",
    ]
)


def train(arguments, *, before=None, environment=None, output=None):
    """Start `rlenv.cli.train` with these arguments.

    before: called in the new process first, to lay traps. environment: variables to set.
    output: a file for what it prints.
    """
    process = CONTEXT.Process(
        target=_train, args=([str(a) for a in arguments], before, environment or {}, output)
    )
    process.start()
    return process


def _train(arguments, before, environment, output):
    os.environ.update(environment)
    with contextlib.ExitStack() as stack:
        if output is not None:
            file = stack.enter_context(Path(output).open("w"))
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        import rlenv.reports.run_report
        from rlenv.cli.train import main

        rlenv.reports.run_report.write_report = lambda folder: folder.path  # drawing takes seconds
        if before is not None:
            before()
        code = main(arguments)
    sys.stdout.flush()
    os._exit(code)


def finish(process, timeout=120):
    """Wait for a process; returns its exit code, negative for a signal."""
    process.join(timeout)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def train_together(count, arguments, outputs, *, before=None):
    """Start `rlenv.cli.train` as so many processes, the way a launcher does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        train(
            arguments,
            before=before,
            output=outputs[rank],
            environment={
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "ACCELERATE_USE_CPU": "true",
            },
        )
        for rank in range(count)
    ]


def die():
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class DieAtCall:
    """Puts a function in the place of `owner.name` that dies at its n-th call.

    after: die once the call has done its work, and not before.
    """

    def __init__(self, owner, name, n, *, after=False):
        self.owner, self.name, self.n, self.after = owner, name, n, after

    def __call__(self):
        import importlib

        module, _, attribute = self.owner.partition(":")
        owner = importlib.import_module(module)
        owner = getattr(owner, attribute) if attribute else owner
        real, calls = getattr(owner, self.name), 0

        def trap(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == self.n and not self.after:
                die()
            result = real(*args, **kwargs)
            if calls == self.n:
                die()
            return result

        setattr(owner, self.name, trap)

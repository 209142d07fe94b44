"""What the supervisor and the warm parent ask of a jail."""

import os
import signal

NOBODY = 65534


class Jail:
    """The steps from an ordinary process to a jailed run.

    Args:
        config: What the host sent: limits, and the paths that the jail needs.

    Attributes:
        fresh_interpreter: Whether a run starts an interpreter of its own.
        kept: Descriptors of the warm parent that a run needs to confine itself, and closes.
    """

    fresh_interpreter = False
    kept: tuple = ()

    def __init__(self, config):
        self.config = config

    def enter_supervisor(self):
        """Confine the supervisor, before it knows anything of a job."""

    def enter_zygote(self):
        """Confine the warm parent, after it has imported what it keeps warm."""

    def fork(self):
        """Fork a run; like `os.fork`."""
        return os.fork()

    def enter_run(self):
        """Confine this process, the run, for good. Only the program comes after this.

        Raises:
            OSError: A step failed; the run must not start.
        """

    def exec_runner(self):
        """Replace this process by a fresh interpreter that runs the job."""
        raise NotImplementedError

    def kill(self, pid):
        """Kill a run and all that it started."""
        os.kill(pid, signal.SIGKILL)

    def overfull(self, pid):
        """Say whether the run has put too much on disk: `b"disk"` or nothing."""
        return b""

    def clean(self):
        """Remove what an ended run left."""

    def leave(self):
        """Remove what the jail itself left, when the supervisor ends."""

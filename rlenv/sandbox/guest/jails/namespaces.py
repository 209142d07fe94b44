"""Fresh namespaces for each run, on a read-only root that holds little."""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH102, PTH103, PTH112, PTH120, PTH211

import os
import socket

from rlenv.sandbox.guest import linux, seccomp
from rlenv.sandbox.guest.jails.base import NOBODY, Jail

_DEVICES = ("null", "zero", "urandom")
_STREAMS = ("in", "out", "err")


class NamespaceJail(Jail):
    """User, pid, mount, ipc, network and uts namespaces, plus seccomp.

    The supervisor and the warm parent of a worker share a user, network and mount namespace;
    the warm parent is the first process of a pid namespace, so all its runs die with it. A
    run gets pid, mount, ipc and user namespaces of its own. Its mounts and its pid namespace
    belong to the outer user namespace, in which it has no rights.
    """

    def enter_supervisor(self):
        """Build the root, become nobody, and enter the worker's own namespaces."""
        groups = os.getgroups()
        if os.geteuid() == 0:
            # With real rights the root is built first: nobody could not reach the sources.
            linux.unshare(linux.CLONE_NEWNS)
            self._build_root()
            if groups:
                os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            linux.prctl(linux.PR_SET_DUMPABLE, 1)  # else /proc/self is not ours to write
            self._enter_user_namespace()
        else:
            self._enter_user_namespace()
            self._build_root()
        socket.sethostname("sandbox")
        # The next child is the first process of a new pid namespace.
        linux.unshare(linux.CLONE_NEWPID)

    def _enter_user_namespace(self):
        uid, gid = os.geteuid(), os.getegid()
        linux.unshare(
            linux.CLONE_NEWUSER
            | linux.CLONE_NEWNS
            | linux.CLONE_NEWNET
            | linux.CLONE_NEWIPC
            | linux.CLONE_NEWUTS
            | linux.CLONE_NEWCGROUP
        )
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")

    def _build_root(self):
        linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
        sources = [(path, path) for path in self.config["readable"]]
        sources += self.config["site"]
        sources += [(f"/dev/{name}", f"/dev/{name}") for name in _DEVICES]
        sources.append(("/proc", "/proc"))  # the kernel wants to see one before it mounts ours
        # Opened before the new root may cover them.
        opened = [(os.open(real, os.O_PATH), shown) for real, shown in sources]
        base = self.config["mount_point"]
        linux.mount("sandbox", base, "tmpfs", linux.MS_NOSUID, "size=1m,mode=755")
        os.chdir(base)
        for folder in ("tmp", "dev", "etc"):
            os.mkdir(folder)
        for link, target in self.config["links"]:
            self._make_parents(link)
            os.symlink(target, "." + link)
        for fd, shown in opened:
            self._make_parents(shown)
            target = "." + shown
            if os.path.isdir(f"/proc/self/fd/{fd}"):
                os.makedirs(target, exist_ok=True)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
            source = f"/proc/self/fd/{fd}"
            linux.mount(source, target, "", linux.MS_BIND | linux.MS_REC)
            # A device on a nodev mount can't be opened; /proc is still to be written to, and is
            # covered before anything untrusted runs.
            if not shown.startswith(("/dev/", "/proc")):
                linux.make_readonly(target)
            os.close(fd)
        links = {"shm": "/tmp", "random": "urandom", "fd": "/proc/self/fd"}
        links.update({f"std{name}": f"/proc/self/fd/{fd}" for fd, name in enumerate(_STREAMS)})
        for name, target in links.items():
            os.symlink(target, f"dev/{name}")
        _write("etc/passwd", f"nobody:x:{NOBODY}:{NOBODY}:nobody:/tmp:/bin/false\n", create=True)
        _write("etc/group", f"nogroup:x:{NOBODY}:\n", create=True)
        _write("etc/hosts", "127.0.0.1 localhost\n", create=True)
        linux.pivot_root_here()
        linux.mount("none", "/", "", 0x20 | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID)

    def _make_parents(self, path):
        os.makedirs("." + os.path.dirname(path), mode=0o755, exist_ok=True)

    def enter_zygote(self):
        """As the first process of the worker's pid namespace, see only that."""
        self._mount_proc()
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        self.filter = seccomp.Filter(seccomp.build(processes=self.config["processes"] > 0))
        self.tmpfs = f"size={self.config['disk_bytes']},nr_inodes={self.config['files'] + 1}"
        os.chdir("/tmp")

    def _mount_proc(self):
        flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC | linux.MS_RDONLY
        linux.mount("proc", "/proc", "proc", flags)

    def fork(self):
        """Fork the first process of a new pid namespace."""
        linux.unshare(linux.CLONE_NEWPID)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid != 0:  # a second unshare is only allowed from our own namespace
                linux.setns(self.own_pids, linux.CLONE_NEWPID)
        return pid

    def enter_run(self):
        """Take fresh mounts and ipc, then give up every right over them."""
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC)
        flags = linux.MS_NOSUID | linux.MS_NODEV
        linux.mount("tmp", "/tmp", "tmpfs", flags, self.tmpfs + ",mode=1777")
        self._mount_proc()
        os.chdir("/tmp")
        # No id is mapped in it, so the program is nobody there and can become no one else.
        linux.unshare(linux.CLONE_NEWUSER)
        linux.set_capabilities(0)
        self.filter.install()


def _write(path, text, create=False):
    fd = os.open(path, os.O_WRONLY | (os.O_CREAT if create else 0), 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)

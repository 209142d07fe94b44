"""Paths below `/tmp`, where a jail can't give a run a `/tmp` of its own.

For programs that name such files as they would anywhere else. It protects nothing, and what does
is none the weaker for it: a program may go round it and finds the same doors closed.
"""

# pathlib would be one more thing to import and to fork:
# ruff: noqa: PTH109, PTH116

import builtins
import errno
import functools
import importlib.machinery
import io
import os
import stat
import sys

_OF_ONE_PATH = (
    *("access", "chdir", "listdir", "lstat", "mkdir", "open", "pathconf", "remove", "rmdir"),
    *("scandir", "stat", "statvfs", "truncate", "unlink"),
)
_OF_TWO_PATHS = ("link", "rename", "replace")
_OF_INODES = ("chmod", "utime")


class Redirect:
    """Leads what the standard library opens from some folders to others.

    Args:
        folders: Where each folder really is, by the name it goes by. A path that is below one of
            the real folders already stays as it is.
        links: Whether symbolic links have to be remembered, since they can't be read.
        inodes: Whether changes of modes and times have to be passed over, since they are refused.
    """

    def __init__(self, folders, links=False, inodes=False):
        self._folders = tuple(folders.items())
        self._targets = {}  # of symbolic links, by device and inode
        self._lstat, self._symlink, self._getcwd = os.lstat, os.symlink, os.getcwd
        # Partial objects, since a function becomes a method where somebody keeps it in a class.
        partial = functools.partial
        self._new = {name: partial(self._with_one, getattr(os, name)) for name in _OF_ONE_PATH}
        for name in _OF_TWO_PATHS:
            self._new[name] = partial(self._with_two, getattr(os, name))
        self._new["getcwd"] = partial(self._cwd)
        self._new_open = partial(self._open, io.open)
        if links:
            self._new.update(symlink=partial(self._link), readlink=partial(self._read_link))
        if inodes:
            for name in _OF_INODES:
                self._new[name] = partial(self._change, getattr(os, name))

    def install(self):
        """Put it into this process's `os`, `io` and builtins."""
        os.__dict__.update(self._new)
        builtins.open = io.open = self._new_open
        sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        """As a finder of modules, lead databases of `sqlite3` too, once somebody imports it."""
        if name != "sqlite3":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                module.connect = functools.partial(self._connect, module.connect)

            vars(spec.loader)["exec_module"] = exec_module
        return spec

    def _connect(self, call, database, *args, **kwargs):
        return call(self.real(database), *args, **kwargs)

    def real(self, path):
        """Return where a path really is; numbers and relative paths stay as they are."""
        if type(path) is not str:
            if isinstance(path, int):
                return path
            if isinstance(path, bytes):
                return os.fsencode(self.real(os.fsdecode(path)))
            path = os.fspath(path)
            if not isinstance(path, str):
                return self.real(path)
        for shown, real in self._folders:
            if path.startswith(shown) and path[len(shown) : len(shown) + 1] in ("", "/"):
                if path.startswith(real) and path[len(real) : len(real) + 1] in ("", "/"):
                    return path
                return real + path[len(shown) :]
        return path

    def _with_one(self, call, path=".", *args, **kwargs):
        try:
            return call(self.real(path), *args, **kwargs)
        except OSError as error:
            error.filename = path  # as the program named it
            raise

    def _with_two(self, call, src, dst, **kwargs):
        return call(self.real(src), self.real(dst), **kwargs)

    def _open(self, call, file, *args, **kwargs):
        try:
            return call(self.real(file), *args, **kwargs)
        except OSError as error:
            error.filename = file
            raise

    def _cwd(self):
        path = self._getcwd()
        for shown, real in self._folders:
            if path == real or path.startswith(real + "/"):
                return shown + path[len(real) :]
        return path

    def _link(self, src, dst, target_is_directory=False, *, dir_fd=None):
        place = self.real(dst)
        self._symlink(self.real(src), place, dir_fd=dir_fd)
        found = self._lstat(place, dir_fd=dir_fd)
        self._targets[found.st_dev, found.st_ino] = os.fsdecode(src)

    def _read_link(self, path, *, dir_fd=None):
        found = self._lstat(self.real(path), dir_fd=dir_fd)
        if not stat.S_ISLNK(found.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        target = self._targets.get((found.st_dev, found.st_ino))
        if target is None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        return os.fsencode(target) if isinstance(path, bytes) else target

    def _change(self, call, path, *args, **kwargs):
        where = self.real(path)
        if not isinstance(where, int):
            join, parent = os.path.join, os.path.dirname
            folder = self.real(os.path.realpath(parent(join(os.getcwd(), os.fsdecode(where)))))
            if any(f"{folder}/".startswith(f"{real}/") for _, real in self._folders):
                os.stat(where)  # it must be there
                return None
        return call(where, *args, **kwargs)

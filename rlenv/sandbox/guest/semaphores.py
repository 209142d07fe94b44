"""Semaphores for `multiprocessing` where the system's are out of reach.

`multiprocessing.dummy.Pool`, `ThreadPool`, `Queue` and `Lock` ask for named semaphores even where
there is one process only. With no process but this one, semaphores between threads do the same.
"""

import sys
import threading
import types


class SemLock:
    """What `_multiprocessing.SemLock` does, among the threads of one process."""

    SEM_VALUE_MAX = 2**31 - 1

    def __init__(self, kind, value, maxvalue, name, unlink):
        self.kind, self.maxvalue = kind, maxvalue
        self.name, self.handle = None, 0
        self._value = value
        self._held = 0  # how often it was acquired and not released
        self._owner = 0
        self._changed = threading.Condition(threading.Lock())

    def acquire(self, block=True, timeout=None):
        """Take it; False if that took too long."""
        me = threading.get_ident()
        with self._changed:
            if self.kind == 0 and self._is_mine():  # a recursive one
                self._held += 1
                return True
            patience = timeout if block else 0
            if not self._changed.wait_for(lambda: self._value > 0, patience):
                return False
            self._value -= 1
            self._held += 1
            self._owner = me
            return True

    def release(self):
        """Give it back."""
        with self._changed:
            if self.kind == 0:
                if not self._is_mine():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                if self._held > 1:
                    self._held -= 1
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._held -= 1
            self._value += 1
            self._changed.notify()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()

    def _is_mine(self):
        return self._held > 0 and self._owner == threading.get_ident()

    def _count(self):
        return self._held

    def _get_value(self):
        return self._value

    def _is_zero(self):
        return self._value == 0

    def _after_fork(self):
        self._held = 0


def install():
    """Have `multiprocessing` find these instead of the system's."""
    module = types.ModuleType("_multiprocessing")
    module.__dict__.update(SemLock=SemLock, sem_unlink=lambda name: None, flags={})
    sys.modules["_multiprocessing"] = module

"""One thread for torch, and then as many as before."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _ThreadCount:
    """How many threads torch had before the first of its users came.

    Each thread of Python has a count of its own, and new ones take the count that was set last,
    in any of them.
    """

    def __init__(self) -> None:
        self.n_users, self.found, self.own = 0, 1, threading.local()
        self.renew_lock()
        if hasattr(os, "register_at_fork"):  # another thread may hold the lock at that moment
            os.register_at_fork(after_in_child=self.renew_lock)

    def renew_lock(self) -> None:
        self.lock = threading.Lock()

    def enter(self) -> None:
        with self.lock:
            if self.n_users == 0:
                self.found = torch.get_num_threads()
            self.n_users += 1
            self.own.depth = getattr(self.own, "depth", 0) + 1
            torch.set_num_threads(1)

    def leave(self) -> None:
        with self.lock:
            self.n_users -= 1
            self.own.depth -= 1
            if self.own.depth == 0:
                torch.set_num_threads(self.found)


_THREADS = _ThreadCount()


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch on one thread, so that results do not depend on how many there are."""
    _THREADS.enter()
    try:
        yield
    finally:
        _THREADS.leave()

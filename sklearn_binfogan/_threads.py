"""What threads of Python share in torch: its number of threads, and its global generator."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Lock:
    """A lock that is free in a forked process: another thread may hold it at that moment."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.RLock()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self.lock.release()


class _ThreadCount:
    """How many threads torch had before the first of its users came.

    Each thread of Python has a count of its own, and new ones take the count that was set last,
    in any of them.
    """

    def __init__(self) -> None:
        self.n_users, self.found, self.own, self.lock = 0, 1, threading.local(), _Lock()

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
_GENERATOR = _Lock()


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch on one thread, so that results do not depend on how many there are."""
    _THREADS.enter()
    try:
        yield
    finally:
        _THREADS.leave()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's global generator, which new layers use, and leave it as found.

    One thread at a time, or it would draw what is another one's.
    """
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield

"""What torch keeps for the whole process or thread: modes, thread count, global generator."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

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


class _SharedModes:
    """What torch has for all threads: its number of threads and its default dtype.

    Both are as we need them while anybody is inside, and as found after the last one has left.
    Each thread of Python has a thread count of its own, and new ones take the count that was set
    last, in any of them.
    """

    def __init__(self) -> None:
        self.n_users, self.threads, self.dtype = 0, 1, torch.float32
        self.own, self.lock = threading.local(), _Lock()

    def enter(self) -> None:
        with self.lock:
            if self.n_users == 0:
                self.threads, self.dtype = torch.get_num_threads(), torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self.n_users += 1
            self.own.depth = getattr(self.own, "depth", 0) + 1
            torch.set_num_threads(1)

    def leave(self) -> None:
        with self.lock:
            self.n_users -= 1
            self.own.depth -= 1
            if self.own.depth == 0:
                torch.set_num_threads(self.threads)
            if self.n_users == 0:
                torch.set_default_dtype(self.dtype)


_SHARED = _SharedModes()
_GENERATOR = _Lock()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run torch in modes of our own, whatever the caller's are, and leave those as found.

    One thread, so that results do not depend on how many there are; gradients where we ask for
    them; no autocast but ours; float32 and the CPU by default.
    """
    _SHARED.enter()
    try:
        with ExitStack() as modes:
            modes.enter_context(torch.inference_mode(False))
            modes.enter_context(torch.enable_grad())
            for kind in ("cpu", "cuda", "mps"):
                if torch.is_autocast_enabled(kind):
                    modes.enter_context(torch.autocast(kind, enabled=False))
            # Only where it changes something: every call of torch would go through Python.
            if torch.get_default_device().type != "cpu":
                modes.enter_context(torch.device("cpu"))
            yield
    finally:
        _SHARED.leave()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's global generator, which new layers use, and leave it as found.

    One thread at a time, or it would draw what is another one's.
    """
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield

"""torch's global state: modes, number of threads, default dtype, global generator."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


class _Lock:
    """A lock that is free after a fork, even if another thread held it at that moment."""

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
    """torch's number of threads and its default dtype, which all threads of Python share.

    Both are set while any thread is inside, and restored when the last one leaves. Each thread of
    Python has a number of torch threads of its own; a new thread takes the number that any thread
    set last.
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
    """Run torch in fixed modes, and restore the caller's modes afterwards.

    There is one thread, so that results do not depend on the number of threads. Gradients are
    enabled, autocast is off, and the defaults are float32 and the CPU.
    """
    _SHARED.enter()
    try:
        with ExitStack() as modes:
            modes.enter_context(torch.inference_mode(False))
            modes.enter_context(torch.enable_grad())
            for kind in ("cpu", "cuda", "mps"):
                if torch.is_autocast_enabled(kind):
                    modes.enter_context(torch.autocast(kind, enabled=False))
            # Only if needed: under a device mode every call of torch goes through Python.
            if torch.empty(0).device.type != "cpu":
                modes.enter_context(torch.device("cpu"))
            yield
    finally:
        _SHARED.leave()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, which new layers draw from, and restore it afterwards.

    Only one thread at a time, since all threads share this generator.
    """
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield

"""torch's global state: modes, threads, default dtype, global generator, rules for GPUs."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from joblib import parallel_config
from sklearn import config_context
from threadpoolctl import ThreadpoolController  # comes with scikit-learn

from ._checks import is_count

MOST_THREADS = 1024  # a system that can't start so many threads ends the process


def check_n_threads(n_threads: Any) -> None:
    """Raise ValueError unless it is an int from 1 to `MOST_THREADS`, "auto" or None.

    A fit checks all parameters before; the methods of a fitted model check this one alone.
    """
    if n_threads in ("auto", None):
        return
    if not is_count(n_threads, 1, MOST_THREADS):
        raise ValueError(
            f"The 'n_threads' parameter of an estimator must be an int from 1 to {MOST_THREADS} "
            f"or 'auto'. Got {n_threads!r} instead."
        )


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

    Both are set while any thread is inside, and restored when the last one leaves. Each Python
    thread has its own number of torch threads; a new one takes the number that was last set in any
    thread. `threads` is the callers' number, `own.numbers` those that this thread has set.
    """

    def __init__(self) -> None:
        self.n_users, self.threads, self.dtype = 0, 1, torch.float32
        self.own, self.lock = threading.local(), _Lock()

    def enter(self, n_threads: int | str | None) -> None:
        check_n_threads(n_threads)  # before anything is changed
        with self.lock:
            # Asked for in every thread: a new one that first sets its number would still take the
            # number that another thread sets later, at its first parallel operation.
            threads = torch.get_num_threads()
            if self.n_users == 0:
                self.threads, self.dtype = threads, torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self.n_users += 1
            numbers: list[int] = self.own.__dict__.setdefault("numbers", [])
            if n_threads is None:
                n_threads = numbers[-1] if numbers else 1
            numbers.append(self.threads if isinstance(n_threads, str) else int(n_threads))
            torch.set_num_threads(numbers[-1])

    def leave(self) -> None:
        with self.lock:
            self.n_users -= 1
            self.own.numbers.pop()
            torch.set_num_threads(self.own.numbers[-1] if self.own.numbers else self.threads)
            if self.n_users == 0:
                torch.set_default_dtype(self.dtype)


class _SharedRules:
    """torch's rules for arithmetic on CUDA GPUs, which all threads of Python share.

    Set while any thread is inside, like `_SharedModes`: matrix products use tensor cores (TF32),
    and cuDNN uses only algorithms that give the same bits in every run.
    """

    def __init__(self) -> None:
        self.n_users, self.undo, self.lock = 0, ExitStack(), _Lock()

    def __enter__(self) -> None:
        with self.lock:
            if self.n_users == 0:
                with ExitStack() as undo:
                    _set(undo, torch.backends.cuda.matmul, *_tf32())
                    _set(undo, torch.backends.cudnn, "deterministic", True)
                    _set(undo, torch.backends.cudnn, "benchmark", False)
                    self.undo = undo.pop_all()
            self.n_users += 1

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self.n_users -= 1
            if self.n_users == 0:
                self.undo.close()


def _tf32() -> tuple[str, bool | str]:
    """Name and value of the rule that allows TF32 in matrix products."""
    try:
        _ = torch.backends.cuda.matmul.allow_tf32
    except RuntimeError:  # the caller has used the names of torch 2.9, and the two don't mix
        return "fp32_precision", "tf32"
    return "allow_tf32", True


def _set(undo: ExitStack, rules: Any, name: str, value: Any) -> None:
    before = getattr(rules, name)
    if before != value:  # setting it again would change torch's "medium" precision to "high"
        setattr(rules, name, value)
        undo.callback(setattr, rules, name, before)


_SHARED = _SharedModes()
_RULES = _SharedRules()
_GENERATOR, _POOLS = _Lock(), _Lock()
_STREAMS = threading.local()


@contextmanager
def undisturbed(n_threads: int | str | None = None) -> Iterator[None]:
    """Run torch and NumPy in fixed modes, and restore the caller's modes afterwards.

    There is one thread, so that results do not depend on the number of threads, unless another
    number is asked for. Gradients are enabled, autocast is off, and the defaults are float32 and
    the CPU.

    Parameters
    ----------
    n_threads : int, "auto" or None
        "auto": the caller's number. None: that of the context around this one, or 1.
    """
    with ExitStack() as modes:
        _SHARED.enter(n_threads)
        modes.callback(_SHARED.leave)
        # NumPy's defaults. A caller who wants errors does not want one for an underflow here.
        modes.enter_context(np.errstate(all="warn", under="ignore"))
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        # Only if needed: under a device mode every call of torch goes through Python.
        if torch.empty(0).device.type != "cpu":
            modes.enter_context(torch.device("cpu"))
        yield


@cache
def _pools() -> ThreadpoolController:
    """Find the loaded libraries that have threads, which takes milliseconds."""
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy, SciPy and scikit-learn compute with one thread, on NumPy's arrays.

    The number of threads changes the order in which they add up, and so the last bits. Only one
    thread of Python at a time runs the block: all share the number of BLAS, and each would restore
    what another one has set.
    """
    # Nothing is sent to other threads or workers either: they could wait for the same lock.
    own = config_context(array_api_dispatch=False)  # array dispatch has no k-means
    with _POOLS, _pools().limit(limits=1), parallel_config("sequential"), own:
        yield


def _own_stream() -> torch.cuda.Stream:
    """Return this thread's stream of the current GPU, always the same one.

    torch has 32 streams and hands them out in turn. With a new one for each fit, a thread could get
    the stream on which another thread captures. Also, only the same stream can reuse the memory
    that a fit leaves cached.
    """
    found: dict[int, torch.cuda.Stream] = _STREAMS.__dict__.setdefault("of_gpu", {})
    device = torch.cuda.current_device()
    if device not in found:
        found[device] = torch.cuda.Stream()
    return found[device]


@contextmanager
def training_on(device: str) -> Iterator[None]:
    """Train on a device; on a GPU in a stream of its own, which capturing steps requires."""
    if torch.device(device).type != "cuda":
        yield
        return
    with _RULES, torch.cuda.device(device):
        before, own = torch.cuda.current_stream(), _own_stream()
        own.wait_stream(before)
        try:
            with torch.cuda.stream(own):
                yield
        finally:
            before.wait_stream(own)


def has_bfloat16() -> bool:
    """Whether the CPU has instructions for products of bfloat16; torch before 2.9 can't say."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, which new layers draw from, and restore it afterwards.

    Only one thread at a time runs the block, since all threads share this generator.
    """
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield

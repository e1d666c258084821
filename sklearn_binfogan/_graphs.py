"""A whole training step as one CUDA graph, which a GPU replays without waiting for Python."""

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from ._architectures import ARCHITECTURES
from ._augmentation import AUGMENTATIONS, identity
from ._phases import Phase
from ._rows import Rows
from ._settings import Settings

WARM_UP = 3  # steps before the capture, in which libraries allocate what they need
ONE_AT_A_TIME = threading.Lock()  # a capture waits for all work of the GPU before it begins


class CudaGraph:
    """A CUDA graph whose every replay draws new numbers from a training's generator.

    Parameters
    ----------
    rng : torch.Generator
    """

    def __init__(self, rng: torch.Generator) -> None:
        self.rng = rng
        self.graph = torch.cuda.CUDAGraph()

    def capture(self, run: Callable[[], None]) -> None:
        """Record what a function does on the current stream of the GPU, without executing it.

        Raises
        ------
        RuntimeError
            If the function waits for the GPU, or memory runs out. The generator is restored.
        """
        before = self.rng.clone_state()
        try:
            self.graph.register_generator_state(self.rng)
            stream = torch.cuda.current_stream()
            # Other threads may train on the same GPU.
            capture = torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local")
            with ONE_AT_A_TIME, capture:
                run()
        except RuntimeError:
            self.rng.graphsafe_set_state(before)  # otherwise it would still belong to the capture
            raise

    def replay(self) -> None:
        """Do what was recorded."""
        self.graph.replay()


class StepGraph:
    """Takes the steps of a phase: the first few directly, the others by replaying a captured one.

    The choice of rows, the draws, all passes, Adam and the averages are captured. Learning rates
    and the numbers of the rows are written to the GPU before each replay.

    Parameters
    ----------
    phase : Phase
        The running phase.
    rows : Rows
        Must lie on the GPU.
    new_graph : callable
        Returns an empty graph.
    """

    def __init__(self, phase: Phase, rows: Rows, new_graph: Callable[[], CudaGraph]) -> None:
        self.phase, self.rows, self.new_graph = phase, rows, new_graph
        self.numbers = torch.empty(0, dtype=torch.long)
        self.recorded: dict[str, Tensor] = {}
        self.graph: CudaGraph | None = None
        self.n_warm_up = 0
        self.stage: tuple[bool, ...] = ()
        self.conditions: tuple[Any, ...] = ()  # when the step was captured
        self.must_check = True

    def step(self, numbers: Tensor) -> dict[str, Tensor]:
        """Take a step on rows by their numbers; return losses that the next step overwrites."""
        if len(self.numbers) != len(numbers):
            self._forget()
            self.numbers = numbers.clone()
        self.numbers.copy_(numbers)
        self.phase.set_rates()
        if self._is_outdated():
            self._forget()
        is_due = self.n_warm_up >= WARM_UP and self.phase.common.can_be_captured
        if self.graph is None and is_due:
            self._capture()
        if self.graph is None:
            self._run()
            self.n_warm_up += 1
        else:
            self.graph.replay()
        self.phase.n_steps += 1
        return self.recorded

    def _run(self) -> None:
        recorded = self.phase.move(self.rows.take(self.numbers))
        self.recorded = {name: value.detach() for name, value in recorded.items()}

    def _capture(self) -> None:
        graph = self.new_graph()
        try:
            graph.capture(self._run)
        except RuntimeError as error:
            self.phase.common.can_be_captured = False
            reason = (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")
            warnings.warn(
                f"The GPU could not capture a step as a CUDA graph: {reason}. Training "
                "continues without it, but more slowly. cuda_graph=False avoids the attempt.",
                RuntimeWarning,
                stacklevel=2,
            )
        else:
            self.graph = graph
            self.conditions = self._conditions()

    def _is_outdated(self) -> bool:
        """Whether the captured step, or its warm-up, is no longer valid."""
        stage, self.stage = self.stage, self.phase.stage
        if stage != self.stage:
            return True
        if self.graph is None:
            return False
        must_check, self.must_check = self.must_check, False
        return must_check and self.conditions != self._conditions()

    def _conditions(self) -> tuple[Any, ...]:
        """Return what callbacks may change: memory addresses, frozen weights, modes, options."""
        players, optimizers = self.phase.players, [each for each, _ in self.phase.optimizers]
        moments = [
            moment
            for optimizer in optimizers
            for state in optimizer.state.values()
            for moment in state.values()
        ]
        tensors = [*players.parameters(), *players.buffers(), *moments]
        options = [
            {name: value for name, value in group.items() if name not in ("params", "lr")}
            for optimizer in optimizers
            for group in optimizer.param_groups
        ]
        modes = [module.training for module in players.modules()]
        return [(tensor.data_ptr(), tensor.requires_grad) for tensor in tensors], options, modes

    def _forget(self) -> None:
        self.graph, self.recorded, self.n_warm_up = None, {}, 0


def step_graph(
    phase: Phase, rows: Rows, callbacks: Sequence[tuple[str, Callback]]
) -> StepGraph | None:
    """Make the graph of a phase's steps; None if steps can't or should not be captured.

    Parameters
    ----------
    phase : Phase
    rows : Rows
    callbacks : list of pairs of a name and a skorch callback
    """
    common = phase.common
    wanted = common.settings.recipe.cuda_graph
    can_be_captured = (
        common.can_be_captured
        and common.rng.device.type == "cuda"
        and rows.resident is not None
        and not common.sharing.is_shared
        and not overrides(callbacks, "on_grad_computed")
    )
    if not can_be_captured or not (_is_ours(common.settings) if wanted == "auto" else wanted):
        return None
    # A process that shares its fit with none draws all numbers from one generator.
    return StepGraph(phase, rows, lambda: CudaGraph(common.rng))


def overrides(callbacks: Sequence[tuple[str, Callback]], *methods: str) -> bool:
    """Whether a callback implements one of these methods."""
    return any(
        getattr(type(callback), method, None) is not getattr(Callback, method)
        for _, callback in callbacks
        for method in methods
    )


def _is_ours(settings: Settings) -> bool:
    """Whether networks and T are the package's: a user's may do something else in each step."""
    augment = settings.augment
    # A ColourMove has a move, SwappedValues have a noise.
    parts = [augment, getattr(augment, "move", augment), getattr(augment, "noise", augment)]
    own_augmentation = augment is identity or all(type(part) in AUGMENTATIONS for part in parts)
    return type(settings.architecture) in ARCHITECTURES and own_augmentation

"""One training step as one CUDA graph: the launches of a small network cost more than its arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

WARM_UP = 3  # steps that let the libraries choose algorithms and allocate, as torch's notes on graphs ask


class GraphedStep:
    """Replays `step` on batches of one shape. Weights, momentum and generator are as before when it is made."""

    def __init__(
        self, step: Step, model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor
    ) -> None:
        self.x, self.y = x.clone(), y.clone()
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        before = {
            p: {name: value.clone() for name, value in state.items() if torch.is_tensor(value)}
            for p, state in optimizer.state.items()
        }
        generator = torch.cuda.get_rng_state(x.device)
        here = torch.cuda.current_stream(x.device)
        # A run that has a stream of its own is captured in it. cuBLAS has one workspace per stream, and a graph keeps
        # its address: graphs captured in one stream, torch's default, would write over each other's partial sums when
        # they are replayed side by side, and the first one to be destroyed frees the workspace of them all.
        shared = here == torch.cuda.default_stream(x.device)
        stream = torch.cuda.Stream(x.device) if shared else here
        # Libraries time their algorithms in the first step: alone, not beside what other runs have under way.
        torch.cuda.synchronize(x.device)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(self.x, self.y)
        here.wait_stream(stream)
        # In place, because the graph will hold the addresses. A momentum of zeros makes the next step the first.
        with torch.no_grad():
            for name, value in model.state_dict().items():
                value.copy_(weights[name])
            for p, state in optimizer.state.items():
                if p in before:
                    for name, value in before[p].items():
                        state[name].copy_(value)
                else:
                    state["momentum_buffer"].zero_()
        torch.cuda.set_rng_state(generator, x.device)
        self.graph = torch.cuda.CUDAGraph()
        # Other threads (loaders, TensorBoard) may work meanwhile.
        with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
            self.out = step(self.x, self.y)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One step; the result is overwritten by the next."""
        self.x.copy_(x)
        self.y.copy_(y)
        self.graph.replay()
        return self.out

"""CUDA graphs: kernels recorded once, then launched together, for work whose kernels take less time than their launches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Outputs = dict[str, Tensor]
WARM_UP = 3  # calls that run as they are, so that libraries have set up and chosen what they keep


class Replayed:
    """`function`, the same in values and effects; on a CUDA device its kernels are recorded after three calls and replayed.

    For functions whose Python does the same at each call and asks the device nothing. Besides its arguments such a function reads
    tensors that are changed in place; what it writes into buffers and gradients, each replay writes again. Random numbers are
    those of the default generator as it stands at the call.

    Args:
        function: from tensors to named tensors. Elsewhere than on a CUDA device it is called as it is.
    """

    def __init__(self, function: Callable[..., Outputs]) -> None:
        self._function = function
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._outputs: Outputs = {}

    def __call__(self, *tensors: Tensor) -> Outputs:
        """The function's outputs, which later calls don't change. Raises ValueError where shapes differ from the recorded ones."""
        if not tensors[0].is_cuda:
            return self._function(*tensors)
        if self._calls < WARM_UP:
            self._calls += 1
            return self._apart(tensors)
        if self._graph is None:
            self._record(tensors)
        return self._replay(tensors)

    def _apart(self, tensors: tuple[Tensor, ...]) -> Outputs:
        """On a stream of its own, as recording asks of what came before it."""
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            outputs = self._function(*tensors)
        current.wait_stream(side)
        for output in outputs.values():
            output.record_stream(current)
        return outputs

    def _record(self, tensors: tuple[Tensor, ...]) -> None:
        self._inputs = [tensor.clone() for tensor in tensors]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._outputs = self._function(*self._inputs)
        self._graph = graph

    def _replay(self, tensors: tuple[Tensor, ...]) -> Outputs:
        assert self._graph is not None
        if [tensor.shape for tensor in tensors] != [kept.shape for kept in self._inputs]:
            raise ValueError("recorded for tensors of other shapes")
        torch._foreach_copy_(self._inputs, list(tensors))
        self._graph.replay()
        return {name: output.clone() for name, output in self._outputs.items()}

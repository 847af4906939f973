"""What NVML, NVIDIA's library for the state of its GPUs, tells of a GPU that CUDA uses.

Two ways lead to a driver's answers, and each has its place:

- NVML, by its own Python module, for a GPU on which a job computes: no text is parsed, an answer
  takes no process, and only NVML has the counter of energy. A call has no time limit, and needs
  none there, as CUDA, which is initialised first, asks the same driver.
- The command nvidia-smi for which GPUs there are (`benchmark/runtime/gpu_leases.py`). That is asked
  before CUDA is initialised, so that a driver that hangs must end in a message, and a command can
  be given a time limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def ask(question: Callable[[Any], _T]) -> _T | None:
    """Return the answer of NVML; None: there is none.

    Args:
        question: is called with the module `pynvml`.
    """
    import pynvml  # only where there is a GPU

    try:
        pynvml.nvmlInit()
        return question(pynvml)
    except pynvml.NVMLError:
        return None


def ask_gpu(uuid: str, question: Callable[[Any, Any], _T]) -> _T | None:
    """Return the answer of NVML to a question about one GPU; None: there is none.

    Args:
        uuid: of the GPU, as `GPU-` and its number.
        question: is called with the module `pynvml` and the handle of the GPU.
    """
    return ask(lambda nvml: question(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid)))

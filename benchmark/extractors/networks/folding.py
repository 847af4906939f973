"""Convolutions that include their batch normalisation, which halves the passes over the data."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

State = dict[str, Tensor]

_EPS = 1e-3  # added to the variance by the batch normalisation of these networks, as in TensorFlow


def read_state_dict(file: Path, device: torch.device) -> State:
    """Read a state dict; torch refuses a pickle that contains code."""
    state: State = torch.load(file, map_location=device, weights_only=True)
    return state


def fold(state: State, convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution followed by the normalisation, in evaluation mode.

    Args:
        state: parameters of the network.
        convolution: prefix of the names of a convolution without bias.
        norm: prefix of the names of a batch normalisation.

    Returns:
        The weight, out×in×h×w in channels_last, and the bias, of shape (out,).
    """
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + _EPS)
    weight = state[f"{convolution}.weight"] * scale[:, None, None, None]
    bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return weight.contiguous(memory_format=torch.channels_last), bias

"""Inpainting: all pixels but those under a mask are given."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from benchmark.core.seeds import stream_seed
from benchmark.core.strict_model import Lack, Needing, UserPath
from benchmark.diffusion.operators.base import Operator

if TYPE_CHECKING:
    from torch import Tensor

_USUAL_SHARE = {"box": 0.25, "random": 0.8}  # of hidden pixels


_OWN_PATH = "a mask `file` has one, and no other mask has"


class Inpaint(Needing, Operator):
    """Gives the pixels that no mask hides; the hidden ones are 0 in what is given.

    A is diagonal, with 1 where a pixel is seen and 0 where it is hidden, so that A Aᵀ = A.
    """

    kind: Literal["inpaint"] = "inpaint"
    mask: Literal["box", "half", "random", "file"] = Field(
        default="box",
        description="What is hidden: a square in the middle, the right half, pixels at random "
        "(those of `question_seed`), or the white pixels of a picture",
    )
    hidden: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the pixels under a box or under random pixels; null: 0.25 and 0.8",
        examples=[0.5],
    )
    path: UserPath | None = Field(
        default=None,
        description="Picture of the mask `file`, of the size of the images",
        examples=["mask.png"],
    )

    @classmethod
    def lacking(cls, given: Mapping[str, Any]) -> list[Lack]:
        """Return that a mask from a file has no path."""
        is_missing = given.get("mask") == "file" and given.get("path") is None
        return [("path", _OWN_PATH)] * is_missing

    @model_validator(mode="after")
    def _check_options(self) -> Inpaint:
        if self.hidden is not None and self.mask not in _USUAL_SHARE:
            raise ValueError(f"hidden: the mask {self.mask} has a share of its own: leave it out")
        if self.path is not None and self.mask != "file":
            raise ValueError(f"path: {_OWN_PATH}")
        return self

    @property
    def label(self) -> str:
        """Name the mask."""
        return f"{self.kind}-{self.mask}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the images, B×C×H×W, with 0 in place of hidden pixels."""
        return x * _seen(self, x.shape[-1], x.device, x.dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A y, B×C×H×W: A is symmetric."""
        return self.forward(y)

    def hides(self, resolution: int) -> NDArray[np.bool_]:
        """Return which pixels are hidden, H×W.

        Raises:
            ValueError: the picture of the mask cannot be read, or has another size.
        """
        hidden = np.zeros((resolution, resolution), bool)
        if self.mask == "file":
            return self._drawn(resolution)
        if self.mask == "half":
            hidden[:, resolution // 2 :] = True
            return hidden
        share = _USUAL_SHARE[self.mask] if self.hidden is None else self.hidden
        if self.mask == "box":
            side = round(math.sqrt(share) * resolution)
            rows = slice((resolution - side) // 2, (resolution - side) // 2 + side)
            hidden[rows, rows] = True
            return hidden
        count = round(share * hidden.size)
        rng = np.random.default_rng(stream_seed("mask", self.question_seed))
        hidden.ravel()[rng.permutation(hidden.size)[:count]] = True
        return hidden

    def _drawn(self, resolution: int) -> NDArray[np.bool_]:
        from PIL import Image

        try:
            with Image.open(str(self.path)) as picture:
                drawn = np.asarray(picture.convert("L"))
        except OSError as error:
            raise ValueError(f"path: {self.path}: no readable picture: {error}") from None
        if drawn.shape != (resolution, resolution):
            height, width = drawn.shape
            raise ValueError(
                f"path: {self.path} has {width}×{height} pixels: the images have "
                f"{resolution}×{resolution}"
            )
        return drawn >= 128

    def check(self, resolution: int, channels: int) -> None:
        """Refuse a mask of another size, and one that hides nothing or everything."""
        hidden = self.hides(resolution)
        key = "path" if self.mask == "file" else "hidden"
        if not hidden.any():
            raise ValueError(f"{key}: the mask hides no pixel: nothing is asked")
        if hidden.all():
            raise ValueError(f"{key}: the mask hides all pixels: nothing is given")

    def spec(self) -> dict[str, Any]:
        """Return the options, with the hash of a picture in place of its path."""
        found = super().spec()
        if self.path is not None:
            found["path"] = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return found


@lru_cache(maxsize=16)
def _seen(operator: Inpaint, resolution: int, device: Any, dtype: Any) -> Tensor:
    """Return 1 for seen and 0 for hidden pixels, H×W."""
    import torch

    return torch.from_numpy(~operator.hides(resolution)).to(device, dtype)

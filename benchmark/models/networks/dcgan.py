"""A convolutional generator, and the critic that it is trained against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from benchmark.models.networks.base import Network

if TYPE_CHECKING:
    from torch import nn


class DCGAN(Network):
    """A generator of convolutions (Radford et al. 2016), with a critic that mirrors it.

    As in Huang et al. 2024 (R3GAN), section 3, its blocks are residual and nothing is normalised;
    so an image depends on its own noise alone, and not on the others of its batch.
    """

    is_adversarial: ClassVar[bool] = True
    kind: Literal["dcgan"] = "dcgan"
    latent: int = Field(
        default=64, ge=1, le=1_000_000, description="Numbers of noise of which an image is made"
    )
    channels: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        default=(64, 128, 256),
        min_length=1,
        description="Feature channels of each level, the finest first, of generator and critic "
        "alike; each but the first halves the resolution",
        examples=[[128, 64]],
    )
    patch: int = Field(
        default=1, ge=1, le=4096, description="Side of the pixel squares on which both work"
    )
    image_channels: int = Field(
        default=3, ge=1, description="Channels of the images; left out: as many as the data have"
    )

    @model_validator(mode="after")
    def _check(self) -> DCGAN:
        if self.classes is not None:
            raise ValueError("classes: a dcgan is told nothing of classes: leave them out")
        return self

    def build(self, resolution: int) -> nn.Module:
        """Return the generator with random weights, for images of this height and width."""
        from benchmark.models.modules.dcgan import GeneratorModule

        self.check_resolution(resolution)
        return GeneratorModule(self, resolution)

    def trained(self, resolution: int) -> nn.Module:
        """Return the generator and its critic, with random weights."""
        from benchmark.diffusion.adversarial import Pair
        from benchmark.models.modules.dcgan import CriticModule

        return Pair(self.build(resolution), CriticModule(self, resolution))

    @property
    def multiple(self) -> int:
        """The number of which height and width must be multiples."""
        return self.patch << len(self.channels) - 1

    def check_fits(self, at: str, resolution: int, channels: int = 3) -> None:
        """Refuse images of which not all levels can be made, or with less noise than is asked."""
        super().check_fits(at, resolution, channels)
        noise = channels * resolution**2
        if self.latent > noise:
            raise ValueError(
                f"{at}.latent: {self.latent} numbers are not in the noise of an image, which has "
                f"as many as an image: at most {noise}"
            )

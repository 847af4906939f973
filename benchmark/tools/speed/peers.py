"""Networks that diffusers can build too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from benchmark.models.modules.unet import UNetModule
from benchmark.models.networks.unet import UNet


def diffusers_defaults(channels: tuple[int, ...]) -> UNet:
    """Return a U-Net that diffusers can build too, with attention only at the coarsest level.

    Args:
        channels: channels of each level.
    """
    return UNet(
        channels=channels,
        attention=tuple(i == len(channels) - 1 for i in range(len(channels))),
        head_channels=8,
        groups=8,
        norm_eps=1e-5,
        freq_shift=0,
        flip_sin_to_cos=True,
        downsample_padding=1,
    )


def unet2d(network: nn.Module, side: int) -> Any:
    """Return the UNet2DModel of diffusers that computes the same as our U-Net, with its weights.

    Args:
        network: our U-Net, without patches and output gates, which UNet2DModel lacks.
        side: height and width of the images in pixels.
    """
    import diffusers

    unet: Any = diffusers.UNet2DModel
    assert isinstance(network, UNetModule)
    spec = network.spec
    assert spec.patch == 1
    assert not spec.output_gates
    kinds = ["AttnDownBlock2D" if attends else "DownBlock2D" for attends in spec.attention]
    made = unet(
        sample_size=side,
        time_embedding_type=spec.time_embedding,
        freq_shift=spec.freq_shift,
        flip_sin_to_cos=spec.flip_sin_to_cos,
        down_block_types=kinds,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(kinds)],
        block_out_channels=spec.channels,
        layers_per_block=spec.layers,
        downsample_padding=spec.downsample_padding,
        attention_head_dim=spec.head_channels,
        norm_num_groups=spec.groups,
        norm_eps=spec.norm_eps,
        add_attention=spec.mid_attention,
    )
    made.load_state_dict(network.state_dict())
    return made.eval()


def guide_pipeline() -> Any:
    """Return a class of pipelines with the loop that diffusers' guide shows, for any scheduler.

    Its pipelines for images without a prompt are made for a few schedulers alone.
    """
    import diffusers

    base: Any = diffusers.DiffusionPipeline

    class GuidePipeline(base):  # type: ignore[misc]  # diffusers' types are not read
        def __init__(self, unet: Any, scheduler: Any) -> None:
            super().__init__()
            self.register_modules(unet=unet, scheduler=scheduler)

        @torch.no_grad()
        def __call__(
            self,
            batch_size: int,
            num_inference_steps: int,
            generator: torch.Generator,
            output_type: str,
        ) -> SimpleNamespace:
            scheduler, config = self.scheduler, self.unet.config
            scheduler.set_timesteps(num_inference_steps, self.device)
            shape = (batch_size, config.in_channels, config.sample_size, config.sample_size)
            x = torch.randn(shape, generator=generator, device=self.device, dtype=self.unet.dtype)
            x = x * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                output = self.unet(scheduler.scale_model_input(x, t), t).sample
                x = scheduler.step(output, t, x).prev_sample
            images = (x / 2 + 0.5).clamp(0, 1)
            if output_type == "np":
                images = images.permute(0, 2, 3, 1).cpu().numpy()
            return SimpleNamespace(images=images)

    return GuidePipeline

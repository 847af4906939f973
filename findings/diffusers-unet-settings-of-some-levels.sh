#!/usr/bin/env bash
# diffusers 0.42.1: two settings of UNet2DModel reach only a part of the network, without a word.
# 1. downsample_type and upsample_type change the levels that attend. DownBlock2D and UpBlock2D keep
#    their convolutions, so that one network has both kinds; its config says "resnet" for all.
# 2. resnet_time_scale_shift="scale_shift" takes the group normalisation away from the attention in
#    the middle (attn_norm_num_groups then has to be given for it), but from no other attention. The
#    networks of guided-diffusion, from which the setting is taken, normalise before each attention.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
from diffusers import UNet2DModel

SHAPE = {
    "block_out_channels": (8, 8, 8),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
    "attention_head_dim": 4,
}

network = UNet2DModel(**SHAPE, downsample_type="resnet", upsample_type="resnet")
down = [type(block.downsamplers[0]).__name__ for block in network.down_blocks[:-1]]
up = [type(block.upsamplers[0]).__name__ for block in network.up_blocks[:-1]]
print("downsample_type and upsample_type resnet:", *down, *up)
assert down == ["Downsample2D", "ResnetBlock2D"]
assert up == ["Upsample2D", "ResnetBlock2D"]

for shift, groups, expected in (
    ("default", None, True),
    ("scale_shift", None, False),
    ("scale_shift", 4, True),
):
    network = UNet2DModel(**SHAPE, resnet_time_scale_shift=shift, attn_norm_num_groups=groups)
    middle = network.mid_block.attentions[0].group_norm is not None
    level = network.down_blocks[1].attentions[0].group_norm is not None
    print(f"{shift}, attn_norm_num_groups {groups}: norm in the middle {middle}, in a level {level}")
    assert (middle, level) == (expected, True)
PYTHON

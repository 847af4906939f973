"""Times samplers against their bare network, and against other libraries with equal weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.config.building import sample_job, train_job
from benchmark.config.config import Config
from benchmark.config.loading import load_config, parse_config
from benchmark.config.schema import ComputePrecision
from benchmark.core.closure import HOME
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.networks.unet import UNet
from benchmark.models.weights import save_weights
from benchmark.runtime.device import resolve_device, seeded
from benchmark.runtime.model_range import to_uint8
from benchmark.stages.sample import CellSampling
from benchmark.storage.paths import Run
from benchmark.tools.speed.azula_samplers import AZULA, azula_images
from benchmark.tools.speed.bare_network import guided, limit, per_image, share, size_of
from benchmark.tools.speed.limits import Limits, copy_rate, product_rate
from benchmark.tools.speed.peers import diffusers_defaults, guide_pipeline, unet2d
from benchmark.tools.speed.timing import SpeedRow, interleave, missing, seconds, take_turns, version

QUICKSTART = HOME / "config" / "config.yaml"
_USUAL = ("linear", "vp")  # the schedules that are tried first for samplers without a peer
TOLERANCE = 0.1  # of adaptive samplers, which choose the steps of each image by itself
ADAPTIVE = [name for name, sampler in SAMPLERS.classes.items() if sampler.adaptive]
PATHS = [name for name in SCHEDULES.names() if SCHEDULES.make(name).process().has_path]
TIMED = [  # all but those that evaluate a generator once
    name
    for name, part in SAMPLERS.classes.items()
    if any(part.is_defined_for(SCHEDULES.make(path).process()) for path in PATHS)
]
ONE_BATCH = [name for name in TIMED if name not in ADAPTIVE]


class Peer(NamedTuple):
    """The part of diffusers with which a sampler is compared.

    Attributes:
        pipeline: class of the pipeline; empty: the loop of diffusers' guide.
        scheduler: class of its scheduler.
        schedule: name of the schedule here that equals the scheduler's.
        always_numpy: whether the pipeline's only `output_type` is np.
    """

    pipeline: str
    scheduler: str
    schedule: str = "linear"
    always_numpy: bool = False


PEERS = {
    "ddpm": Peer("DDPMPipeline", "DDPMScheduler"),
    "ddim": Peer("DDIMPipeline", "DDIMScheduler"),
    "predictor-corrector": Peer("ScoreSdeVePipeline", "ScoreSdeVeScheduler", "ve", True),
    **{name: Peer("", part.diffusers) for name, part in SAMPLERS.classes.items() if part.diffusers},
}


def schedule_of(sampler: str) -> str:
    """Return the schedule on which a sampler is timed: its peer's, else one that it can sample."""
    if sampler in PEERS:
        return PEERS[sampler].schedule
    part = SAMPLERS.get(sampler)
    names = dict.fromkeys((*_USUAL, *PATHS))
    return next(name for name in names if part.is_defined_for(SCHEDULES.make(name).process()))


@dataclass(frozen=True)
class SamplingSizes:
    """How much is measured.

    Attributes:
        batches: sizes of a batch for the quickstart's network.
        few_batches: sizes of a batch for the larger network, and against pipelines.
        steps: steps of every sampler: a multiple of the ten levels of annealed Langevin dynamics.
        rounds: the fewest rounds of each comparison.
        seconds: the seconds for which our side of a comparison is timed at least.
        side: height and width of the images in pixels.
        channels: channels of the levels of the larger network.
        product: rows and columns of the matrix product.
        megabytes: megabytes that are copied to measure the speed of the memory.
    """

    batches: tuple[int, ...] = (1, 16, 64)
    few_batches: tuple[int, ...] = (1, 8)
    steps: int = 10
    rounds: int = 3
    seconds: float = 1
    side: int = 32
    channels: tuple[int, ...] = (32, 64, 64)
    product: int = 4096
    megabytes: int = 256


FULL = SamplingSizes()
QUICK = SamplingSizes(
    batches=(2,),
    few_batches=(2,),
    rounds=1,
    seconds=0,
    side=16,
    channels=(8, 8),
    product=64,
    megabytes=1,
)


@dataclass(frozen=True)
class SpeedSetting:
    """How both sides compute.

    Attributes:
        precision: precision of our network.
        compile: whether our network is compiled.
        tuned: whether the pipeline has the same precision, is compiled likewise and computes in
            channels_last; if not, it is called with its defaults.
        target: the ratio that should be reached.
    """

    precision: ComputePrecision = "float32"
    compile: bool = False
    tuned: bool = False
    target: str = "1.1"

    @property
    def output(self) -> str:
        """The pipeline's `output_type`: pt if tuned, as bfloat16 cannot become a NumPy array."""
        return "pt" if self.tuned else "np"


ON_CPU = (SpeedSetting(),)
ON_GPU = (SpeedSetting("bf16", True, False, "3"), SpeedSetting("bf16", True, True, "1.3"))


def rows(sizes: SamplingSizes) -> Iterator[SpeedRow]:
    """Measure and yield one comparison after the other."""
    device = resolve_device("auto")
    limits = Limits(product_rate(sizes.product, device), copy_rate(sizes.megabytes, device))
    small = load_config(QUICKSTART).networks["small"]
    assert isinstance(small, UNet)
    shared = diffusers_defaults(sizes.channels)
    with tempfile.TemporaryDirectory() as folder:
        for number, setting in enumerate(ON_GPU if device.type == "cuda" else ON_CPU):
            run = RandomRun(Path(folder, str(number)), shared, sizes, setting, device)
            for sampler, peer in PEERS.items():
                if not (setting.tuned and peer.always_numpy):
                    yield from against_pipeline(run, sampler, sizes)
            if not setting.tuned:
                for sampler in AZULA:
                    yield from against_azula(run, sampler, sizes)
        for name, spec, batches in (
            ("the quickstart's network", small, sizes.batches),
            ("a U-Net", shared, sizes.few_batches),
        ):
            run = RandomRun(Path(folder, name), spec, sizes, SpeedSetting(), device)
            for sampler in ADAPTIVE:
                yield share(run.sampling(sampler), name, 1, sizes)
            for batch in batches:
                for sampler in ONE_BATCH:
                    yield share(run.sampling(sampler), name, batch, sizes)
                yield guided(spec, name, batch, sizes, device)
                yield limit(run.sampling("ddim"), name, batch, sizes.rounds, limits)


class RandomRun:
    """A run of a network with random weights, with one cell for each sampler.

    Args:
        folder: the folder of the run.
        spec: the network; for the VE process it is conditioned on σ.
        sizes: how much is measured.
        setting: how the network computes.
        device: the device.
    """

    def __init__(
        self,
        folder: Path,
        spec: UNet,
        sizes: SamplingSizes,
        setting: SpeedSetting,
        device: torch.device,
    ) -> None:
        self.setting, self.device = setting, device
        self.config = _config(spec, sizes, setting)
        self.run = Run(folder)
        self._cells = {cell.sampler: cell.id for cell in self.config.cells}
        for name, cell in self.config.trainings.items():
            trained = self.config.network_and_training(cell.model)
            assert trained is not None
            with seeded(0):
                network = trained[0].build(sizes.side)
                for parameter in network.parameters():  # gates start at zero
                    torch.nn.init.normal_(parameter, std=0.05)
            save_weights(
                self.run.weights(name), network.state_dict(), train_job(self.config, name).spec()
            )

    def sampling(self, sampler: str) -> CellSampling:
        """Return the sampling of the cell of a sampler."""
        return CellSampling(sample_job(self.config, self._cells[sampler]), self.run, self.device)


def _config(spec: UNet, sizes: SamplingSizes, setting: SpeedSetting) -> Config:
    network = spec.model_dump(mode="json")
    model = {"family": "-", "data": "made", "training": "none"}
    schedules = {sampler: schedule_of(sampler) for sampler in TIMED}
    return parse_config(
        {
            "run": "speed",
            "precision": setting.precision,
            "compile": setting.compile,
            "data": {
                "made": {
                    "source": "avatars",
                    "style": "toon-head",
                    "resolution": sizes.side,
                    "train": 10,
                    "held_out": 3,
                }
            },
            "networks": {"told-t": network, "told-sigma": {**network, "time_embedding": "fourier"}},
            "training": {"none": {"steps": 1}},
            "models": {
                "T": {**model, "network": "told-t"},
                "S": {**model, "network": "told-sigma"},
            },
            "samplers": {
                name: {"kind": name, "atol": TOLERANCE, "rtol": TOLERANCE} for name in ADAPTIVE
            },
            "grid": [
                {
                    "table": "speed",
                    "model": _network_for(schedule),
                    "schedule": schedule,
                    "sampler": sampler,
                    "steps": sizes.steps,
                    "samples": 64,  # not the batch, which `draw` is given
                }
                for sampler, schedule in schedules.items()
            ],
            "evaluation": {"metrics": {"fd": {"kind": "frechet"}}, "controls": []},
        }
    )


def _network_for(schedule: str) -> str:
    """Return the model of `_config` whose network has the condition of a schedule's process."""
    process = SCHEDULES.make(schedule).process()
    return "S" if process.conditioned_on == "sigma" else "T"


def against_pipeline(run: RandomRun, sampler: str, sizes: SamplingSizes) -> Iterator[SpeedRow]:
    """Compare the way from noise to uint8 images with that of diffusers, on the same weights."""
    sampling = run.sampling(sampler)
    peer, pipeline = PEERS[sampler], _pipeline(sampling, sampler, run.setting)
    for batch in sizes.few_batches:
        ours = partial(_images, sampling, batch)
        theirs = partial(_images_of, pipeline, batch, sizes.steps, run.setting.output)
        mine, others = take_turns(ours, theirs, sizes.rounds, sizes.seconds, run.device)
        yield SpeedRow(
            name=f"{sampler}, {sizes.steps} steps, a U-Net, batch {batch}",
            unit="ms per image",
            ours=per_image(mine, batch),
            theirs=per_image(others, batch),
            peer=f"{peer.pipeline or f'a loop with {peer.scheduler}'} of {version('diffusers')}",
            target=f"ratio {run.setting.target}",
            note=f"{size_of(sampling)}; ours {_text(run.setting)}; theirs "
            f"{_text(run.setting) if run.setting.tuned else 'as called'}, batch_size={batch}, "
            f"num_inference_steps={sizes.steps}, output_type='{run.setting.output}', "
            "no progress bar",
        )


def against_azula(run: RandomRun, sampler: str, sizes: SamplingSizes) -> Iterator[SpeedRow]:
    """Compare the way from noise to uint8 images with that of azula, on the same weights."""
    sampling, note = run.sampling(sampler), missing("azula", "azula")
    unet = unet2d(sampling.network, sampling.cell.resolution).to(run.device)
    for batch in sizes.few_batches:
        ours = partial(_images, sampling, batch)
        if note is None:
            theirs = partial(azula_images, unet, sampler, batch, sizes.steps, run.device)
            mine, others = take_turns(ours, theirs, sizes.rounds, sizes.seconds, run.device)
        else:
            mine, others = interleave(partial(seconds, ours, run.device), None, sizes.rounds, 0)
        yield SpeedRow(
            name=f"{sampler}, {sizes.steps} steps, a U-Net, batch {batch}",
            unit="ms per image",
            ours=per_image(mine, batch),
            theirs=per_image(others, batch),
            peer="" if note else f"{AZULA[sampler].sampler} of {version('azula')}",
            target=f"ratio {run.setting.target}",
            note=note or f"{size_of(sampling)}; ours {_text(run.setting)}; theirs as called",
        )


def _images(sampling: CellSampling, batch: int) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = (
        to_uint8(sampling.draw(range(batch), sampling.timesteps)).cpu().numpy()
    )
    return found


def _pipeline(sampling: CellSampling, sampler: str, setting: SpeedSetting) -> Any:
    """Return diffusers' pipeline with the weights of a sampling, as its documentation has it."""
    import diffusers

    peer = PEERS[sampler]
    unet = unet2d(sampling.network, sampling.cell.resolution)
    scheduler = getattr(diffusers, peer.scheduler)()
    kind = getattr(diffusers, peer.pipeline) if peer.pipeline else guide_pipeline()
    made = kind(unet=unet, scheduler=scheduler)
    made.set_progress_bar_config(disable=True)
    made.to(sampling.device)
    if setting.tuned:
        made.to(torch.bfloat16 if setting.precision == "bf16" else torch.float32)
        made.unet.to(memory_format=torch.channels_last)
        if setting.compile:
            made.unet.compile()
    return made


def _images_of(pipeline: Any, batch: int, steps: int, output: str) -> NDArray[np.uint8]:
    images = pipeline(
        batch_size=batch,
        num_inference_steps=steps,
        generator=torch.Generator(pipeline.device).manual_seed(0),
        output_type=output,
    ).images
    if output == "pt":
        images = images.permute(0, 2, 3, 1).float().cpu().numpy()
    found: NDArray[np.uint8] = (images * 255).round().astype(np.uint8)
    return found


def _text(setting: SpeedSetting) -> str:
    compiled = ", compiled" if setting.compile else ""
    return f"{setting.precision}, channels_last{compiled}"

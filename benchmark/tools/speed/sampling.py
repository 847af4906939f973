"""Time samplers against their own network, and against diffusers' pipelines on the same weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.config.building import sample_job, train_job
from benchmark.config.config import Config
from benchmark.config.loading import load_config, parse_config
from benchmark.config.schema import ComputePrecision
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.networks.unet import UNet
from benchmark.models.weights import save_weights
from benchmark.runtime.device import arithmetic, resolve_device, seeded
from benchmark.runtime.model_range import to_uint8
from benchmark.stages.sample import Drawing
from benchmark.storage.paths import REFERENCE, Run
from benchmark.tools.speed.limits import Limits, copy_rate, product_rate
from benchmark.tools.speed.peers import diffusers_defaults, unet2d
from benchmark.tools.speed.timing import SpeedRow, interleave, seconds, take_turns, version

QUICKSTART = REFERENCE.parent.parent / "config.yaml"
_SHARE = 1 / 1.03  # of a sampler's time that its network is to have
_USUAL = ("linear", "vp")  # schedules that are preferred for samplers without a peer
TOLERANCE = 0.1  # of adaptive samplers, which solve image by image
ADAPTIVE = [name for name, sampler in SAMPLERS.classes.items() if sampler.adaptive]
ONE_BATCH = [name for name in SAMPLERS.names() if name not in ADAPTIVE]


class Peer(NamedTuple):
    """What of diffusers a sampler is compared with.

    Attributes:
        pipeline: the class that samples.
        scheduler: the class of its scheduler.
        schedule: the one here that is its.
        always_numpy: whether its only `output_type` is np.
    """

    pipeline: str
    scheduler: str
    schedule: str = "linear"
    always_numpy: bool = False


PEERS = {
    "ddpm": Peer("DDPMPipeline", "DDPMScheduler"),
    "ddim": Peer("DDIMPipeline", "DDIMScheduler"),
    "predictor-corrector": Peer(
        "ScoreSdeVePipeline", "ScoreSdeVeScheduler", "ve", always_numpy=True
    ),
}


def schedule_of(sampler: str) -> str:
    """Return the schedule on which a sampler is timed: its peer's, or one it is defined for."""
    if sampler in PEERS:
        return PEERS[sampler].schedule
    part = SAMPLERS.get(sampler)
    names = dict.fromkeys((*_USUAL, *SCHEDULES.names()))
    return next(name for name in names if part.is_defined_for(SCHEDULES.make(name).process()))


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        batches: of the quickstart's network.
        few_batches: of the larger one, and against pipelines.
        steps: of every sampler, a multiple of the ten levels of annealed Langevin dynamics.
        rounds: of each comparison, at least.
        seconds: for which each side of a comparison is timed, at least.
        side: of the images.
        channels: of the levels of the larger network.
        product: rows of the matrix product.
        megabytes: that are copied to measure the memory.
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


QUICK = Sizes(
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
class Way:
    """How both sides compute.

    Attributes:
        precision: of ours, and of theirs where the user of a pipeline would ask for it.
        compile: likewise.
        tuned: theirs too computes so, in channels_last; else as a new user calls it.
        target: the ratio that is to be reached.
    """

    precision: ComputePrecision = "float32"
    compile: bool = False
    tuned: bool = False
    target: str = "1.1"

    @property
    def output(self) -> str:
        """The pipeline's `output_type`: it cannot make NumPy arrays of bfloat16."""
        return "pt" if self.tuned else "np"


ON_CPU = (Way(),)
ON_GPU = (Way("bf16", True, False, "3"), Way("bf16", True, True, "1.3"))


def rows(sizes: Sizes) -> Iterator[SpeedRow]:
    """Measure and yield one comparison after the other."""
    device = resolve_device("auto")
    limits = Limits(product_rate(sizes.product, device), copy_rate(sizes.megabytes, device))
    small = load_config(QUICKSTART).networks["small"]
    assert isinstance(small, UNet)
    shared = diffusers_defaults(sizes.channels)
    with tempfile.TemporaryDirectory() as folder:
        for number, way in enumerate(ON_GPU if device.type == "cuda" else ON_CPU):
            own = Own(Path(folder, str(number)), shared, sizes, way, device)
            for sampler, peer in PEERS.items():
                if not (way.tuned and peer.always_numpy):
                    yield from against_pipeline(own, sampler, sizes)
        for name, spec, batches in (
            ("the quickstart's network", small, sizes.batches),
            ("a U-Net", shared, sizes.few_batches),
        ):
            own = Own(Path(folder, name), spec, sizes, Way(), device)
            for sampler in ADAPTIVE:
                yield share(own.drawing(sampler), name, 1, sizes)
            for batch in batches:
                for sampler in ONE_BATCH:
                    yield share(own.drawing(sampler), name, batch, sizes)
                yield limit(own.drawing("ddim"), name, batch, sizes.rounds, limits)


class Own:
    """Our sampling with random weights, as the verb `sample` does it, one cell for each sampler.

    Args:
        folder: for the weights.
        spec: of the network; on the VE process it is told σ.
        sizes: of what is measured.
        way: in which it computes.
        device: where.
    """

    def __init__(
        self, folder: Path, spec: UNet, sizes: Sizes, way: Way, device: torch.device
    ) -> None:
        self.way, self.device = way, device
        self.config = _config(spec, sizes, way)
        self.run = Run(folder)
        self._cells = {cell.sampler: cell.id for cell in self.config.cells}
        for name, cell in self.config.trainings.items():
            trained = self.config.network_and_training(cell.model)
            assert trained is not None
            with seeded(0):
                network = trained[0].build(sizes.side)
                for parameter in network.parameters():  # the gates begin with zeros
                    torch.nn.init.normal_(parameter, std=0.05)
            save_weights(
                self.run.weights(name), network.state_dict(), train_job(self.config, name).spec()
            )

    def drawing(self, sampler: str) -> Drawing:
        """Return what draws the samples of a cell."""
        return Drawing(sample_job(self.config, self._cells[sampler]), self.run, self.device)


def _config(spec: UNet, sizes: Sizes, way: Way) -> Config:
    network = spec.model_dump(mode="json")
    model = {"family": "-", "data": "made", "training": "none"}
    schedules = {sampler: schedule_of(sampler) for sampler in SAMPLERS.names()}
    return parse_config(
        {
            "run": "speed",
            "precision": way.precision,
            "compile": way.compile,
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
                    "samples": 64,  # the batch is what `draw` is given
                }
                for sampler, schedule in schedules.items()
            ],
            "evaluation": {"metrics": {"fd": {"kind": "frechet"}}, "controls": []},
        }
    )


def _network_for(schedule: str) -> str:
    """Return the model of the two above whose network is told what the schedule tells."""
    process = SCHEDULES.make(schedule).process()
    return "S" if process.conditioned_on == "sigma" else "T"


def share(drawing: Drawing, name: str, batch: int, sizes: Sizes) -> SpeedRow:
    """Compare a sampler with the bare forward passes that it takes."""
    draw = partial(drawing.draw, range(batch), drawing.timesteps)
    draw()
    drawing.model.evaluations = 0
    draw()
    calls = drawing.model.evaluations // batch
    forward = _forward(drawing, batch, calls)
    own, bare = take_turns(draw, forward, sizes.rounds, sizes.seconds, drawing.device)
    return SpeedRow(
        name=f"{drawing.cell.sampler}, {drawing.cell.schedule}, {name}, batch {batch}",
        unit="ms per image",
        ours=_per_image(own, batch),
        theirs=_per_image(bare, batch),
        peer="bare forward passes",
        target=f"ratio {_SHARE:.3f}",
        note=f"{calls} evaluations of {_size(drawing)}",
    )


def limit(drawing: Drawing, name: str, batch: int, rounds: int, limits: Limits) -> SpeedRow:
    """Say how much of the machine's rates the bare network reaches."""
    forward = _forward(drawing, batch, 1)
    own, _ = interleave(partial(seconds, forward, drawing.device), None, rounds, 0)
    return SpeedRow(
        name=f"one forward pass of {name}, batch {batch}",
        unit="ms per image",
        ours=_per_image(own, batch),
        theirs=[],
        note=limits.reached(
            drawing.model.network, *_inputs(drawing, batch), seconds=float(np.median(own))
        ),
    )


def against_pipeline(own: Own, sampler: str, sizes: Sizes) -> Iterator[SpeedRow]:
    """Compare noise to uint8 on the host with what diffusers takes for it on the same weights."""
    drawing = own.drawing(sampler)
    pipeline = _pipeline(drawing, sampler, own.way)
    for batch in sizes.few_batches:
        ours = partial(_images, drawing, batch)
        theirs = partial(_images_of, pipeline, batch, sizes.steps, own.way.output)
        mine, others = take_turns(ours, theirs, sizes.rounds, sizes.seconds, own.device)
        yield SpeedRow(
            name=f"{sampler}, {sizes.steps} steps, a U-Net, batch {batch}",
            unit="ms per image",
            ours=_per_image(mine, batch),
            theirs=_per_image(others, batch),
            peer=f"{PEERS[sampler].pipeline} of {version('diffusers')}",
            target=f"ratio {own.way.target}",
            note=f"{_size(drawing)}; ours {_text(own.way)}; theirs "
            f"{_text(own.way) if own.way.tuned else 'as called'}, batch_size={batch}, "
            f"num_inference_steps={sizes.steps}, output_type='{own.way.output}', no progress bar",
        )


def _forward(drawing: Drawing, batch: int, calls: int) -> Callable[[], None]:
    """Return what calls the network on a batch `calls` times, as the sampler does."""
    network, inputs = drawing.model.network, _inputs(drawing, batch)

    @torch.inference_mode()
    def forward() -> None:
        with arithmetic(drawing.precision, drawing.device):
            for _ in range(calls):
                network(*inputs)

    return forward


def _inputs(drawing: Drawing, batch: int) -> tuple[Tensor, Tensor]:
    """Return noise in the layout that samplers give it, and the condition of the first time."""
    side, t = drawing.cell.resolution, float(drawing.timesteps[0])
    x = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    condition = torch.full((batch,), drawing.process.condition(t), device=drawing.device)
    return x.to(drawing.device, memory_format=torch.channels_last), condition


def _images(drawing: Drawing, batch: int) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = to_uint8(drawing.draw(range(batch), drawing.timesteps)).cpu().numpy()
    return found


def _pipeline(drawing: Drawing, sampler: str, way: Way) -> Any:
    """Return diffusers' pipeline with the weights of a drawing, as its documentation has it."""
    import diffusers

    peer = PEERS[sampler]
    unet = unet2d(drawing.model.network, drawing.cell.resolution)
    scheduler = getattr(diffusers, peer.scheduler)()
    made = getattr(diffusers, peer.pipeline)(unet=unet, scheduler=scheduler)
    made.set_progress_bar_config(disable=True)
    made.to(drawing.device)
    if way.tuned:
        made.to(torch.bfloat16 if way.precision == "bf16" else torch.float32)
        made.unet.to(memory_format=torch.channels_last)
        if way.compile:
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


def _text(way: Way) -> str:
    compiled = ", compiled" if way.compile else ""
    return f"{way.precision}, channels_last{compiled}"


def _size(drawing: Drawing) -> str:
    count = sum(p.numel() for p in drawing.model.network.parameters())
    return f"{count / 1e6:.2f} M parameters"


def _per_image(times: list[float], batch: int) -> list[float]:
    return [1e3 * time / batch for time in times]

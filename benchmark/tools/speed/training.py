"""Times training against the loop of diffusers' example of unconditional training."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.config.schema import ComputePrecision
from benchmark.config.training import Training
from benchmark.diffusion.objective import objective
from benchmark.diffusion.schedules.linear import Linear
from benchmark.models.modules.unet import UNetModule
from benchmark.models.networks.unet import UNet
from benchmark.runtime.device import resolve_device, seeded
from benchmark.stages.trainer import Trainer, TrainingSet
from benchmark.tools.speed.peers import diffusers_defaults, unet2d
from benchmark.tools.speed.timing import SpeedRow, take_turns, version

NOTE = (
    "theirs: PIL images in memory, DataLoader of no workers, Resize, CenterCrop, "
    "RandomHorizontalFlip, ToTensor, Normalize, AdamW, EMAModel, the loss read at each step; what "
    "accelerate runs in one process, written out"
)


@dataclass(frozen=True)
class TrainingSizes:
    """How much is measured.

    Attributes:
        batches: sizes of a batch.
        steps: steps that are timed at once.
        rounds: the fewest rounds of each comparison.
        seconds: the seconds for which our side of a comparison is timed at least.
        side: height and width of the images in pixels.
        images: images in the data set.
        networks: for each network, the channels of its levels.
    """

    batches: tuple[int, ...] = (16, 64)
    steps: int = 2
    rounds: int = 3
    seconds: float = 3
    side: int = 32
    images: int = 512
    networks: tuple[tuple[int, ...], ...] = ((16, 32), (32, 64, 64))


FULL = TrainingSizes()
QUICK = TrainingSizes(
    batches=(2,), steps=2, rounds=1, seconds=0, side=16, images=6, networks=((8, 8),)
)


def rows(sizes: TrainingSizes) -> Iterator[SpeedRow]:
    """Measure and yield one comparison after the other."""
    device = resolve_device("auto")
    for channels, batch in itertools.product(sizes.networks, sizes.batches):
        yield against_example(diffusers_defaults(channels), batch, sizes, device)


def against_example(spec: UNet, batch: int, sizes: TrainingSizes, device: torch.device) -> SpeedRow:
    """Compare training steps with equal network, batch, precision, optimiser, flips and average."""
    gpu = device.type == "cuda"
    precision: ComputePrecision = "bf16" if gpu else "float32"
    settings = Training(
        steps=10**6, batch=batch, lr=1e-4, warmup=500, betas=(0.95, 0.999), weight_decay=1e-6,
        ema=0.9999, flip=True,
    )  # fmt: skip
    shape = (sizes.images, sizes.side, sizes.side, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with seeded(0):
        network = UNetModule(spec).to(device)
    theirs = example(unet2d(network, sizes.side), images, settings, precision, device)
    with tempfile.TemporaryDirectory() as folder:
        ours = own(network, images, settings, precision, device, Path(folder))
        mine, others = take_turns(
            partial(ours, sizes.steps),
            partial(theirs, sizes.steps),
            sizes.rounds,
            sizes.seconds,
            device,
        )
    images_timed = batch * sizes.steps
    rate = images_timed / float(np.median(mine)), images_timed / float(np.median(others))
    count = sum(p.numel() for p in network.parameters()) / 1e6
    return SpeedRow(
        name=f"training a U-Net of {count:.2f} M parameters at {sizes.side}×{sizes.side}, "
        f"batch {batch}",
        unit="ms per image",
        ours=[1e3 * time / images_timed for time in mine],
        theirs=[1e3 * time / images_timed for time in others],
        peer=f"train_unconditional.py's loop with {version('diffusers')}",
        target=f"ratio {2 if gpu else 1.1}",
        note=f"{precision}; {rate[0]:.3g} against {rate[1]:.3g} images/s; {NOTE}",
    )


def own(
    network: UNetModule,
    images: NDArray[np.uint8],
    settings: Training,
    precision: ComputePrecision,
    device: torch.device,
    state: Path,
) -> Callable[[int], None]:
    """Return a function that does a number of our steps, compiled on a GPU, and reads their losses.

    Args:
        network: our network.
        images: the data set, uint8 N×H×W×3.
        settings: the settings of the training.
        precision: precision in which the network computes.
        device: the device.
        state: a folder for states, which are not saved here.
    """
    if device.type == "cuda":
        network.compile()
    loss = objective(Linear().process())
    data = torch.from_numpy(images).to(device)
    trainer = Trainer(network, loss, TrainingSet(data), settings, 0, state, precision)
    network.train()
    counter = itertools.count()

    def train(steps: int) -> None:
        torch.stack([trainer.step(next(counter)).loss for _ in range(steps)]).cpu()

    return train


class _Pictures(Dataset[Tensor]):
    """A data set of PIL images that are transformed on access, as in the example.

    Args:
        images: uint8 N×H×W×3.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        from torchvision import transforms

        side = images.shape[1]
        self._pictures = [Image.fromarray(image) for image in images]
        self._transform = transforms.Compose(
            [
                transforms.Resize(side, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop(side),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Tensor:
        found: Tensor = self._transform(self._pictures[index].convert("RGB"))
        return found


def example(
    model: Any,
    images: NDArray[np.uint8],
    settings: Training,
    precision: ComputePrecision,
    device: torch.device,
) -> Callable[[int], None]:
    """Return a function that does n steps of the example on images, uint8 N×H×W×3."""
    import diffusers
    from diffusers.optimization import get_cosine_schedule_with_warmup
    from diffusers.training_utils import EMAModel

    clip, decay, total = settings.clip, settings.ema, settings.steps
    assert clip is not None and decay is not None and total is not None  # noqa: PT018
    model.to(device).train()
    scheduler: Any = diffusers.DDPMScheduler
    noising = scheduler()
    optimiser = torch.optim.AdamW(
        model.parameters(), settings.lr, settings.betas, weight_decay=settings.weight_decay
    )
    rates = get_cosine_schedule_with_warmup(optimiser, settings.warmup, total)
    ema = EMAModel(model.parameters(), decay=decay, use_ema_warmup=True, power=3 / 4)
    loader = DataLoader(_Pictures(images), batch_size=settings.batch, shuffle=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def step(clean: Tensor) -> float:
        noise = torch.randn_like(clean)
        t = torch.randint(0, len(noising), (len(clean),), device=clean.device)
        noisy = noising.add_noise(clean, noise, t)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            output = model(noisy, t).sample
        loss = F.mse_loss(output.float(), noise)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimiser.step()
        rates.step()
        optimiser.zero_grad()
        ema.step(model.parameters())
        return loss.item()

    def train(steps: int) -> None:
        for clean in itertools.islice(batches, steps):
            step(clean.to(device))

    return train

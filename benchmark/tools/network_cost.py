"""Measures what a network costs: evaluations of a sampler, FLOPs, and seconds per image."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from benchmark.config.schema import Likelihood
from benchmark.config.training import Training
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.classifier import cross_entropy
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.likelihood import log_density
from benchmark.diffusion.objective import EVERY, Objective, objective
from benchmark.diffusion.processes.base import Prediction, Process
from benchmark.diffusion.question import Question
from benchmark.diffusion.samplers import Sampler
from benchmark.models.description import Architecture
from benchmark.runtime.device import placed, seeded, synchronise, use_threads
from benchmark.stages.trainer import Trainer, TrainingSet

if TYPE_CHECKING:
    from benchmark.config.jobs.classifier import ClassifierJob
    from benchmark.config.tasks import Task
    from benchmark.diffusion.samplers.base import Model

LEAST_SECONDS = 1.0  # for which a network is timed at least; no batch should take longer


def evaluations(
    process: Process,
    sampler: Sampler,
    steps: int,
    task: Task | None = None,
    shape: tuple[int, int, int] = (3, 2, 2),
) -> tuple[int, bool]:
    """Return the network evaluations per image, and whether every network takes as many.

    They are counted on two networks whose output is 0. As a prediction of v, that is exact for
    images that are standard normal; as a prediction of x_0, for images that are all zero. An
    adaptive sampler takes different numbers of evaluations for them.

    Args:
        process: the process that is sampled.
        sampler: the sampler.
        steps: its number of steps.
        task: what is asked about images, where gradients count too; None: nothing.
        shape: that of an image, C×H×W, on which a task may depend.
    """
    normal, point = (
        _count(process, sampler, steps, prediction, task, shape) for prediction in ("v", "x0")
    )
    return normal, normal == point


def likelihood_evaluations(
    process: Process, settings: Likelihood, dimensions: int
) -> tuple[float, bool]:
    """Return the evaluations of an image's likelihood, and whether every network takes as many.

    A backward pass for the gradient of an image counts as two. The solver's are counted on a
    network whose output is 0, as a prediction of v.

    Args:
        process: the process of the network.
        settings: how the likelihood is measured.
        dimensions: of an image: pixels times channels.
    """
    model = Denoiser(lambda x, condition: 0 * x, process, "v")
    solved = log_density(model, process, torch.zeros(1, 1, 2, 2), None, settings.tolerance)
    passes = settings.probes or dimensions
    count = solved.evaluations * (1.0 + 2 * passes)
    if settings.bound and process.family == "vp-discrete":
        count += process.t_max + 1
    return count, False


def flops(network: nn.Module, resolution: int, process: Process, channels: int = 3) -> int:
    """Return the FLOPs for one image of a forward pass.

    Convolutions and matrix products are counted, two FLOPs for each multiplication with an
    addition. All other operations take few in comparison.

    Args:
        network: the network.
        resolution: height and width of the image in pixels.
        process: the process that the network was made for.
        channels: number of channels of the image.
    """
    on_meta = copy.deepcopy(network).to("meta")
    x, condition = _inputs(process, 1, channels, resolution, torch.device("meta"))
    with FlopCounterMode(display=False) as counter:
        on_meta(x, condition)
    return int(counter.get_total_flops())


def training_flops(network: nn.Module, loss: Objective, resolution: int, channels: int = 3) -> int:
    """Return the FLOPs for one image of a training step, forwards and backwards; see `flops`.

    Args:
        network: what is trained, on the CPU.
        loss: what is minimised.
        resolution: height and width of the image in pixels.
        channels: number of channels of the image.
    """
    image, generator = torch.zeros(1, channels, resolution, resolution), torch.Generator()
    with _Operations() as counter:
        found = loss(copy.deepcopy(network), image, generator.manual_seed(0), EVERY)
        found.backward()  # type: ignore[no-untyped-call]
    return int(counter.flops)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts FLOPs as torch does, without its hooks of modules, which break second derivatives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do an operation, and add its FLOPs."""
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.flops += int(count(*args, **(kwargs or {}), out_val=out))
        return out


def seconds_an_image(
    call: Callable[[int], object], most: int, device: torch.device
) -> tuple[float, int]:
    """Return the seconds per image, the median of several calls, and the size of their batch.

    The batch is doubled up to `most` while a call stays short and fits into memory. The first call
    is not timed.

    Args:
        call: computes a batch of the given number of images.
        most: the largest batch.
        device: the device that does the work.

    Raises:
        BenchmarkError: one image does not fit into the device's memory.
    """
    try:
        call(1)
    except torch.OutOfMemoryError:
        raise BenchmarkError("one image does not fit into the device's memory") from None
    batch, spent = 1, _clock(call, 1, device)
    while 2 * spent < LEAST_SECONDS and batch < most:
        larger = min(2 * batch, most)
        try:
            spent = _clock(call, larger, device)
        except torch.OutOfMemoryError:
            break
        batch = larger
    times = [spent] if spent >= LEAST_SECONDS else []  # the first call of a size is slower
    while math.fsum(times) < LEAST_SECONDS:
        times.append(_clock(call, batch, device))
    return statistics.median(times) / batch, batch


@dataclass(frozen=True)
class Cost:
    """The cost of one image in one evaluation of a network, or in one training step.

    Attributes:
        parameters: parameters of the network; None: unknown.
        flops: FLOPs per image.
        seconds: seconds per image.
        batch: size of the batch whose time was measured.
    """

    parameters: int | None
    flops: int
    seconds: float
    batch: int


@dataclass
class Meter:
    """Measures each network once for each resolution.

    Args:
        device: the device on which it is timed.
        threads: threads of one operation.
        workers: number of processes of one thread that share each batch of samples; 1: one process
            with all threads does.
    """

    device: torch.device
    threads: int = 1
    workers: int = 1
    found: dict[tuple[object, ...], Cost] = field(default_factory=dict)

    def sampling(self, network: Architecture, resolution: int, most: int) -> Cost:
        """Return the cost of one image in one evaluation, in batches of at most `most` images."""
        key = ("sample", network.key, resolution, most)
        if key not in self.found:
            self.found[key] = self._sampling(network, resolution, most)
        return self.found[key]

    def training(self, network: Architecture, resolution: int, settings: Training) -> Cost:
        """Return the cost of one image in a training step."""
        key = ("train", network.key, resolution, settings.batch)
        if key not in self.found:
            self.found[key] = self._training(network, resolution, settings)
        return self.found[key]

    def _sampling(self, architecture: Architecture, resolution: int, most: int) -> Cost:
        network, process = self._build(architecture)
        channels = architecture.channels
        count = flops(network, resolution, process, channels=channels)
        network = placed(network, self.device)

        @torch.inference_mode()
        def call(batch: int) -> None:
            x, condition = _inputs(process, batch, channels, resolution, self.device)
            network(x.contiguous(memory_format=torch.channels_last), condition)

        use_threads(self.threads if self.workers == 1 else 1)
        try:
            seconds, batch = seconds_an_image(call, -(-most // self.workers), self.device)
        finally:
            use_threads(self.threads)
        return Cost(_size(network), count, seconds / self.workers, batch)

    def _training(self, architecture: Architecture, resolution: int, settings: Training) -> Cost:
        process, channels = architecture.schedule.process(), architecture.channels
        with seeded(0):
            network = architecture.trained()
        loss = objective(process, settings.prediction, settings.loss, **settings.loss_options())
        count = training_flops(network, loss, resolution, channels)
        images = self._images(settings.batch, resolution, channels)
        return self._steps(network, loss, TrainingSet(images), settings, count)

    def classifier(self, job: ClassifierJob) -> Cost:
        """Return the cost of one image in a training step of a classifier.

        A gradient for the image costs nearly as much.
        """
        key = ("classifier", job.name)
        if key not in self.found:
            self.found[key] = self._classifier(job)
        return self.found[key]

    def _classifier(self, job: ClassifierJob) -> Cost:
        with seeded(0):
            network = job.build()
        process, settings, source = job.schedule.process(), job.settings, job.source
        x, t = _inputs(process, 1, source.channels, source.resolution, torch.device("meta"))
        with FlopCounterMode(display=False) as counter:
            found = copy.deepcopy(network).to("meta").log_probabilities(x, t)
            found.sum().backward()  # type: ignore[no-untyped-call]
        images = self._images(settings.batch, source.resolution, source.channels)
        labels = torch.zeros(settings.batch, dtype=torch.int64, device=self.device)
        data = TrainingSet(images, labels=labels)
        count = int(counter.get_total_flops())
        return self._steps(network, cross_entropy(process), data, settings, count)

    def _images(self, count: int, resolution: int, channels: int) -> Tensor:
        """Return black images, uint8 count×H×W×C."""
        shape = (count, resolution, resolution, channels)
        return torch.zeros(shape, dtype=torch.uint8, device=self.device)

    def _steps(
        self,
        network: nn.Module,
        loss: Objective,
        data: TrainingSet,
        settings: Training,
        flops: int,
    ) -> Cost:
        """Return the cost of one image in a training step, of which the FLOPs are known."""
        trainer = Trainer(
            network=network.to(self.device).train(),
            loss=loss,
            data=data,
            settings=settings.model_copy(update={"label_dropout": 0.0}),
            seed=0,
            state=Path(),  # no state is saved: the trainer is only asked for steps
        )

        def call(batch: int) -> None:
            trainer.settings = trainer.settings.model_copy(update={"batch": batch})
            trainer.step(0)

        return Cost(_size(network), flops, *seconds_an_image(call, settings.batch, self.device))

    def _build(self, architecture: Architecture) -> tuple[nn.Module, Process]:
        with seeded(0):
            return architecture.build(), architecture.schedule.process()


class _Zero(nn.Module):
    """A network whose output is 0."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return 0 * x  # of which gradients can be asked


def _count(
    process: Process,
    sampler: Sampler,
    steps: int,
    prediction: Prediction,
    task: Task | None,
    shape: tuple[int, int, int],
) -> int:
    """Return the evaluations that a sampler takes for one image of a network whose output is 0."""
    generator = torch.Generator().manual_seed(0)

    def noise() -> Tensor:
        return torch.randn((1, *shape), generator=generator)

    model = Denoiser(_Zero(), process, prediction)
    times = sampler.plan(process, steps)
    steered: Model = model
    if task is not None:
        question = Question.of(task, task.forward(torch.zeros(1, *shape)), process)
        steered = task.method.steer(model, process, question, times, noise)
    sampler.sample(steered, process, process.prior(noise()), times, noise)
    return model.evaluations


def _inputs(
    process: Process, batch: int, channels: int, resolution: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return noise, B×C×H×W, and the condition that a network gets with it, of shape (B)."""
    x = torch.randn((batch, channels, resolution, resolution), device=device)
    condition = torch.full((batch,), process.condition(float(process.t_max)), device=device)
    return x, condition


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _clock(call: Callable[[int], object], batch: int, device: torch.device) -> float:
    """Return the seconds of a call; on a CPU at most the processor time of this process.

    If other processes keep the cores busy, the call waits for them, but its processor time hardly
    grows.
    """
    synchronise(device)
    start, worked = time.perf_counter(), time.process_time()
    call(batch)
    synchronise(device)
    seconds = time.perf_counter() - start
    return min(seconds, time.process_time() - worked) if device.type == "cpu" else seconds

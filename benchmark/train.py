"""Train one network from scratch; a killed training continues where its last state was saved."""

from __future__ import annotations

import functools
import math
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.config import Config, Precision, Training
from benchmark.data import load as load_data
from benchmark.device import arithmetic, resolve_device, seeded, synchronise, use_threads
from benchmark.diffusion.losses import Loss, loss_function
from benchmark.diffusion.schedules import make_process
from benchmark.errors import BenchmarkError
from benchmark.images import dequantised, to_model_range
from benchmark.models import build
from benchmark.models.weights import save_weights
from benchmark.paths import Run
from benchmark.progress import track
from benchmark.records import Curve, Record, Stopwatch, Value, provenance, spec_hash
from benchmark.seeds import stream_seed
from benchmark.state import last_state, load_state, save_state


def stage(config: Config, name: str, run: Run, threads: int = 1) -> Record:
    """Train the network `name` (an id of `config.trainings`); write its weights and its record.

    Raises:
        BenchmarkError: the loss became NaN or infinite.
    """
    watch = Stopwatch()
    device = resolve_device(config.device)
    use_threads(threads)
    spec = config.train_spec(name)
    cell = config.trainings[name]
    recipe = config.recipe(cell.model)
    assert recipe is not None
    network_spec, settings = recipe
    schedule = config.schedule(cell.sampling.schedule)
    dataset = load_data(run.data(cell.dataset), verify=True)
    images = torch.from_numpy(dataset.train.copy()).to(device)
    state = run.state(spec_hash({**spec, "images": dataset.manifest.splits.train.sha256}))
    with seeded(stream_seed(config.seed, name, "weights")):
        network = build(network_spec, cell.resolution).to(device)
    if config.compile:
        network.compile()
    trainer = Trainer(
        network=network,
        loss=loss_function(make_process(schedule), **settings.loss_options()),
        images=images,
        settings=settings,
        seed=stream_seed(config.seed, name, "batches"),
        state=state,
        precision=config.precision,
    )
    trainer.run(name)
    save_weights(run.weights(name), trainer.averaged, spec)
    record = Record(
        kind="train",
        id=name,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(
            watch,
            threads=threads,
            device=device.type,
            precision=config.precision,
            compiled=config.compile,
        ),
        values=trainer.values(),
        facts={
            "models": sorted({c.model for c in config.cells if c.trained_as == name}),
            "schedule": cell.schedule,
            "dataset": cell.dataset,
            "parameters": sum(p.numel() for p in network.parameters()),
            "images": len(images),
            "batch": trainer.settings.batch,
            "steps": trainer.total,
        },
        curve=trainer.curve(),
    )
    record.write(run.record("train", name))
    # A finished training that is asked for again, since code or data changed, begins anew.
    shutil.rmtree(state, ignore_errors=True)
    return record


@dataclass
class Reached:
    """How far a training has come, besides its weights."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # means over `log_every` steps


class Trainer:
    """The training loop.

    All randomness of step k follows from (seed, k), so no random state is kept: a training that is
    killed and continued ends, on a CPU with as many threads, with the bits of one that was not.

    Args:
        network: predicts from (x_t: B×3×H×W, condition: B).
        loss: the loss of its process.
        images: uint8, N×H×W×3, on the network's device.
        settings: the config's training section.
        seed: of data order, noise, times and flips.
        state: folder for saved states.
        precision: in which the network computes; weights and optimiser are float32.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        images: Tensor,
        settings: Training,
        seed: int,
        state: Path,
        precision: Precision = "float32",
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.loss = loss
        self.images = images
        self.settings = settings
        self.seed = seed
        self.state = state
        self.precision = precision
        self.total = settings.total_steps(len(images))
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.weights = network.state_dict()  # views, which change as the network does
        self.averaged = {k: v.detach().clone() for k, v in self.weights.items()}
        self.reached = Reached()

    def run(self, name: str) -> None:
        """Train from the last saved state, or from the start, to the last step."""
        self._resume()
        self.network.train()
        window: list[Tensor] = []
        clock = saved = time.monotonic()
        first = self.reached.step
        for step in track(range(first, self.total), self.total - first, f"train {name}"):
            window.append(self.step(step))
            if (step + 1) % self.settings.log_every and step + 1 < self.total:
                continue
            self._log(window, step)
            window = []
            now = time.monotonic()
            self.reached.seconds += now - clock
            self.reached.step = step + 1
            clock = now
            if now - saved >= self.settings.save_seconds or step + 1 == self.total:
                save_state(self.state, step + 1, self._state())
                clock = saved = time.monotonic()  # saving is not training
        synchronise(self.images.device)

    def step(self, step: int) -> Tensor:
        """Take one optimiser step and return its loss, a scalar still on the device."""
        generator = torch.Generator(self.images.device).manual_seed(stream_seed(self.seed, step))
        x_0 = to_model_range(self.images[self._batch(step)])  # (B, 3, H, W)
        if self.settings.flip:
            mirrored = torch.rand(len(x_0), generator=generator, device=x_0.device) < 0.5
            x_0 = torch.where(mirrored[:, None, None, None], x_0.flip(-1), x_0)
        if self.settings.dequantise:
            uniform = torch.rand(x_0.shape, generator=generator, device=x_0.device)
            x_0 = dequantised(x_0, uniform)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, step, self.total)
        self.optimiser.zero_grad(set_to_none=True)
        # Once in a step each weight is used and then changed: halves of it are not worth keeping.
        with arithmetic(self.precision, self.images.device, cache=False):
            loss = self.loss(self.network, x_0, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip, foreach=True)
        self.optimiser.step()
        self._average(step)
        return loss.detach()

    def values(self) -> dict[str, Value]:
        """Return time, speed and last loss."""
        images = self.total * self.settings.batch
        return {
            "train_seconds": Value(value=self.reached.seconds),
            "train_images_per_second": Value(value=images / self.reached.seconds),
            "final_loss": Value(value=self.reached.losses[-1]),
        }

    def curve(self) -> Curve:
        """Return the loss, each point the mean of the `log_every` steps that end there."""
        every = self.settings.log_every
        steps = [min((i + 1) * every, self.total) for i in range(len(self.reached.losses))]
        rates = [learning_rate(self.settings, step - 1, self.total) for step in steps]
        return Curve(steps=steps, loss=self.reached.losses, lr=rates)

    def _batch(self, step: int) -> Tensor:
        epoch, position = divmod(step, -(-len(self.images) // self.settings.batch))
        start = position * self.settings.batch
        return self._order(epoch)[start : start + self.settings.batch]

    @functools.lru_cache(maxsize=1)  # noqa: B019  one trainer a process
    def _order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "order", epoch))
        order = torch.randperm(len(self.images), generator=generator)
        return order.to(self.images.device)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        limit = self.settings.ema or 0.0
        decay = min(limit, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.averaged.values()), [self.weights[k] for k in self.averaged], 1 - decay
        )

    def _log(self, window: list[Tensor], step: int) -> None:
        losses = torch.stack(window).double().cpu()
        wrong = (~losses.isfinite()).nonzero()
        if len(wrong):
            at = step + 1 - len(window) + int(wrong[0])
            raise BenchmarkError(
                f"training: the loss became {losses[int(wrong[0])].item()} at step {at} with "
                f"learning rate {learning_rate(self.settings, at, self.total):.3g}; the last good "
                f"state is {last_state(self.state)}: lower training.lr or training.clip"
            )
        self.reached.losses.append(losses.mean().item())

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(),
            "reached": vars(self.reached),
        }

    def _resume(self) -> None:
        state = load_state(self.state, self.images.device)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.averaged = state["averaged"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.reached = Reached(**state["reached"])


def learning_rate(settings: Training, step: int, total: int) -> float:
    """Return the rate of a step: linear warm-up, then constant or a half cosine down to zero."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.decay == "constant":
        return settings.lr
    progress = (step - settings.warmup) / max(1, total - settings.warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))

"""The loop of a training, and how it goes on after it was stopped."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.core.seeds import stream_seed
from benchmark.core.values import Value
from benchmark.diffusion.objective import Objective
from benchmark.metrics.uncertainty import median_rate
from benchmark.records.contention import Watch
from benchmark.records.record import Curve
from benchmark.runtime.device import arithmetic, synchronise
from benchmark.runtime.machine_state import watch_machine
from benchmark.runtime.model_range import dequantised, to_model_range
from benchmark.runtime.process_group import ALONE, Team
from benchmark.runtime.stopping import AGAIN, Budget, Stopped, deferred, reason
from benchmark.runtime.training_state import last_state, load_state, save_state

if TYPE_CHECKING:
    from benchmark.config.schema import ComputePrecision, Training


@dataclass
class Reached:
    """How far a training has come, besides its weights."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # means over `log_every` steps
    window: list[float] = field(default_factory=list)  # of the steps since then
    lap_seconds: list[float] = field(default_factory=list)  # that `seconds` is the sum of
    lap_steps: list[int] = field(default_factory=list)
    # what else used the machine, each time that the training went on
    sittings: list[dict[str, Any]] = field(default_factory=list)


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
        team: processes that train together; each draws the times and the noise of whole batches,
            and its network sees its share.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Objective,
        images: Tensor,
        settings: Training,
        seed: int,
        state: Path,
        precision: ComputePrecision = "float32",
        team: Team = ALONE,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.loss = loss
        self.images = images
        self.settings = settings
        self.seed = seed
        self.state = state
        self.precision = precision
        self.team = team
        self.parallel = team.parallel(self.network)
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

    def run(self, name: str, budget: Budget | None = None, watch: Watch | None = None) -> None:
        """Train from the last saved state, or from the start, to the last step.

        Args:
            name: of the training, for its messages.
            budget: of time; None: as long as it takes.
            watch: of what else uses the machine; None: one that begins now.

        Raises:
            BenchmarkError: the loss became NaN or infinite.
            Stopped: by a signal or with the budget spent, but after a step, with the state saved.
        """
        budget, watch = budget or Budget(), watch or watch_machine(self.images.device)
        self._resume()
        before = list(self.reached.sittings)
        self.network.train()
        watch.begin()
        window: list[Tensor] = []
        clock = saved = time.monotonic()
        with deferred() as signalled:
            for step in self._steps(name):
                window.append(self.step(step))
                done = step + 1
                budget.took("step", (time.monotonic() - clock) / len(window))
                stop = self.team.agree(signalled() or (AGAIN if budget.is_spent() else 0))
                if not stop and done % self.settings.log_every and done < self.total:
                    continue
                self._log(window, step)
                now = time.monotonic()
                budget.took("step of the last window", (now - clock) / len(window))
                self.reached.seconds += now - clock
                self.reached.lap_seconds.append(now - clock)
                self.reached.lap_steps.append(len(window))
                self.reached.step = done
                window, clock = [], now
                if stop or now - saved >= self.settings.save_seconds or done == self.total:
                    self.reached.sittings = [*before, watch.found().model_dump()]
                    self._save()
                    clock = saved = time.monotonic()  # saving is not training
                    budget.took("saving", saved - now)
                if stop and done < self.total:
                    self._stop(name, stop)
        synchronise(self.images.device)

    def step(self, step: int) -> Tensor:
        """Take one optimiser step and return its loss, a scalar still on the device.

        Of several processes each returns its part of the loss.
        """
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
        rows, weight = self.team.share(len(x_0))
        # Once in a step each weight is used and then changed: halves of it are not worth keeping.
        with arithmetic(self.precision, self.images.device, cache=False):
            loss = self.loss(self.parallel, x_0, generator, rows)
        (loss * (weight * self.team.size)).backward()  # type: ignore[no-untyped-call]
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip, foreach=True)
        self.optimiser.step()
        self._average(step)
        return weight * loss.detach()

    def values(self) -> dict[str, Value]:
        """Return time, speed and last loss; the median and its interval are of `step_laps`."""
        step = median_rate(self.reached.lap_seconds, self.reached.lap_steps)
        return {
            "train_seconds": Value(value=self.reached.seconds),
            "train_seconds_per_step": step,
            "final_loss": Value(value=self.reached.losses[-1]),
        }

    def step_laps(self) -> list[tuple[float, int]]:
        """Return the seconds and the steps of each lap between two logs."""
        return list(zip(self.reached.lap_seconds, self.reached.lap_steps, strict=True))

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

    def _steps(self, name: str) -> Iterable[int]:
        steps = range(self.reached.step, self.total)
        return track(steps, len(steps), f"train {name}") if self.team.rank == 0 else steps

    def _log(self, window: list[Tensor], step: int) -> None:
        """Take note of the losses of the steps since the last call, of which `step` is the last."""
        losses = self.team.total(torch.stack(window).double()).cpu()
        wrong = (~losses.isfinite()).nonzero()
        if len(wrong):
            at = step + 1 - len(window) + int(wrong[0])
            raise BenchmarkError(
                f"training: the loss became {losses[int(wrong[0])].item()} at step {at} with "
                f"learning rate {learning_rate(self.settings, at, self.total):.3g}; the last good "
                f"state is {last_state(self.state)}: lower training.lr or training.clip"
            )
        self.reached.window += losses.tolist()
        if (step + 1) % self.settings.log_every == 0 or step + 1 == self.total:
            mean = torch.tensor(self.reached.window, dtype=torch.float64).mean().item()
            self.reached.losses.append(mean)
            self.reached.window.clear()

    def _save(self) -> None:
        # Each process has its own clock: the others do not know of it, and wait in the next step.
        if self.team.rank == 0:
            save_state(self.state, self.reached.step, self._state())

    def _stop(self, name: str, status: int) -> NoReturn:
        if self.team.rank == 0:
            print(
                f"train {name}: {reason(status)}: stopped at step {self.reached.step} of "
                f"{self.total} with the state saved: run the command again to continue",
                file=sys.stderr,
                flush=True,
            )
        self.team.wait()  # the end of one process ends the others
        raise Stopped(status)

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(),
            "reached": vars(self.reached),
        }

    def _resume(self) -> None:
        is_first = self.team.rank == 0
        if not is_first:
            self.team.wait()
        state = load_state(self.state, self.images.device, self._fits, clear=is_first)
        if is_first:
            self.team.wait()  # it has removed what is damaged: all read the same one
        if state is not None:
            self.network.load_state_dict(state["network"])
            self.averaged = state["averaged"]
            self.optimiser.load_state_dict(state["optimiser"])
            self.reached = Reached(**state["reached"])
        if not self.team.is_same(self.reached.step):  # nor does anybody go on before all have read
            raise BenchmarkError(
                f"{self.state}: the processes read states of different steps: run the command again"
            )

    def _fits(self, state: dict[str, Any]) -> bool:
        """Return whether a state is of this network and this version of the program."""
        own = self._state()
        return state.keys() == own.keys() and all(
            _layout(state[part]) == _layout(own[part]) for part in own
        )


def learning_rate(settings: Training, step: int, total: int) -> float:
    """Return the rate of a step: linear warm-up, then constant or a half cosine down to zero."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.decay == "constant":
        return settings.lr
    progress = (step - settings.warmup) / max(1, total - settings.warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))


def _layout(part: object) -> dict[str, object]:
    """Return the names in a part of a state, with the shapes of tensors."""
    items = part.items() if isinstance(part, dict) else ()
    return {name: value.shape if isinstance(value, Tensor) else None for name, value in items}

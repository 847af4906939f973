"""Times the whole command `score` against those of pytorch-fid, clean-fid and torch-fidelity."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmark.core.closure import HOME
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.tools.speed.checkouts import CommandUse, measured
from benchmark.tools.speed.limits import multiplies_bf16, product_rate
from benchmark.tools.speed.metrics import random_weights
from benchmark.tools.speed.timing import CPU, SpeedRow, interleave, missing, version

FILE = "pt_inception-2015-12-05-6726825d.pth"  # the name by which pytorch-fid's cache knows it
_SMOOTH = 4  # pixels in a row of the noise that is enlarged, so that the files compress as images


@dataclass(frozen=True)
class ScoreSizes:
    """How much is measured.

    Attributes:
        images: PNG files in each folder.
        side: their height and width in pixels.
        rounds: rounds of each comparison.
        product: rows and columns of the matrix product.
    """

    images: int = 1000
    side: int = 64
    rounds: int = 5
    product: int = 4096


QUICK = ScoreSizes(images=4, side=16, rounds=1, product=64)

# Our command with weights that are not the published ones.
_OURS = """
import dataclasses, sys
from benchmark.cli.app import main
from benchmark.extractors.inception_2015 import Inception2015
sha256, *arguments = sys.argv[1:]
Inception2015.weights = dataclasses.replace(Inception2015.weights, sha256=sha256)
sys.argv = ["score", *arguments]
main()
"""
_PYTORCH_FID = """
from pytorch_fid.fid_score import main
from benchmark.tools.speed.older_scipy import sqrtm_with_disp
with sqrtm_with_disp():
    main()
"""
# clean-fid's own network cannot be given other weights, so that it gets pytorch-fid's, to which its
# images are scaled.
_CLEAN_FID = """
import sys, torch
from cleanfid import fid
from pytorch_fid.inception import InceptionV3
from benchmark.tools.speed.older_scipy import sqrtm_with_disp
real, fake = sys.argv[1:]
network = InceptionV3(resize_input=False, normalize_input=False).eval()
def features(x):
    with torch.no_grad():
        return network((x - 128) / 128)[0][:, :, 0, 0]
with sqrtm_with_disp():
    found = fid.compute_fid(
        fake, real, device=torch.device("cpu"), custom_feat_extractor=features, verbose=False
    )
print("FID: ", found)
"""
_TORCH_FIDELITY = "from torch_fidelity.fidelity import main; main()"


class Peer(NamedTuple):
    """Another program that computes the Fréchet distance of two folders.

    Attributes:
        package: name of its package; it names its rule of files here too.
        module: name of its module.
        program: what Python runs.
        arguments: its arguments before the two folders.
        extractor: the extractor that follows it.
        target: the ratio that should be reached.
        note: what is not as its users call it.
    """

    package: str
    module: str
    program: str
    arguments: tuple[str, ...]
    extractor: str
    target: float
    note: str = ""


PEERS = (
    Peer("pytorch-fid", "pytorch_fid", _PYTORCH_FID, (), "inception-v3-fid", 2),
    Peer(
        *("clean-fid", "cleanfid", _CLEAN_FID, (), "inception-v3-clean-fid", 1.5),
        note="its network is pytorch-fid's",
    ),
    Peer(
        *("torch-fidelity", "torch_fidelity", _TORCH_FIDELITY),
        ("--fid", "--cpu", "--no-cache", "--silent", "--feature-extractor-weights-path", FILE),
        *("inception-v3-torch-fidelity", 1.5),
    ),
)


def rows(sizes: ScoreSizes) -> Iterator[SpeedRow]:
    """Measure the command on two folders of PNG files against each of `PEERS`, in turns.

    All use the same random weights, and as many threads as they do when they are called so on as
    many cores.

    Args:
        sizes: how much is measured.

    Yields:
        For each peer, the row of the time and that of the memory.

    Raises:
        BenchmarkError: a command fails.
    """
    with tempfile.TemporaryDirectory(prefix="score-") as folder:
        place = Path(folder)
        commands = _Commands(place)
        for seed, name in enumerate(("real", "fake")):
            write_images(place / name, sizes.images, sizes.side, seed)
        least = commands.least_seconds(sizes)
        for peer in PEERS:
            if absent := missing(peer.module, peer.package):
                yield SpeedRow(f"score as {peer.package}", "s", [], [], note=absent)
                continue
            one, two = partial(commands.ours, peer), partial(commands.theirs, peer)
            own, other = interleave(one, two, sizes.rounds, sizes.rounds)
            yield from _compared(peer, own, other, sizes, least)
        yield from _in_bf16(commands, sizes)


def _in_bf16(commands: _Commands, sizes: ScoreSizes) -> Iterator[SpeedRow]:
    """Compare our command in bf16 with the first of `PEERS`, on a processor that multiplies it."""
    peer = PEERS[0]
    if missing(peer.module, peer.package):
        return
    if not multiplies_bf16():
        note = "this processor has neither AMX nor AVX512-BF16"
        yield SpeedRow("score in bf16", "s", [], [], note=note)
        return
    in_bf16 = partial(commands.ours, peer, "bf16")
    own, other = interleave(in_bf16, partial(commands.theirs, peer), sizes.rounds, sizes.rounds)
    apart = own[-1].distance / commands.ours(peer).distance - 1
    name = f"score of {sizes.images} and {sizes.images} PNG files of {sizes.side}×{sizes.side}"
    ours, theirs = ([scored.use.seconds for scored in side] for side in (own, other))
    note = f"the distance differs by {apart:+.3%} from that in float32, where 0.5% is allowed"
    of = version(peer.package)
    yield SpeedRow(f"{name}, {peer.extractor}, bf16", "s", ours, theirs, of, "ratio 4", note)


def _compared(
    peer: Peer,
    own: Sequence[_Scored],
    other: Sequence[_Scored],
    sizes: ScoreSizes,
    least: float,
) -> Iterator[SpeedRow]:
    name = f"score of {sizes.images} and {sizes.images} PNG files of {sizes.side}×{sizes.side}"
    name = f"{name}, {peer.extractor}"
    apart = abs(own[-1].distance / other[-1].distance - 1)
    share = least / float(np.median([scored.use.seconds for scored in own]))
    note = (
        f"the distances differ by {apart:.1e}; the network's multiplications, at the rate of a "
        f"matrix product, would take {share:.0%} of our time"
    )
    note = f"{note}; {peer.note}" if peer.note else note
    of = version(peer.package)
    ours, theirs = ([scored.use.seconds for scored in side] for side in (own, other))
    yield SpeedRow(name, "s", ours, theirs, of, f"ratio {peer.target:g}", note)
    ours, theirs = ([scored.use.processor for scored in side] for side in (own, other))
    yield SpeedRow(f"{name}, processor time", "s", ours, theirs, of)
    ours, theirs = ([scored.use.memory.resident for scored in side] for side in (own, other))
    yield SpeedRow(f"{name}, memory", "MB", ours, theirs, of)


class _Scored(NamedTuple):
    """Time and memory of a command, and the distance that it printed."""

    use: CommandUse
    distance: float


class _Commands:
    """The commands of both sides, and the weights that they share.

    Args:
        folder: a folder with the images, `real` and `fake`; the weights are written into it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        cache = folder / "hub" / "checkpoints"
        cache.mkdir(parents=True)
        torch.save(random_weights(), cache / FILE)
        (folder / FILE).symlink_to(cache / FILE)
        self.sha256 = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(HOME),
            "TORCH_HOME": str(folder),
        }

    def ours(self, peer: Peer, precision: str = "float32") -> _Scored:
        """Measure our command with the extractor and the files of a peer."""
        options = f"--metrics fd --device cpu --weights {FILE} --extractor {peer.extractor}".split()
        arguments = ["score", "real", "fake", *options, "--files", peer.package, "--format", "json"]
        arguments += ["--precision", precision]
        use = self._run("here", _OURS, self.sha256, *arguments)
        return _Scored(use, json.loads(use.printed)["values"]["frechet"]["value"])

    def theirs(self, peer: Peer) -> _Scored:
        """Measure the command of a peer."""
        folders: tuple[str, ...] = ("real", "fake")
        if peer.module == "torch_fidelity":
            folders = ("--input2", "real", "--input1", "fake")
        use = self._run(peer.package, peer.program, *peer.arguments, *folders)
        return _Scored(use, distance_in(use.printed))

    def _run(self, name: str, program: str, *arguments: str) -> CommandUse:
        command = [sys.executable, "-c", program, *arguments]
        return measured(command, self.folder, self.environment, name)

    def least_seconds(self, sizes: ScoreSizes) -> float:
        """Return the seconds of the network's multiplications at the rate of a matrix product."""
        torch.set_num_threads(available_cores())
        network = EXTRACTORS.make("inception-v3-fid").build(self.folder / FILE, CPU)
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, sizes.side, sizes.side, dtype=torch.uint8))
        flops = 2 * sizes.images * int(counter.get_total_flops())
        return flops / product_rate(sizes.product)


def distance_in(printed: str) -> float:
    """Return the Fréchet distance that another program printed.

    Raises:
        BenchmarkError: it printed none.
    """
    found = re.search(r"(?:FID|frechet_inception_distance):\s+(\S+)", printed)
    if found is None:
        raise BenchmarkError(f"speed score: no distance in what a program printed: {printed!r}")
    return float(found[1])


def write_images(folder: Path, count: int, side: int, seed: int) -> None:
    """Write PNG files of smooth colour fields with noise, which differ with the seed."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(count):
        coarse = rng.integers(0, 256 - 64 * seed, (_SMOOTH, _SMOOTH, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        pixels = np.asarray(smooth) // 2 + rng.integers(0, 128, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.png")

import hashlib
import inspect
import json
import os
import pickle
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.processes.discrete_ve import DiscreteVE
from benchmark.diffusion.processes.discrete_vp import DiscreteVP
from benchmark.diffusion.processes.ve import VE
from benchmark.models.checkpoints.diffusers import DiffusersCheckpoint
from benchmark.models.checkpoints.ncsn import NcsnCheckpoint
from benchmark.models.checkpoints.own import OwnCheckpoint
from benchmark.models.checkpoints.zoo import ZOO, ZooCheckpoint
from benchmark.models.description import Loaded
from benchmark.models.diffusers_config import FIXED, UNET_DEFAULTS, schedule_and_prediction
from benchmark.models.modules.refinenet import RefineNetModule
from benchmark.models.modules.unet import UNetModule
from benchmark.models.networks.refinenet import RefineNet
from benchmark.models.networks.unet import UNet
from benchmark.models.scheduler_settings import (
    ALWAYS,
    FOLLOWED,
    FOLLOWED_WITHOUT_BETAS,
    IDLE,
    KNOWN,
    OLD,
    OPTIONS,
    OTHERS,
    REFUSED,
    SCHEDULERS,
    SPACINGS,
)
from benchmark.models.schedulers import Scheduler, read_scheduler
from benchmark.models.weights import save_weights

torch.set_num_threads(1)

LIKE_CELEBAHQ = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
LIKE_NCSNPP = {
    "sample_size": 8,
    "block_out_channels": (32, 64),
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
    "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    "mid_block_scale_factor": 2**0.5,
    "time_embedding_type": "fourier",
    "attention_head_dim": 8,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
RANDOM_UNET = UNet(channels=(8, 16), attention=(False, True), groups=4, output_gates=True)
TRAINED = {
    "network": RANDOM_UNET.model_dump(mode="json"),
    "schedule": {"kind": "cosine", "T": 100},
    "data": {"resolution": 8},
    "training": {"prediction": None},
}


def diffusers_unet(options: dict[str, Any]) -> Any:
    """A network of diffusers with random weights, the same for the same options."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DModel(**options).eval()


@pytest.fixture(scope="module")
def ddpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as diffusers saves it, its weights as safetensors."""
    from diffusers import DDPMPipeline, DDPMScheduler

    folder = tmp_path_factory.mktemp("ddpm")
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_end=0.1, prediction_type="v_prediction")
    DDPMPipeline(diffusers_unet(LIKE_CELEBAHQ), scheduler).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sde(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything at its top and pickled weights, as google's checkpoints are."""
    from diffusers import ScoreSdeVeScheduler

    folder = tmp_path_factory.mktemp("sde")
    diffusers_unet(LIKE_NCSNPP).save_pretrained(folder, safe_serialization=False)
    ScoreSdeVeScheduler(sigma_max=380.0, snr=0.075).save_pretrained(folder)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    save_weights(path, RANDOM_UNET.build(8).state_dict(), TRAINED)
    return path


def ncsn_checkpoint(path: Path, spec: RefineNet, legacy: bool) -> nn.Module:
    """Write a checkpoint as ermongroup/ncsn does, and return the network that it holds."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RefineNetModule(spec)
    parallel = nn.DataParallel(network)
    optimiser = torch.optim.Adam(parallel.parameters())
    network(torch.rand(2, 3, 8, 8), torch.tensor([0, 1])).sum().backward()
    optimiser.step()
    states = [parallel.state_dict(), optimiser.state_dict()]
    torch.save(states, path, _use_new_zipfile_serialization=not legacy)
    return network


def diffusers_spec(folder: Path | str, **options: Any) -> DiffusersCheckpoint:
    pinned = {"revision": Hub.commit} | options
    return DiffusersCheckpoint(kind="diffusers", source=str(folder), **pinned)


def load(folder: Path | str, **options: Any) -> Loaded:
    return diffusers_spec(folder, **options).load(Path("no-cache"))


def output(network: nn.Module, condition: list[float]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((len(condition), 3, 8, 8), generator=generator)
    with torch.no_grad():
        found = network(x, torch.tensor(condition))
    return found if isinstance(found, Tensor) else found.sample


def message(spec: Any, cache: Path = Path("no-cache")) -> str:
    """Return the error of loading, which is one line."""
    with pytest.raises(BenchmarkError) as caught:
        spec.load(cache)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def scheduler_of(config: dict[str, Any]) -> Scheduler:
    return read_scheduler(config, Path("scheduler_config.json"))


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_ddpm_of_diffusers_is_our_network_with_the_same_output(ddpm: Path) -> None:
    from diffusers import UNet2DModel

    found = load(ddpm)
    expected = output(UNet2DModel.from_pretrained(ddpm / "unet").eval(), [0, 7, 99])
    torch.testing.assert_close(output(found.network, [0, 7, 99]), expected, atol=1e-5, rtol=1e-5)
    assert isinstance(found.network, UNetModule)
    assert (found.resolution, found.prediction) == (8, "v")


def test_process_is_read_from_the_schedulers_own_file(ddpm: Path) -> None:
    from diffusers import DDPMScheduler

    process = load(ddpm).schedule.process()
    assert isinstance(process, DiscreteVP)
    expected = DDPMScheduler.from_pretrained(ddpm / "scheduler").alphas_cumprod.numpy()
    np.testing.assert_allclose(process.alpha_bar, expected, rtol=1e-4)


def test_ncsnpp_of_diffusers_has_the_same_output(sde: Path) -> None:
    from diffusers import UNet2DModel

    found = load(sde)
    expected = output(UNet2DModel.from_pretrained(sde).eval(), [0.01, 1.0, 380.0])
    torch.testing.assert_close(
        output(found.network, [0.01, 1.0, 380.0]), expected, atol=1e-5, rtol=1e-5
    )
    process = found.schedule.process()
    assert isinstance(process, VE)
    assert (process.sigma_min, process.sigma_max, process.t_end) == (0.01, 380.0, 1e-5)
    assert found.prediction == "score"
    assert found.facts["scheduler"]["snr"] == 0.075


def test_file_its_hash_and_its_configuration_are_recorded(sde: Path) -> None:
    found = load(sde)
    content = (sde / "diffusion_pytorch_model.bin").read_bytes()
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.facts["file"] == "diffusion_pytorch_model.bin"
    assert found.facts["revision"] is None
    assert found.facts["network"]["block_out_channels"] == [32, 64]
    json.dumps(found.facts)


def test_names_of_old_diffusers_are_read_as_diffusers_reads_them(
    ddpm: Path, tmp_path: Path
) -> None:
    from diffusers import UNet2DModel

    folder = shutil.copytree(ddpm, tmp_path / "old")
    weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    new = ["to_q", "to_k", "to_v", "to_out.0"]
    old = ["query", "key", "value", "proj_attn"]
    for before, after in zip(new, old, strict=True):
        weights = {name.replace(f".{before}.", f".{after}."): w for name, w in weights.items()}
    assert any("proj_attn" in name for name in weights)
    save_file(weights, folder / "unet" / "diffusion_pytorch_model.safetensors")
    expected = output(UNet2DModel.from_pretrained(folder / "unet").eval(), [3, 60])
    torch.testing.assert_close(output(load(folder).network, [3, 60]), expected, atol=1e-5, rtol=0)


def test_safetensors_are_preferred(ddpm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ddpm, tmp_path / "both")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not read")
    assert load(folder).facts["file"] == "unet/diffusion_pytorch_model.safetensors"


def test_half_precision_becomes_single(ddpm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ddpm, tmp_path / "half")
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: w.half() for name, w in load_file(path).items()}, path)
    network = load(folder).network
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert output(network, [5.0]).isfinite().all()


def test_loading_draws_no_random_numbers(ddpm: Path, sde: Path) -> None:
    before = torch.random.get_rng_state()
    load(ddpm)
    load(sde)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_defaults_are_those_of_diffusers() -> None:
    from diffusers import UNet2DModel

    theirs = {
        name: parameter.default
        for name, parameter in inspect.signature(UNet2DModel.__init__).parameters.items()
    }
    del theirs["self"]
    assert {
        name: list(value) if isinstance(value, tuple) else value for name, value in theirs.items()
    } == UNET_DEFAULTS
    assert set(FIXED) <= set(UNET_DEFAULTS)


@pytest.mark.parametrize(
    "change",
    [
        {"act_fn": "gelu"},
        {"center_input_sample": True},
        {"time_embedding_dim": 24},
        {"attn_norm_num_groups": 2},
        {"down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D")},
        {"mid_block_scale_factor": 1.5},
        {"up_block_types": ("UpBlock2D", "AttnUpBlock2D")},
        {"down_block_types": ("DownBlock2D", "ResnetDownsampleBlock2D")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_our_network_cannot_do_is_left_to_diffusers(
    change: dict[str, Any], tmp_path: Path
) -> None:
    assert not isinstance(loaded_as_diffusers_does(change, tmp_path), UNetModule)


def loaded_as_diffusers_does(change: dict[str, Any], folder: Path) -> nn.Module:
    """Save a changed network, and return what we load of it, which predicts what theirs does."""
    from diffusers import DDPMScheduler, UNet2DModel

    diffusers_unet(LIKE_CELEBAHQ | change).save_pretrained(folder)
    DDPMScheduler().save_pretrained(folder)
    found = load(folder).network
    expected = output(UNet2DModel.from_pretrained(folder).eval(), [9.0])
    torch.testing.assert_close(output(found, [9.0]), expected, atol=1e-5, rtol=0)
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"resnet_time_scale_shift": "scale_shift"},
        {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 4},
        {
            "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            "upsample_type": "resnet",
        },
    ],
    ids=["scale and shift", "with a norm in the middle", "residual blocks that sample"],
)
def test_the_improved_network_of_a_checkpoint_is_ours(
    change: dict[str, Any], tmp_path: Path
) -> None:
    assert isinstance(loaded_as_diffusers_does(change, tmp_path), UNetModule)


@pytest.mark.parametrize(
    ("kind", "beta_schedule"),
    [
        ("DDPMScheduler", "linear"),
        ("DDPMScheduler", "sigmoid"),
        ("DDIMScheduler", "scaled_linear"),
        ("PNDMScheduler", "squaredcos_cap_v2"),
    ],
)
def test_schedules_are_those_of_diffusers(kind: str, beta_schedule: str) -> None:
    import diffusers

    scheduler = getattr(diffusers, kind)(
        num_train_timesteps=50, beta_schedule=beta_schedule, beta_start=0.001, beta_end=0.1
    )
    config = {"_class_name": kind, **scheduler.config}
    schedule, prediction = schedule_and_prediction(scheduler_of(config))
    process = schedule.process()
    assert isinstance(process, DiscreteVP)
    expected = scheduler.alphas_cumprod.numpy()
    np.testing.assert_allclose(process.alpha_bar, expected, rtol=1e-4)
    assert prediction == "eps"


def test_settings_of_schedulers_and_their_defaults_are_those_of_diffusers() -> None:
    import diffusers

    for kind, settings in SCHEDULERS.items():
        parameters = inspect.signature(getattr(diffusers, kind).__init__).parameters
        if "args" in parameters:  # a placeholder for one whose library is missing
            continue
        theirs = {
            name: parameter.default
            for name, parameter in parameters.items()
            if name not in ("self", "kwargs")
        }
        assert theirs.items() <= settings.items(), kind


def test_no_scheduler_of_the_ddpm_process_is_forgotten() -> None:
    import diffusers

    of_others = {"CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"}  # of videos
    distilled = {"LCMScheduler", "TCDScheduler"}  # whose networks want steps of their own
    for name in dir(diffusers):
        if name.endswith("Scheduler") and not name.startswith("Flax"):
            options = inspect.signature(getattr(diffusers, name).__init__).parameters
            if "beta_schedule" in options:
                assert name in {*SCHEDULERS, *of_others, *distilled}


def test_every_setting_has_one_treatment() -> None:
    treatments: list[set[str]] = [
        FOLLOWED,
        set(REFUSED),
        IDLE,
        set(OPTIONS),
        set(ALWAYS),
        OTHERS,
        set(SPACINGS),
        OLD,
    ]
    for setting in KNOWN:
        assert sum(setting in keys for keys in treatments) == 1, setting
    assert FOLLOWED_WITHOUT_BETAS <= OTHERS
    assert set().union(*treatments) == KNOWN


@pytest.mark.parametrize(
    ("config", "clipped"),
    [
        ({"_class_name": "DDPMScheduler"}, True),
        ({"_class_name": "DDPMScheduler", "clip_sample": False, "clip_sample_range": 2}, False),
        ({"_class_name": "PNDMScheduler"}, False),
        ({"_class_name": "HeunDiscreteScheduler", "clip_sample": True}, True),
    ],
)
def test_a_checkpoint_is_confined_as_its_scheduler_says(
    ddpm: Path, tmp_path: Path, config: dict[str, Any], clipped: bool
) -> None:
    folder = shutil.copytree(ddpm, tmp_path / "other")
    content = config | {"beta_schedule": "linear"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(content))
    rewrite(folder / "model_index.json", scheduler=["diffusers", config["_class_name"]])
    assert load(folder).clip == clipped


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"clip_sample_range": 2.0}, "clip_sample_range is 2.0: only 1 is done"),
        ({"thresholding": True}, "thresholding is set: only clip_sample is done"),
    ],
)
def test_other_ways_of_confining_are_refused(
    ddpm: Path, tmp_path: Path, changes: dict[str, Any], wrong: str
) -> None:
    folder = shutil.copytree(ddpm, tmp_path / "other")
    rewrite(folder / "scheduler" / "scheduler_config.json", **changes)
    assert wrong in message(diffusers_spec(folder))


@pytest.mark.parametrize("legacy", [False, True])
def test_ncsn_checkpoint_loads_into_the_same_network(tmp_path: Path, legacy: bool) -> None:
    spec = RefineNet(channels=4, levels=3)
    path = tmp_path / "checkpoint.pth"
    expected = ncsn_checkpoint(path, spec, legacy)
    found = NcsnCheckpoint(kind="ncsn", path=path, network=spec, resolution=8).load(tmp_path)
    assert torch.equal(output(found.network, [0, 1, 2]), output(expected, [0, 1, 2]))
    process = found.schedule.process()
    assert isinstance(process, DiscreteVE)
    np.testing.assert_allclose(process.sigmas, [0.01, 0.1, 1.0])
    assert (found.prediction, found.resolution) == ("score", 8)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_own_file_describes_itself(own: Path, tmp_path: Path) -> None:
    expected = RANDOM_UNET.build(8)
    expected.load_state_dict(load_file(own))
    found = OwnCheckpoint(kind="own", path=own).load(tmp_path)
    assert torch.equal(output(found.network, [1, 50]), output(expected, [1, 50]))
    assert found.schedule.model_dump()["T"] == 100
    assert (found.prediction, found.resolution) == ("eps", 8)
    assert found.facts["trained"] == TRAINED
    assert found.clip
    assert found.name == "own.safetensors"


def test_own_file_says_what_its_network_predicts(own: Path, tmp_path: Path) -> None:
    save_weights(own, load_file(own), TRAINED | {"training": {"prediction": "v"}})
    assert OwnCheckpoint(kind="own", path=own).load(tmp_path).prediction == "v"


def test_half_precision_is_loaded_as_float32(own: Path, tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in load_file(own).items()}
    save_weights(own, halves, TRAINED)
    network = OwnCheckpoint(kind="own", path=own).load(tmp_path).network
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, halves[name].float())


def test_every_network_of_the_zoo_is_small_has_its_card_and_loads(tmp_path: Path) -> None:
    paths = sorted(ZOO.glob("*.safetensors"))
    assert paths
    for path in paths:
        assert path.stat().st_size <= 4 * 2**20
        loaded = ZooCheckpoint(kind="zoo", name=path.stem).load(tmp_path)
        assert loaded.resolution == 32
        assert loaded.sha256 in path.with_suffix(".md").read_text()


def test_a_network_that_the_zoo_has_not_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"^no 'avatars-dppm' in the zoo: did you mean"):
        ZooCheckpoint(kind="zoo", name="avatars-dppm").load(tmp_path)


def test_first_key_that_does_not_fit_is_named(ddpm: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ddpm, tmp_path / "wide")
    rewrite(folder / "unet" / "config.json", block_out_channels=[8, 32])
    assert re.search(
        r"safetensors: down_blocks\.1\.resnets\.0\.conv1\.weight has shape \(16, 8, 3, 3\), but "
        r".*config\.json makes it \(32, 8, 3, 3\)",
        message(diffusers_spec(folder)),
    )


@pytest.mark.parametrize(
    ("layers", "wrong"), [(2, "has no down_blocks.0.resnets.1."), (1, "has spare, for which")]
)
def test_missing_and_spare_keys_are_named(
    ddpm: Path, tmp_path: Path, layers: int, wrong: str
) -> None:
    folder = shutil.copytree(ddpm, tmp_path / "keys")
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(load_file(path) | {"spare": torch.zeros(1)}, path)
    rewrite(folder / "unet" / "config.json", layers_per_block=layers)
    assert wrong in message(diffusers_spec(folder))


class Trap:
    """Something that makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def save_pickle(value: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


def save_as_old_torch(value: Any, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [torch.save, save_as_old_torch, save_pickle])
def test_code_in_a_pickle_is_refused_and_not_run(sde: Path, tmp_path: Path, save: Any) -> None:
    folder = shutil.copytree(sde, tmp_path / "trap")
    path = tmp_path / "checkpoint.pth"
    trap = Trap(tmp_path / "sprung")
    save({"weights": trap}, folder / "diffusion_pytorch_model.bin")
    save([{"weights": trap}, {}], path)
    for spec in (diffusers_spec(folder), NcsnCheckpoint(kind="ncsn", path=path)):
        assert re.search(r"holds Python code \(\w+\.mkdir\)", message(spec))
    assert not trap.path.exists()


def test_the_trap_of_the_test_above_works(tmp_path: Path) -> None:
    trap = Trap(tmp_path / "sprung")
    pickle.loads(pickle.dumps(trap))
    assert trap.path.exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_pickles_are_refused_as_code_without_a_warning(
    sde: Path, tmp_path: Path, protocol: int
) -> None:
    folder = shutil.copytree(sde, tmp_path / "pickle")
    trap = Trap(tmp_path / "sprung")
    path = folder / "diffusion_pytorch_model.bin"
    path.write_bytes(pickle.dumps(trap, protocol=protocol))
    said = message(diffusers_spec(folder))
    assert said.startswith(f"{path}: ")
    assert "code" in said
    assert "is not executed" in said
    assert not trap.path.exists()


def test_what_is_no_file_of_tensors_is_not_called_code(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    for content in (b"<html>", b"version https://git-lfs", b"PK", b"\0"):
        path.write_bytes(content)
        assert "damaged weights, or no" in message(NcsnCheckpoint(kind="ncsn", path=path))


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_files_are_named(
    ddpm: Path, sde: Path, own: Path, tmp_path: Path, keep: int
) -> None:
    specs: list[Any] = [OwnCheckpoint(kind="own", path=own)]
    paths = [own]
    for name, folder in {"ddpm": ddpm, "sde": sde}.items():
        copy = shutil.copytree(folder, tmp_path / name)
        specs.append(diffusers_spec(copy))
        paths += [p for p in copy.rglob("*") if p.suffix in {".safetensors", ".bin"}]
    for spec, path in zip(specs, paths, strict=True):
        path.write_bytes(path.read_bytes()[:keep])
        said = message(spec)
        assert said.startswith(f"{path}: ")
        assert "damaged" in said
        assert len(said) < len(str(path)) + 150


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("keep", [0, 1, 4, 100, 0.5, -10])
def test_a_truncated_checkpoint_of_ncsn_is_one_short_line(
    tmp_path: Path, legacy: bool, keep: float
) -> None:
    path = tmp_path / "checkpoint.pth"
    ncsn_checkpoint(path, RefineNet(channels=4, levels=3), legacy)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    said = message(NcsnCheckpoint(kind="ncsn", path=path))
    assert said.startswith(f"{path}: damaged weights, or no")
    assert len(said) < len(str(path)) + 150


def test_another_file_than_the_one_named_by_its_hash_is_refused(sde: Path) -> None:
    right = load(sde).sha256
    assert load(sde, sha256=right).sha256 == right
    said = message(diffusers_spec(sde, sha256="0" * 64))
    assert f"its SHA-256 is {right}, not {'0' * 64}" in said


@pytest.mark.parametrize(
    ("file", "changes", "wrong"),
    [
        ("config.json", {"_class_name": "UNet2DConditionModel"}, "a UNet2DModel would be right"),
        ("config.json", {"class_embed_type": "identity"}, "class_embed_type is 'identity': null"),
        ("config.json", {"num_class_embeds": 1}, "num_class_embeds is 1: 2 or more"),
        ("config.json", {"num_class_embeds": "10"}, "num_class_embeds is '10': 2 or more"),
        ("config.json", {"out_channels": 6}, "makes 6 channels of 3"),
        ("config.json", {"sample_size": [8, 16]}, r"sample_size is \[8, 16\]"),
        ("config.json", {"sample_size": None}, "sample_size is None"),
        ("config.json", {"sample_size": []}, r"sample_size is \[\]"),
        ("config.json", {"in_channels": 2, "out_channels": 2}, "makes images of 2 channels"),
        ("config.json", {"norm_num_groups": 7}, "diffusers builds no network of it"),
        ("config.json", {"down_block_types": None}, "diffusers builds no network of it"),
        ("config.json", {"block_out_channels": None}, "diffusers builds no network of it"),
        ("scheduler_config.json", {"_class_name": "SCMScheduler"}, "is no scheduler whose"),
        (
            "scheduler_config.json",
            {"sigma_min": "tiny"},
            "sigma_min: a number is needed, not 'tiny'",
        ),
    ],
)
def test_configurations_that_cannot_be_used_are_named(
    sde: Path, tmp_path: Path, file: str, changes: dict[str, Any], wrong: str
) -> None:
    folder = shutil.copytree(sde, tmp_path / "other")
    rewrite(folder / file, **changes)
    assert re.search(f"{re.escape(str(folder / file))}: .*{wrong}", message(diffusers_spec(folder)))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"beta_schedule": "exp"}, "beta_schedule is 'exp': known are linear, "),
        ({"prediction_type": "flow"}, "prediction_type is 'flow': known are epsilon, "),
        ({"trained_betas": [0.1]}, "trained_betas is set"),
        ({"rescale_betas_zero_snr": 1}, "rescale_betas_zero_snr is 1: true or false"),
        ({"variance_type": "learned"}, "variance_type is 'learned': only networks that predict no"),
        ({"beta_schedule": ["linear"]}, r"beta_schedule is \['linear'\]: known are"),
        ({"num_train_timesteps": "many"}, "T: a number is needed, not 'many'"),
    ],
)
def test_schedules_that_are_not_ours_are_named(changes: dict[str, Any], wrong: str) -> None:
    config = {"_class_name": "DDPMScheduler", "beta_schedule": "linear"} | changes
    with pytest.raises(BenchmarkError, match=wrong):
        schedule_and_prediction(scheduler_of(config))


@pytest.mark.parametrize("content", ["{", "[]"])
def test_broken_json_is_named(ddpm: Path, tmp_path: Path, content: str) -> None:
    folder = shutil.copytree(ddpm, tmp_path / "broken")
    (folder / "unet" / "config.json").write_text(content)
    assert message(diffusers_spec(folder)).startswith(f"{folder}/unet/config.json: ")


def test_folder_without_checkpoint_is_named(tmp_path: Path) -> None:
    said = message(diffusers_spec(tmp_path))
    assert f"{tmp_path}: has no unet/config.json or config.json" in said


def test_checkpoints_of_other_shapes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    spec = NcsnCheckpoint(kind="ncsn", path=path)
    assert "no such file" in message(spec) or "cannot be read" in message(spec)
    for states in ({"a": torch.zeros(1)}, [], [torch.zeros(1)], [{"a": 1}, {}]):
        torch.save(states, path)
        assert "no checkpoint of ermongroup/ncsn" in message(spec)
    torch.save([{"module.begin_conv.weight": torch.zeros(128, 3, 3, 3)}, {}], path)
    assert "has no begin_conv.bias" in message(spec)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"network": {"kind": "custom", "factory": "os:system"}}, "os:system, which is not run"),
        ({"network": TRAINED["network"] | {"layers": 0}}, "greater than or equal to 1"),
        ({"network": TRAINED["network"] | {"patch": 2}}, "conv_in.weight has shape (8, 3, 3, 3)"),
        ({"data": {}}, "its header lacks 'resolution'"),
        ({"schedule": {"kind": "cosin"}}, "did you mean 'cosine'"),
    ],
)
def test_headers_that_do_not_describe_the_file_are_named(
    own: Path, changes: dict[str, Any], wrong: str
) -> None:
    save_weights(own, load_file(own), TRAINED | changes)
    assert wrong in message(OwnCheckpoint(kind="own", path=own))


class Hub:
    """A hub of one model, and what it was asked."""

    commit = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.agents: list[str] = []
        self.status: int | None = None  # of every answer, if not None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(b"")

            def do_GET(self) -> None:
                self.answer(None)

            def answer(self, body: bytes | None) -> None:
                hub.requests.append(self.path)
                hub.agents.append(self.headers["user-agent"] or "")
                if hub.status is not None:
                    self.send_error(hub.status)
                    return
                found = re.fullmatch(r"/google/tiny/resolve/(?:main|\w{40})/(.*)", self.path)
                file = hub.folder / (found[1] if found else "no-such-file")
                self.send_response(200 if file.is_file() else 404)
                self.send_header("X-Repo-Commit", hub.commit)
                if not file.is_file():
                    self.send_header("X-Error-Code", "EntryNotFound" if found else "RepoNotFound")
                    self.end_headers()
                    return
                content = file.read_bytes()
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if body is None else body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(sde: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server that answers as the hub does, to which the hub's own client is pointed."""
    from huggingface_hub import constants

    hub = Hub(sde)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    threading.Thread(target=hub.server.serve_forever, daemon=True).start()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def test_hub_gives_what_a_folder_gives(hub: Hub, sde: Path, tmp_path: Path) -> None:
    found = diffusers_spec("google/tiny").load(tmp_path)
    assert torch.equal(output(found.network, [0.5]), output(load(sde).network, [0.5]))
    assert found.facts["revision"] == hub.commit
    assert found.sha256 == load(sde).sha256


def test_what_was_fetched_once_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    spec = diffusers_spec("google/tiny")
    first = spec.load(tmp_path)
    asked = len(hub.requests)
    again = spec.load(tmp_path)
    assert again.facts == first.facts
    assert len(hub.requests) == asked


def test_pinned_revision_is_the_one_that_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    diffusers_spec("google/tiny", revision=Hub.commit).load(tmp_path)
    assert hub.requests
    assert all(f"/resolve/{Hub.commit}/" in path for path in hub.requests)


def test_hub_is_told_nothing_of_this_machine(hub: Hub, tmp_path: Path) -> None:
    diffusers_spec("google/tiny").load(tmp_path)
    assert hub.requests
    assert not [agent for agent in hub.agents if "torch" in agent]
    assert {path.split("/")[1] for path in hub.requests} == {"google"}


def test_hub_without_the_model_is_one_line(hub: Hub, tmp_path: Path) -> None:
    said = message(diffusers_spec("google/missing"), tmp_path)
    assert said.startswith(
        f"google/missing: no such folder, and revision {Hub.commit} cannot be fetched"
    )
    said = message(diffusers_spec("not/an/id"), tmp_path)
    assert said.startswith(
        f"not/an/id: no such folder, and revision {Hub.commit} cannot be fetched"
    )


@pytest.mark.parametrize("status", [None, 503])
def test_hub_that_does_not_answer_is_one_line_at_once(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int | None,
) -> None:
    def pause(_: float) -> None:
        raise AssertionError("the client tries again")

    if status is None:
        hub.server.shutdown()
        hub.server.server_close()
    hub.status = status
    monkeypatch.setattr("time.sleep", pause)
    said = message(diffusers_spec("google/tiny"), tmp_path)
    assert said.startswith(
        f"google/tiny: no such folder, and revision {Hub.commit} cannot be fetched"
    )
    assert ("Connection refused" if status is None else "503") in said
    assert said.endswith("): check the id and the network, or give a folder with the files")
    assert capfd.readouterr() == ("", "")

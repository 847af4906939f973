"""Checkpoints of a hub that other programs put into its cache, on a node without internet."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_pretrained import (
    LIKE_CELEBAHQ,
    Hub,
    ddpm,
    diffusers_spec,
    diffusers_unet,
    hub,
    load,
    message,
    output,
    rewrite,
    sde,
)

from benchmark.models.checkpoints.diffusers import DiffusersCheckpoint
from benchmark.models.hub import Finder, is_whole

__all__ = ["ddpm", "hub", "sde"]  # fixtures

torch.set_num_threads(1)

SNAPSHOT = Path("hub", "models--google--tiny", "snapshots", Hub.commit)
CHOICE = (
    f"the checkpoint says revision {Hub.commit}; the hub could not be asked, so that files that "
    "its cache lacks count as missing"
)


@pytest.fixture
def cache(ddpm: Path, tmp_path: Path) -> Path:
    """A cache with a pipeline as diffusers downloads it, which does not say what the hub lacks."""
    shutil.copytree(ddpm, tmp_path / SNAPSHOT)
    refs = tmp_path / SNAPSHOT.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(Hub.commit)
    return tmp_path


def unanswered(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.status = 503


def closed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.server.shutdown()
    hub.server.server_close()


def switched_off(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.faults(
    "no internet, a checkpoint in the cache of its hub",
    "the cache was filled by another program",
    "the checkpoint is sampled, and log and record say that the hub could not be asked for more",
)
@pytest.mark.parametrize("silence", [unanswered, closed, switched_off])
def test_a_whole_cache_is_enough_without_the_hub(
    hub: Hub,
    ddpm: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    silence: Callable[[Hub, pytest.MonkeyPatch], None],
) -> None:
    silence(hub, monkeypatch)
    found = diffusers_spec("google/tiny").load(cache)
    assert torch.equal(output(found.network, [3, 60]), output(load(ddpm).network, [3, 60]))
    assert found.facts["revision"] == Hub.commit
    assert [*map(str, found.choices)] == [CHOICE]
    assert len(hub.requests) <= 1  # the hub is not waited for again and again


def test_a_branch_in_the_cache_needs_no_commit(hub: Hub, cache: Path) -> None:
    found = diffusers_spec("google/tiny", revision="main").load(cache)
    assert found.facts["revision"] == Hub.commit
    assert [choice.checkpoint for choice in found.choices] == ["main"]
    assert hub.requests == []


def test_a_hub_that_answers_is_asked_for_what_the_cache_lacks(
    hub: Hub, ddpm: Path, cache: Path
) -> None:
    hub.folder = shutil.copytree(ddpm, cache / "on-the-hub")
    average = diffusers_unet(LIKE_CELEBAHQ | {"norm_eps": 1e-2})
    average.save_pretrained(hub.folder / "unet_ema")
    found = diffusers_spec("google/tiny").load(cache)
    torch.testing.assert_close(output(found.network, [3]), output(average, [3]))
    assert [choice.setting for choice in found.choices] == ["unet"]


def without_weights(snapshot: Path) -> None:
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def without_scheduler(snapshot: Path) -> None:
    shutil.rmtree(snapshot / "scheduler")


def without_network(snapshot: Path) -> None:
    (snapshot / "unet" / "config.json").unlink()


def without_a_shard(snapshot: Path) -> None:
    without_weights(snapshot)
    diffusers_unet(LIKE_CELEBAHQ).save_pretrained(snapshot / "unet", max_shard_size="20KB")
    next(snapshot.glob("unet/*-00002-of-*.safetensors")).unlink()


@pytest.mark.parametrize(
    "damage", [without_weights, without_scheduler, without_network, without_a_shard]
)
def test_part_of_a_checkpoint_is_not_enough(
    hub: Hub, cache: Path, damage: Callable[[Path], None]
) -> None:
    damage(cache / SNAPSHOT)
    hub.status = 503
    spec = diffusers_spec("google/tiny")
    assert "cannot be fetched from the Hugging Face hub" in message(spec, cache)
    assert not is_whole(Finder(spec, cache, download=False))


def test_another_revision_is_not_enough(hub: Hub, cache: Path) -> None:
    hub.status = 503
    for revision in ("f" * 40, "v1"):
        spec = DiffusersCheckpoint(kind="diffusers", source="google/tiny", revision=revision)
        assert f"revision {revision} " in message(spec, cache)


def test_a_latent_model_in_the_cache_is_refused_without_the_hub(hub: Hub, cache: Path) -> None:
    hub.status = 503
    rewrite(cache / SNAPSHOT / "model_index.json", vqvae=["diffusers", "VQModel"])
    assert "has a vqvae, so that its network makes latents" in message(
        diffusers_spec("google/tiny"), cache
    )

"""Files that `train` or `export` wrote: safetensors whose header says how they were trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserPath, explain
from benchmark.diffusion.processes.base import Prediction
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.checkpoints.base import Hashed
from benchmark.models.description import Description, Loaded
from benchmark.models.headers import OTHER, WeightFiles, read_header
from benchmark.models.networks import NETWORKS, Network


class OwnCheckpoint(Hashed):
    """A file that `train` or `export` wrote."""

    kind: Literal["own"] = "own"
    path: UserPath = Field(description="A .safetensors file", examples=["my-network.safetensors"])

    def describe(self) -> Description:
        """Return what the header says; raise BenchmarkError if that cannot be used."""
        return _describe(self.path, read_header(self.path))

    def load(self, cache: Path, trusted: bool = False) -> Loaded:
        """Load the file.

        Args:
            cache: not used.
            trusted: whether the header may name code, which is then run.

        Raises:
            BenchmarkError: the file cannot be read, has another hash, or does not fit its header.
        """
        import torch

        from benchmark.models.tensors import check_sha256, fill
        from benchmark.models.weights import load_weights

        sha256 = check_sha256(WeightFiles(self.path, (self.path,)), self.sha256)
        weights, header = load_weights(self.path)
        found = _describe(self.path, header, trusted)
        assert found.spec is not None
        with torch.device("meta"):
            network = found.spec.build(found.resolution)
        choices = fill(network, weights, self.path, self.described_in)
        facts = {"trained": header}
        return found.loaded(network, choices, name=self.path.name, sha256=sha256, facts=facts)

    def local_files(self) -> tuple[Path, list[str]]:
        """Return the file, if it is there."""
        return self.path.parent, [self.path.name] if self.path.is_file() else []


def load_trained(path: Path) -> Loaded:
    """Load weights that a run of this checkout trained; the code of a custom network is run.

    Raises:
        BenchmarkError: the file cannot be read, or does not fit what its header describes.
    """
    return OwnCheckpoint(path=path).load(path.parent, trusted=True)


def _describe(path: Path, header: Mapping[str, Any], trusted: bool = False) -> Description:
    """Return what the header of one of our own files says, which may name code if `trusted`.

    Raises:
        BenchmarkError: the header lacks something, or what it says cannot be used.
    """
    try:
        spec: Network = TypeAdapter(NETWORKS.union()).validate_python(header["network"])
        # Older files have the start of annealed Langevin dynamics here, which is now an option of
        # that sampler.
        stated = {key: value for key, value in header["schedule"].items() if key != "start"}
        schedule = SCHEDULES.get(stated["kind"]).model_validate(stated)
        resolution = int(header["data"]["resolution"])
        channels = int(header["data"].get("channels", 3))
        prediction = header["training"].get("prediction")
        learns_none = header["training"].get("label_dropout", 0) > 0
        TypeAdapter[Prediction | None](Prediction | None).validate_python(prediction)
    except KeyError as error:
        raise BenchmarkError(f"{path}: its header lacks {error}: {OTHER}") from None
    except (TypeError, AttributeError):
        raise BenchmarkError(f"{path}: its header is laid out otherwise: {OTHER}") from None
    except ValidationError as error:
        raise BenchmarkError(f"{path}: its header: {explain(error, header)}: {OTHER}") from None
    except ValueError as error:
        raise BenchmarkError(f"{path}: its header: {error}: {OTHER}") from None
    if spec.users_code() and not trusted:
        raise BenchmarkError(
            f"{path}: its header names code, {spec.users_code()}, which is not run: only built-in "
            "networks are loaded"
        )
    process = schedule.process()
    return Description(
        spec,
        schedule,
        prediction or process.prediction,
        process.clips,
        resolution,
        channels,
        None if spec.classes is None else spec.classes + learns_none,
        learns_variance=spec.learns_variance,
    )

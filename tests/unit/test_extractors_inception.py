"""The Inceptions against the libraries whose features they reproduce, all with the same weights.

Run with `-rP` to see the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from dialects import stylegan_resize
from networks import images, inception_file, relative_error, seeded, with_weights
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS, features_of
from benchmark.extractors.networks.inception_imagenet import (
    preprocess_inception_imagenet as imagenet_input,
)
from benchmark.extractors.networks.resizing import bicubic, bilinear_tf1
from benchmark.metrics.frechet import frechet_distance, statistics
from benchmark.metrics.inception_score import InceptionScore

CPU = torch.device("cpu")
SIZES = [(2, 3), (37, 51), (64, 64), (299, 299), (256, 178), (300, 598), (777, 512)]
COMPARED = 16  # features in the fast comparison of FIDs: the libraries' takes 40 s for all 2048

Fid = Callable[[NDArray[np.float32], NDArray[np.float32]], float]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


class Library(NamedTuple):
    """What a library makes of images (uint8 B×3×H×W), of two sets of features and of two folders.

    The last are as its users call it.
    """

    features: Callable[[Tensor], Tensor]
    fid: Fid
    fid_of_folders: Callable[[Path, Path], float]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inception_file(tmp_path_factory.mktemp("inception"))


def pytorch_fid(weights: Path, patch: pytest.MonkeyPatch) -> Library:
    inception = pytest.importorskip("pytorch_fid.inception")
    score = pytest.importorskip("pytorch_fid.fid_score")
    state = torch.load(weights, weights_only=True)
    patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: state)
    network = inception.InceptionV3().eval()

    def fid(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        moments = [m for x in (a, b) for m in (x.mean(0), np.cov(x, rowvar=False))]
        return float(score.calculate_frechet_distance(*moments))

    return Library(
        features=lambda x: network(x.float() / 255)[0][:, :, 0, 0],
        fid=fid,
        fid_of_folders=lambda a, b: score.calculate_fid_given_paths(
            [str(a), str(b)], batch_size=4, device=CPU, dims=2048, num_workers=0
        ),
    )


def torch_fidelity(weights: Path, _: pytest.MonkeyPatch) -> Library:
    library = pytest.importorskip("torch_fidelity")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))

    def fid(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        moments = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
        (distance,) = fid_statistics_to_metric(*moments, verbose=False).values()
        return float(distance)

    def fid_of_folders(a: Path, b: Path) -> float:
        (distance,) = library.calculate_metrics(
            input1=str(a),
            input2=str(b),
            fid=True,
            cuda=False,
            cache=False,
            verbose=False,
            batch_size=4,
            feature_extractor_weights_path=str(weights),
        ).values()
        return float(distance)

    return Library(lambda x: network(x)[0], fid, fid_of_folders)


def clean_fid(weights: Path, patch: pytest.MonkeyPatch) -> Library:
    """clean-fid with pytorch-fid's network in place of its TorchScript of the same one."""
    library = pytest.importorskip("cleanfid.fid")
    from cleanfid import inception_torchscript
    from cleanfid.resize import build_resizer

    inception = pytest.importorskip("pytorch_fid.inception")
    state = torch.load(weights, weights_only=True)
    patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: state)
    network = inception.InceptionV3(resize_input=False, normalize_input=False).eval()

    class Script(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = SimpleNamespace(forward=lambda x: network(x)[0])

    patch.setattr(inception_torchscript, "check_download_inception", lambda **_: None)
    patch.setattr(torch.jit, "load", lambda _: Script())
    model = library.build_feature_extractor("clean", CPU, use_dataparallel=False)
    resize = build_resizer("clean")

    def embed(x: Tensor) -> Tensor:
        resized = np.stack([resize(image) for image in x.permute(0, 2, 3, 1).numpy()])
        return torch.from_numpy(model(torch.from_numpy(resized).permute(0, 3, 1, 2)).numpy())

    return Library(
        features=embed,
        fid=library.fid_from_feats,
        fid_of_folders=lambda a, b: library.compute_fid(
            str(a),
            str(b),
            mode="clean",
            num_workers=0,
            batch_size=4,
            device=CPU,
            use_dataparallel=False,
            verbose=False,
        ),
    )


LIBRARIES = {
    "inception-v3-fid": pytorch_fid,
    "inception-v3-torch-fidelity": torch_fidelity,
    "inception-v3-clean-fid": clean_fid,
}


class Compared(NamedTuple):
    """A dialect, its library, and for two sets of images what either makes of them."""

    name: str
    library: Library
    found: list[Tensor]
    expected: list[Tensor]


@pytest.fixture(scope="module", params=LIBRARIES)
def compared(request: pytest.FixtureRequest, weights: Path) -> Iterator[Compared]:
    """Three images that grow, and two that shrink."""
    sets = [images(3, 37, 51), images(2, 400, 333, seed=1)]
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        library = LIBRARIES[request.param](weights, patch)
        extractor = with_weights(EXTRACTORS.make(request.param), weights)
        embed = extractor.load(CPU, weights.parent, weights)
        found, expected = ([f(x) for x in sets] for f in (embed, library.features))
        yield Compared(request.param, library, found, expected)


def test_features_match_the_library(compared: Compared) -> None:
    for found, expected in zip(compared.found, compared.expected, strict=True):
        assert found.shape == (len(expected), 2048)
        assert found.dtype == torch.float32
        error = relative_error(found, expected)
        print(f"{compared.name}: features {error:.1e}")
        assert error < 1e-5
        # The features must tell images apart, or the comparison above says little.
        assert relative_error(found[0], found[1]) > 1e-2


@pytest.mark.filterwarnings("ignore:Matrix is singular")
def test_fid_matches_the_library(compared: Compared) -> None:
    found, expected = (
        [x[:, :COMPARED].numpy() for x in sets] for sets in (compared.found, compared.expected)
    )
    reference = compared.library.fid(*expected)
    distance = frechet_distance(*map(statistics, found))
    print(f"{compared.name}: FID {abs(distance / reference - 1):.1e}")
    assert distance == pytest.approx(reference, rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader")
def test_fid_of_folders_matches_the_library(
    compared: Compared, weights: Path, tmp_path: Path
) -> None:
    sets = [images(12, 40, 56, seed=2), images(12, 40, 56, seed=3) // 2]
    arrays = [x.permute(0, 2, 3, 1).numpy() for x in sets]
    for folder, array in zip("ab", arrays, strict=True):
        (tmp_path / folder).mkdir()
        for i, image in enumerate(array):
            Image.fromarray(image).save(tmp_path / folder / f"{i:02}.png")
    reference = compared.library.fid_of_folders(tmp_path / "a", tmp_path / "b")
    extractor = with_weights(EXTRACTORS.make(compared.name), weights)
    embed = extractor.load(CPU, weights.parent, weights)
    a, b = (statistics(features_of(array, embed, CPU, batch=4)) for array in arrays)
    distance = frechet_distance(a, b)
    print(f"{compared.name}: FID of folders {abs(distance / reference - 1):.1e}")
    assert distance == pytest.approx(reference, rel=1e-3)


@torch.inference_mode()
def test_torchmetrics_input_is_torchs_bilinear_with_antialiasing() -> None:
    for x in (images(3, 37, 51), images(2, 400, 333, seed=1)):
        resized = torch.nn.functional.interpolate(
            x.float(), size=(299, 299), mode="bilinear", antialias=True, align_corners=False
        )
        found = EXTRACTORS.make("inception-v3-torchmetrics").preprocess(x)
        np.testing.assert_allclose(found, (resized - 128) / 128, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # of a package that torchmetrics imports
def test_torchmetrics_features_are_those_of_its_own_network(weights: Path) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    metric = fid.FrechetInceptionDistance(feature_extractor_weights_path=str(weights))
    extractor = with_weights(EXTRACTORS.make("inception-v3-torchmetrics"), weights)
    embed = extractor.load(CPU, weights.parent, weights)
    with torch.inference_mode():
        for x in (images(3, 37, 51), images(2, 400, 333, seed=1)):
            found = embed(x)
            error = relative_error(found, metric.inception(x))
            print(f"{extractor.kind}: features {error:.1e}")
            assert error < 1e-5
            assert relative_error(found[0], found[1]) > 1e-2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("dtype", "least", "most"), [(None, 0, 1e-7), (torch.float32, 1e-4, 1e-2)])
def test_torchmetrics_sums_in_float64_unless_it_is_told_another_precision(
    dtype: torch.dtype | None, least: float, most: float
) -> None:
    """The figures of docs/fid-dialects.md, of fewer images than dimensions."""
    fid = pytest.importorskip("torchmetrics.image.fid")

    class Flat(nn.Module):
        num_features = 64

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    rng = np.random.default_rng(0)
    sets = [np.abs(rng.normal(size=(20, 64)) * scale).astype(np.float32) for scale in (1.0, 1.1)]
    metric = fid.FrechetInceptionDistance(feature=Flat())
    if dtype:
        metric.set_dtype(dtype)
    for x, real in zip(sets, (True, False), strict=True):
        metric.update(torch.from_numpy(x).reshape(20, 1, 8, 8), real=real)
    error = abs(float(metric.compute()) / frechet_distance(*map(statistics, sets)) - 1)
    print(f"torchmetrics, {dtype or 'as it is'}: distance of 20 images {error:.1e}")
    assert least <= error < most


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 64), (256, 178), (512, 512)])
def test_edms_grid_is_the_resize_of_tensorflow_1(size: tuple[int, int]) -> None:
    """Of white noise, where each part of a pixel shows; in grey levels."""
    x = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(0))
    x = x.to(torch.uint8)
    assert (stylegan_resize(x) - bilinear_tf1(x, 299)).abs().max() < 0.02


@torch.inference_mode()
def test_spatial_features_are_seven_channels_of_the_third_block_of_17_by_17(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inception = pytest.importorskip("pytorch_fid.inception")
    state = torch.load(weights, weights_only=True)
    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: state)
    network = inception.InceptionV3(resize_input=False, normalize_input=False).eval()
    blocks = [m for m in network.modules() if isinstance(m, inception.FIDInceptionC)]
    seen: list[Tensor] = []
    blocks[2].branch1x1.register_forward_hook(lambda module, given, found: seen.append(found))
    extractor = with_weights(EXTRACTORS.make("inception-v3-spatial"), weights)
    x = images(2, 60, 91)
    network(EXTRACTORS.make("inception-v3-torch-fidelity").preprocess(x))
    found = extractor.load(CPU, weights.parent, weights)(x)
    assert seen[0].shape[2:] == (17, 17)
    assert found.shape == (2, extractor.dimension)
    assert relative_error(found, seen[0][:, :7].permute(0, 2, 3, 1).flatten(1)) < 1e-5
    assert relative_error(found[0], found[1]) > 1e-2


def test_the_dialects_feed_the_network_different_images() -> None:
    a, b, c = (EXTRACTORS.make(name).preprocess(images(2, 37, 51)) for name in LIBRARIES)
    assert all(relative_error(x, y) > 1e-2 for x, y in ((a, b), (a, c), (b, c)))


@pytest.mark.parametrize("size", [(37, 51), (400, 333), (299, 299)])
def test_an_image_alone_becomes_the_same_input_as_in_a_batch(size: tuple[int, int]) -> None:
    x = images(3, *size)
    for preprocess in (EXTRACTORS.make(name).preprocess for name in EXTRACTORS.names()):
        alone = torch.cat([preprocess(x[i : i + 1]) for i in range(3)])
        assert torch.equal(alone, preprocess(x))


@pytest.mark.parametrize("size", SIZES)
def test_tf1_resize_matches_torch_fidelity(size: tuple[int, int]) -> None:
    module = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    x = images(2, *size)
    expected = module.interpolate_bilinear_2d_like_tensorflow1x(
        x.float(), size=(299, 299), align_corners=False
    )
    assert (bilinear_tf1(x, 299) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("length", [2, 37, 256])
def test_tf1_resize_of_a_ramp_is_the_position_of_each_pixel(length: int) -> None:
    ramp = torch.arange(length, dtype=torch.uint8).expand(1, 3, 5, length)
    position = np.minimum(np.arange(299) * length / 299, length - 1)
    for x in (bilinear_tf1(ramp, 299), bilinear_tf1(ramp.mT, 299).mT):
        np.testing.assert_allclose(x[0, 0, 150], position, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_bicubic_resize_matches_pillow_channel_by_channel(size: tuple[int, int]) -> None:
    """This is how clean-fid resizes. Noise from black to white brings out the overshoot."""
    x = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(0))
    found = bicubic(x.to(torch.uint8), 299)
    for channel, resized in zip(x[0].numpy().astype(np.float32), found[0], strict=True):
        picture = Image.fromarray(channel).resize((299, 299), Image.Resampling.BICUBIC)
        expected = np.asarray(picture).clip(0, 255)
        assert relative_error(resized, torch.tensor(expected)) < 2e-5
        np.testing.assert_allclose(resized, expected, atol=0.02)


def test_logits_and_inception_score_match_torch_fidelity(weights: Path) -> None:
    pytest.importorskip("torch_fidelity")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.metric_isc import isc_features_to_metric

    extractor = with_weights(EXTRACTORS.make("inception-v3-torch-fidelity"), weights)
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], str(weights)
    )
    pooled, expected = network(images(3, 64, 64))
    found = extractor.logits(pooled.numpy(), weights.parent, weights)
    assert found.shape == (3, 1008)
    assert relative_error(torch.from_numpy(found), expected) < 1e-5
    score = isc_features_to_metric(expected, splits=1, shuffle=False)["inception_score_mean"]
    # Seeded weights hardly tell classes apart: the score is little more than the least, 1.
    assert score > 1.001
    assert InceptionScore(splits=1).compute(found).value - 1 == pytest.approx(score - 1, rel=1e-3)


@pytest.mark.parametrize("name", ["inception-v3-imagenet", "dinov2-vitl14", "efficientnet-lite0"])
def test_only_the_fid_inception_has_logits(name: str, tmp_path: Path) -> None:
    pooled = np.zeros((3, EXTRACTORS.make(name).dimension), np.float32)
    with pytest.raises(BenchmarkError, match=rf"extractor {name} has no classes for"):
        EXTRACTORS.make(name).logits(pooled, tmp_path)


@torch.inference_mode()
def test_imagenet_inception_matches_torchvision(tmp_path: Path) -> None:
    from torchvision.models import Inception_V3_Weights, inception_v3

    network = seeded(inception_v3(weights=None, transform_input=True, init_weights=False))
    file = tmp_path / "weights.pth"
    torch.save(network.state_dict(), file)
    network.fc, network.dropout = nn.Identity(), nn.Identity()
    embed = with_weights(EXTRACTORS.make("inception-v3-imagenet"), file).load(CPU, tmp_path, file)
    transforms = Inception_V3_Weights.IMAGENET1K_V1.transforms()
    x = images(2, 60, 91)
    pictures = [Image.fromarray(image) for image in x.permute(0, 2, 3, 1).numpy()]
    expected = network(torch.stack([transforms(picture) for picture in pictures]))
    found = embed(x)
    error = relative_error(found, expected)
    print(f"inception-v3-imagenet: features {error:.1e}")
    assert error < 1e-5
    assert relative_error(found[0], found[1]) > 1e-2


@pytest.mark.parametrize("size", [(1, 1), (91, 60), (342, 343), (1000, 342)])
def test_imagenet_input_matches_torchvision(size: tuple[int, int]) -> None:
    from torchvision.models import Inception_V3_Weights

    x = images(1, *size)
    normalised = Inception_V3_Weights.IMAGENET1K_V1.transforms()(
        Image.fromarray(x[0].permute(1, 2, 0).numpy())
    )
    mean, deviation = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    expected = 2 * (normalised * deviation + mean) - 1
    np.testing.assert_allclose(imagenet_input(x)[0], expected, atol=1e-6)


def test_imagenet_weights_are_those_of_torchvision() -> None:
    from torchvision.models import Inception_V3_Weights

    weights = EXTRACTORS.make("inception-v3-imagenet").weights
    assert weights.mirrors == (Inception_V3_Weights.IMAGENET1K_V1.url,)
    assert weights.sha256.startswith(Path(weights.file).stem.rpartition("-")[2])

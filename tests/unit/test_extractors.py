import dataclasses
import hashlib
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from networks import images, relative_error, with_facts
from torch import Tensor
from torch.nn.functional import interpolate

from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS, features_of, fingerprint
from benchmark.extractors.networks import resizing
from benchmark.extractors.networks.efficientnet_lite0 import (
    preprocess_efficientnet as efficientnet_input,
)
from benchmark.extractors.weights import Weights, locate

CPU = torch.device("cpu")
ALL = [EXTRACTORS.make(name) for name in EXTRACTORS.names()]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_weights_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHMARK_WEIGHTS", raising=False)


def test_facts_need_no_torch() -> None:
    code = "import sys; from benchmark.extractors import EXTRACTORS; assert EXTRACTORS.classes"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_features_of_the_fid_inception_are_called_fid() -> None:
    dialects = [e for e in ALL if e.label.startswith("FID")]
    assert {e.kind for e in dialects} == {
        "inception-v3-fid",
        "inception-v3-torch-fidelity",
        "inception-v3-clean-fid",
        "inception-v3-torchmetrics",
    }
    assert len({e.weights.sha256 for e in dialects}) == 1


def test_no_two_extractors_can_be_confused() -> None:
    for fact in ("kind", "label", "preprocessing"):
        assert len({getattr(e, fact) for e in ALL}) == len(ALL)


@pytest.mark.parametrize("name", EXTRACTORS.names())
def test_weights_have_the_hash_in_their_name(name: str) -> None:
    weights = EXTRACTORS.make(name).weights
    assert len(bytes.fromhex(weights.sha256)) == 32
    stated = Path(weights.file).stem.rpartition("-")[2]
    assert weights.sha256.startswith(stated) or name.startswith("dinov2")  # which states none


@torch.inference_mode()
def test_efficientnet_lite0_matches_its_published_network(tmp_path: Path) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    extractor = EXTRACTORS.make("efficientnet-lite0")
    reference = EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(locate(extractor.weights, tmp_path), weights_only=True))
    x = images(2, 64, 64)
    expected = reference.extract_features(efficientnet_input(x)).mean((2, 3))
    found = extractor.load(CPU, tmp_path)(x)
    assert found.shape == (2, extractor.dimension)
    assert found.dtype == torch.float32
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("side", [64, 300])
def test_efficientnet_input_matches_pillow(side: int) -> None:
    """Pillow's bilinear resize is antialiased; it rounds to whole grey levels, of 1/128."""
    from PIL import Image

    x = images(1, side, side)
    picture = Image.fromarray(x[0].permute(1, 2, 0).numpy())
    resized = np.asarray(picture.resize((224, 224), Image.Resampling.BILINEAR), np.float64)
    found = efficientnet_input(x)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, (resized - 127) / 128, atol=1.1 / 128)


def test_features_are_streamed_in_order(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), np.uint8))
    mapped = np.load(path, mmap_mode="r")
    sizes = []

    def embed(x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8
        assert x.shape[1:] == (3, 5, 4)
        sizes.append(len(x))
        return x.float().mean((2, 3))

    found = features_of(mapped, embed, CPU, batch=3)
    np.testing.assert_allclose(found, mapped.mean(axis=(1, 2)), rtol=1e-6)
    assert found.dtype == np.float32
    assert sizes == [3, 3, 1]


def test_features_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    embed = EXTRACTORS.make("efficientnet-lite0").load(CPU, tmp_path)
    array = images(5, 32, 32).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(
        features_of(array, embed, CPU, batch=2),
        features_of(array, embed, CPU, batch=5),
        atol=1e-5,
    )


def test_fingerprint_depends_on_data_code_weights_and_preprocessing() -> None:
    extractor = EXTRACTORS.make("efficientnet-lite0")
    weights = dataclasses.replace(extractor.weights, sha256="0" * 64)
    same = with_facts(extractor, label="another label")
    prints = [
        fingerprint("a", extractor, "code"),
        fingerprint("a", extractor, "other code"),
        fingerprint("b", extractor, "code"),
        fingerprint("a", with_facts(extractor, weights=weights), "code"),
        fingerprint("a", with_facts(extractor, preprocessing="nearest"), "code"),
        fingerprint("a", EXTRACTORS.make("inception-v3-fid"), "code"),
        fingerprint("a", EXTRACTORS.make("inception-v3-clean-fid"), "code"),
    ]
    assert len(set(prints)) == 7
    assert fingerprint("a", same, "code") == prints[0]


CONTENT = b"the published weights"
WEIGHTS = Weights(
    file="weights.pth",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    licence="MIT",
    mirrors=("https://first.invalid/w", "https://second.invalid/w"),
)


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes | Exception]:
    """What each address answers; the others do not exist."""
    answers: dict[str, bytes | Exception] = {}

    def fetch(url: str, size: int, path: Path) -> None:
        answer = answers.get(url, urllib.error.URLError("no such host"))
        if isinstance(answer, Exception):
            raise answer
        path.write_bytes(answer)

    monkeypatch.setattr("benchmark.extractors.weights.fetch", fetch)
    return answers


@pytest.mark.parametrize("where", ["path", "environment", "cache"])
def test_weights_are_found_where_the_user_put_them(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / where / WEIGHTS.file
    file.parent.mkdir()
    file.write_bytes(CONTENT)
    monkeypatch.setenv("BENCHMARK_WEIGHTS", str(tmp_path / "environment"))
    path = file if where == "path" else None
    assert locate(WEIGHTS, tmp_path / "cache", path) == file


def test_missing_weights_are_downloaded_once(
    tmp_path: Path, internet: dict[str, bytes | Exception]
) -> None:
    internet[WEIGHTS.mirrors[1]] = CONTENT
    file = locate(WEIGHTS, tmp_path / "cache")
    assert file.read_bytes() == CONTENT
    internet.clear()
    assert locate(WEIGHTS, tmp_path / "cache") == file


def test_a_wrong_download_leaves_nothing(
    tmp_path: Path, internet: dict[str, bytes | Exception]
) -> None:
    internet[WEIGHTS.mirrors[0]] = b"a page that says: log in"
    with pytest.raises(BenchmarkError, match=r"weights\.pth: missing, and cannot be downloaded"):
        locate(WEIGHTS, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("internet")
def test_offline_and_missing_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError) as caught:
        locate(WEIGHTS, tmp_path)
    message = str(caught.value)
    for part in ("weights.pth", WEIGHTS.sha256, "21 bytes", str(tmp_path), "$BENCHMARK_WEIGHTS"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("named", [True, False])
def test_damaged_weights_are_refused(named: bool, tmp_path: Path) -> None:
    file = tmp_path / WEIGHTS.file
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(BenchmarkError, match=rf"{file}: its SHA-256 is .* not {WEIGHTS.sha256}"):
        locate(WEIGHTS, tmp_path, file if named else None)


def test_a_named_file_that_is_missing_is_not_replaced_by_another(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS.file).write_bytes(CONTENT)
    with pytest.raises(BenchmarkError, match="cannot be read: No such file"):
        locate(WEIGHTS, tmp_path, tmp_path / "elsewhere.pth")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "size", [(3000, 200), (1196, 299), (1195, 299), (2393, 31), (4001, 400), (6000, 7), (1500, 3)]
)
def test_of_large_images_only_rows_that_count_are_made_float_and_the_bits_are_the_same(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], threads: int
) -> None:
    """Against torch's resize of the whole image, which holds all of it in float32."""
    monkeypatch.setattr(resizing, "BAND", 2**10)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8, generator=generator)
    images = pixels.permute(0, 3, 1, 2)
    whole = images.float().contiguous(memory_format=torch.channels_last)
    expected = interpolate(whole, (299, 299), mode="bilinear", align_corners=False)
    found = resizing.bilinear(images, 299)
    torch.set_num_threads(before)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert found.stride() == expected.stride()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(2, 3), (299, 299), (180, 4000), (2000, 180), (701, 1333)])
def test_large_images_are_narrowed_in_bands_to_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, mode: Literal["bilinear", "bicubic"], size: tuple[int, int]
) -> None:
    """Against torch's resize of the whole image, which holds all of it in float32."""
    monkeypatch.setattr(resizing, "BAND", 2**14)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8, generator=generator)
    images = pixels.permute(0, 3, 1, 2)
    whole = images.float().contiguous(memory_format=torch.channels_last)
    expected = interpolate(whole, (299, 299), mode=mode, antialias=True, align_corners=False)
    torch.testing.assert_close(resizing.antialiased(images, 299, mode), expected, rtol=0, atol=0)

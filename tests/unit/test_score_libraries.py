"""The figures that `score` claims to be those of other programs, against those programs."""

import json
import pathlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import images, inception_file, register, with_weights
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.tools.score import score
from benchmark.tools.score_embedding import Embedding
from benchmark.tools.score_inputs import ImageInput, open_input
from benchmark.tools.score_libraries import LIBRARIES
from benchmark.tools.score_options import MetricChoice
from benchmark.tools.score_result import Score

NAMES = (
    *("a.png", "b.PNG", "c.jpg", "d.JPG", "e.jpeg", "f.JPEG", "g.bmp", "h.BMP", "i.gif", "j.webp"),
    *("k.tif", "l.tiff", "m.TIFF", "n.ppm", "o.pgm", "p.Png", "q.txt", "r", ".hidden.png"),
    *("deep/s.png", "deep/er/t.JPG", "deep/u.gif", "deep/.cache/v.png"),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return inception_file(tmp_path_factory.mktemp("inception"))


def read_by_pytorch_fid(folder: Path, patch: pytest.MonkeyPatch) -> list[str]:
    module = pytest.importorskip("pytorch_fid.fid_score")
    found: list[pathlib.Path] = []
    patch.setattr(
        module, "calculate_activation_statistics", lambda files, *_: (found.extend(files), 0)
    )
    module.compute_statistics_of_path(str(folder), None, 1, 2048, "cpu")
    return [str(file) for file in found]


def read_by_torch_fidelity(folder: Path, _: pytest.MonkeyPatch) -> list[str]:
    module = pytest.importorskip("torch_fidelity.utils")
    defaults = pytest.importorskip("torch_fidelity.defaults").DEFAULTS
    found: list[str] = module.glob_samples_paths(
        str(folder), defaults["samples_find_deep"], defaults["samples_find_ext"], verbose=False
    )
    return found


def read_by_clean_fid(folder: Path, patch: pytest.MonkeyPatch) -> list[str]:
    module = pytest.importorskip("cleanfid.fid")
    found: list[str] = []
    patch.setattr(module, "get_files_features", lambda files, *_, **__: found.extend(files))
    module.get_folder_features(str(folder), verbose=False)
    return found


READ = {
    "pytorch-fid": read_by_pytorch_fid,
    "torch-fidelity": read_by_torch_fidelity,
    "clean-fid": read_by_clean_fid,
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_files_are_those_that_the_library_reads_but_for_hidden_ones(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    read = [Path(file).relative_to(tmp_path) for file in READ[library](tmp_path, monkeypatch)]
    visible = [f for f in read if not any(part.startswith(".") for part in f.parts)]
    opened = open_input(tmp_path, LIBRARIES[library])
    assert isinstance(opened, ImageInput)
    assert list(opened.files) == [str(file) for file in visible]  # in their order too
    assert opened.count == len(visible)
    every = open_input(tmp_path)
    assert isinstance(every, ImageInput)
    assert len(every.files) - opened.count == sum(LIBRARIES[library].left_out(every.files).values())


def pictures(path: Path, seed: int, count: int = 12) -> Path:
    path.mkdir()
    for i, image in enumerate(images(count, 40, 56, seed).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image // (1 + seed % 2)).save(path / f"{i:02}.png")
    return path


def scored(
    extractor: str,
    weights: Path,
    sides: tuple[Path, Path],
    metrics: list[str],
    choice: MetricChoice | None = None,
    files: str | None = None,
) -> Score:
    """Score with seeded weights in place of the published ones."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch, with_weights(EXTRACTORS.make(extractor), weights))
        own = Embedding(extractor, weights.parent, weights, "cpu", 4, files=files)
        return score(*sides, own, metrics, choice=choice)


@pytest.mark.slow
def test_grids_and_animations_are_named_or_left_out(weights: Path, tmp_path: Path) -> None:
    """pytorch-fid reads neither subfolders nor GIFs."""
    real, fake = pictures(tmp_path / "a", 2), pictures(tmp_path / "b", 3)
    plain = scored("inception-v3-fid", weights, (real, fake), ["fd"])
    assert plain.notes == []
    mixed = Path(shutil.copytree(fake, tmp_path / "c"))
    (mixed / "grids").mkdir()
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(mixed / "grids" / "all.png")
    Image.fromarray(np.zeros((40, 56), np.uint8)).save(mixed / "movie.gif")
    every = scored("inception-v3-fid", weights, (real, mixed), ["fd"])
    line = (
        f"{mixed}: pytorch-fid reads 12 of these 14 images, not 1 × .gif, 1 × in a subfolder: "
        "give --files pytorch-fid to read as it does"
    )
    assert line in every.notes
    assert line in every.to_text()
    assert every.values["frechet"].value > 1.001 * plain.values["frechet"].value
    as_theirs = scored("inception-v3-fid", weights, (real, mixed), ["fd"], files="pytorch-fid")
    assert as_theirs.values == plain.values
    assert any("2 ignored: 1 × .gif for pytorch-fid, 1 × in a" in n for n in as_theirs.notes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader")
def test_fid_kid_and_inception_score_are_those_of_fidelity(weights: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("torch_fidelity")
    real, fake = pictures(tmp_path / "a", 2, 23), pictures(tmp_path / "b", 3, 21)
    expected = library.calculate_metrics(
        input1=str(fake),
        input2=str(real),
        fid=True,
        kid=True,
        isc=True,
        kid_subset_size=9,
        cuda=False,
        cache=False,
        verbose=False,
        batch_size=4,
        feature_extractor_weights_path=str(weights),
    )
    found = scored(
        "inception-v3-torch-fidelity",
        weights,
        (real, fake),
        ["fd", "kid", "is"],
        MetricChoice(kid_subset_size=9),
        "torch-fidelity",
    ).values
    score_less_1 = expected["inception_score_mean"] - 1  # seeded weights hardly tell classes apart
    assert score_less_1 > 1e-3
    for ours, theirs, name in (
        (found["frechet"].value, expected["frechet_inception_distance"], "FID"),
        (found["kernel"].value, expected["kernel_inception_distance_mean"], "KID"),
        (found["inception-score"].value - 1, score_less_1, "Inception score - 1"),
    ):
        print(f"fidelity: {name} {abs(ours / theirs - 1):.1e}")
        assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize(
    ("extractor", "options"),
    [
        ("inception-v3-fid", (0, 1000, 0)),
        ("inception-v3-torch-fidelity", (100, 1000, 2020)),
        ("inception-v3-clean-fid", (100, 700, 0)),
        (None, (0, 1000, 0)),
    ],
)
def test_subsets_are_those_of_the_extractors_library(
    extractor: str | None, options: tuple[int, int, int]
) -> None:
    found = MetricChoice().of("kernel", extractor, 700)
    assert tuple(getattr(found, name) for name in ("subsets", "subset_size", "seed")) == options
    chosen = MetricChoice(kid_subsets=7, kid_subset_size=20).of("kernel", extractor, 700)
    assert (chosen.subsets, chosen.subset_size) == (7, 20)


def test_defaults_are_those_of_torch_fidelity() -> None:
    theirs = pytest.importorskip("torch_fidelity.defaults").DEFAULTS
    kernel = MetricChoice().of("kernel", "inception-v3-torch-fidelity", 10**6)
    assert kernel.subsets == theirs["kid_subsets"]
    assert kernel.subset_size == theirs["kid_subset_size"]
    assert kernel.seed == theirs["rng_seed"]
    split = MetricChoice().of("inception-score", "inception-v3-torch-fidelity", 10**6)
    assert split.splits == theirs["isc_splits"]
    assert split.shuffle == theirs["samples_shuffle"]
    assert split.seed == theirs["rng_seed"]


def features(path: Path, seed: int, count: int, dimension: int = 2048) -> Path:
    np.save(path, np.random.default_rng(seed).gamma(1, size=(count, dimension)).astype(np.float32))
    return path


def run(*arguments: str | Path) -> str:
    """Return what the command prints."""
    done = CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_what_stands_behind_a_value_is_told(weights: Path, tmp_path: Path) -> None:
    sides = features(tmp_path / "a.npy", 0, 30), features(tmp_path / "b.npy", 1, 25)
    choice = MetricChoice(isc_splits=5, kid_subsets=4, kid_subset_size=10)
    found = scored("inception-v3-fid", weights, sides, ["fd", "kid", "is", "recall"], choice)
    told = json.loads(found.to_json())["uncertainty"]
    assert told["frechet"] == told["recall"] == "[a, b] is a 95 % interval over the images of FAKE"
    assert told["kernel"].startswith("± is the standard deviation over 4 subsets of 10 images")
    assert "interval of the mean over 5 splits" in told["inception-score"]
    value = found.values["inception-score"]
    assert value.std_error is not None
    assert f"fidelity, is {2 * value.std_error:.4g}" in told["inception-score"]
    lines = [line.split(maxsplit=1) for line in found.to_text().splitlines()]
    where = [text for name, text in lines if name == "where"]
    assert where[0] == f"{told['frechet']}: FID, recall"
    assert [text.rpartition(": ")[2] for text in where[1:]] == ["kernel (KID)", "inception-score"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--isc-splits", "5"], "--isc-splits: inception-score is not measured: add is to --met"),
        (["--kid-subsets", "5", "--metrics", "fd"], "--kid-subsets: kernel is not measured: add"),
        (["--kid-subset-size", "9"], "--kid-subset-size: all pairs of images are taken, once"),
        (["--files", "clean-fid"], "--files: is for folders of images only, unlike "),
        (["--kid-subsets", "9", "--metrics", "kid"], "kernel: 9 subsets of 1000 cannot be drawn"),
        (["--metrics", "is"], "inception score: 10 splits of 6 images: 1 to 3"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(
    options: list[str], message: str, tmp_path: Path
) -> None:
    sides = features(tmp_path / "a.npy", 0, 6), features(tmp_path / "b.npy", 1, 6)
    with pytest.raises(BenchmarkError, match=message) as caught:
        run(*sides, "--extractor", "inception-v3-fid", *options)
    assert "\n" not in str(caught.value)


def test_a_folder_of_none_of_a_librarys_images_is_refused(tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "a.gif")
    with pytest.raises(BenchmarkError, match="no images that torch-fidelity reads: leave out"):
        open_input(tmp_path, LIBRARIES["torch-fidelity"])

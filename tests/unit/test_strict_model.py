"""Nothing is taken for something else, and every refusal is one line that says what is right."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.config.loading import load_config, merged, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Name, StrictModel, explain
from benchmark.core.yaml_text import read_yaml
from benchmark.models.networks.custom import Custom

SMOKE = Path(__file__).parents[1] / "workflow" / "smoke.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(SMOKE.read_text())


class Everything(StrictModel):
    count: int = 0
    counts: list[int] = []
    pair: tuple[float, float] = (0, 0)
    flags: tuple[bool, ...] = ()
    table: dict[str, list[float]] = {}
    maybe: Annotated[int, "a note"] | None = None
    side: Literal[0, 1] = 0
    crop: Literal["none"] | Annotated[int, "a note"] = "none"
    path: Path = Path()
    text: str = ""
    share: float = 0
    name: Name = "a"


def said(model: type[StrictModel], content: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(content)
    return explain(caught.value, content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"count": True}, "count: a number is needed, not True"),
        ({"count": "3"}, "count: a number is needed, not '3'"),
        ({"count": None}, "count: a number is needed, not None"),
        ({"counts": [1, True]}, "counts.1: a number is needed, not True"),
        ({"counts": ["2"]}, "counts.0: a number is needed, not '2'"),
        ({"pair": [0.5, False]}, "pair.1: a number is needed, not False"),
        ({"flags": [True, 1]}, "flags.1: true or false is needed, not 1"),
        ({"flags": ["yes"]}, "flags.0: true or false is needed, not 'yes'"),
        ({"table": {"a": [1, True]}}, "table.a.1: a number is needed, not True"),
        ({"table": {1: []}}, "table: a text as name (put it in quotes) is needed, not 1"),
        ({"maybe": False}, "maybe: a number is needed, not False"),
        ({"side": True}, "side: 0 or 1 is needed, not True"),
        ({"side": 1.0}, "side: 0 or 1 is needed, not 1.0"),
        ({"crop": True}, "crop: 'none' or a number is needed, not True"),
        ({"path": 2024}, "path: a text (put it in quotes) is needed, not 2024"),
        ({"text": 2024}, "text: a text (put it in quotes) is needed, not 2024"),
        ({"text": False}, "text: a text (put it in quotes) is needed, not False"),
        ({"text": None}, "text: a text (put it in quotes) is needed, not None"),
        ({"text": ["a"]}, "text: a text is needed, not ['a']"),
        ({"text": b"a"}, "text: a text is needed, not b'a'"),
        ({"text": "\ud800"}, "text: a text without halves of characters (surrogates) is needed"),
        ({"path": ""}, "path: a path (. is the folder that we are in) is needed, not ''"),
        ({"share": "nan"}, "share: a number is needed, not 'nan'"),
        ({"share": "1_0"}, "share: a number is needed, not '1_0'"),
        ({"name": "-a"}, "name: a letter of A-Z or a-z or a digit, followed by these and by . _ + "
         "- alone is needed, not '-a'"),
        ({"shar": 1, "count": 2}, "unknown key 'shar': did you mean 'share'? known: "),
        ({"shar": 1, "count": 2, "named": 3, "zzz": 4}, "unknown keys 'shar' (did you mean "
         "'share'?), 'named' (did you mean 'name'?), 'zzz': known: "),
        ({f"z{i}": i for i in range(10)}, "unknown keys 'z0', 'z1', 'z2', 'z3', 'z4', 'z5', 'z6', "
         "'z7' (and 2 more): known: "),
        ({"a\nb": 1}, "unknown key 'a\\nb': did you mean "),
    ],
)  # fmt: skip
def test_what_would_be_converted_is_refused_wherever_it_stands(
    content: dict[str, Any], expected: str
) -> None:
    assert said(Everything, content).startswith(expected)


@pytest.mark.parametrize(
    "content",
    [
        {"share": "3e-3"},
        {"share": 1},
        {"count": 2.0},
        {"maybe": None},
        {"crop": 64},
        {"crop": "none"},
        {"table": {"a": [1, 2.5]}},
    ],
)
def test_what_means_the_same_is_taken(content: dict[str, Any]) -> None:
    Everything.model_validate(content)


def test_all_unknown_and_all_missing_keys_are_told_at_once() -> None:
    unknown = said(Everything, {"shar": 1, "named": 3})
    assert "'shar' (did you mean 'share'?), 'named' (did you mean 'name'?): known: " in unknown
    assert unknown.count("known: ") == 1
    with pytest.raises(BenchmarkError) as caught:
        parse_config({"run": "a", "data": {"d": {"source": "avatars"}}, "nonsense": 1})
    assert "unknown key 'nonsense'" in str(caught.value)
    with pytest.raises(BenchmarkError) as caught:
        parse_config({"run": "a", "data": {"d": {"source": "avatars"}}})
    for key in ("models", "grid", "evaluation", "data.d.resolution", "data.d.train"):
        assert f"{key}: this key is missing" in str(caught.value)


# A config with parts of which validators ask for keys, and what is told of each that is dropped.
WHOLE: dict[str, Any] = {
    **copy.deepcopy(CONTENT),
    "classifiers": {
        "hair": {"data": "tiny", "schedule": "linear", "network": "net", "training": "short"}
    },
}
WHOLE["data"]["packed"] = {
    **{"source": "hugging-face", "repository": "a/b", "revision": "0" * 40},
    **{"resolution": 16, "train": 24, "held_out": 8},
}
WHOLE["models"]["other"] = {"family": "GAN", "data": "packed", "images": "elsewhere"}
WHOLE["grid"] += [
    {"table": "made", "model": "other", "samples": 6},
    {**WHOLE["grid"][0], "samples": 9, "classifier": "hair", "guidance": [2]},
]
PLAIN, ORIGIN = "{key}: this key is missing", "give either network and training, or weights, or"
SAMPLED = "{key}: is missing: only models with images go without"
DROPPED: dict[str, str] = {
    **dict.fromkeys(["run", "data", "models", "grid", "evaluation"], PLAIN),
    **dict.fromkeys(
        [f"data.tiny.{k}" for k in ("source", "resolution", "train", "held_out")], PLAIN
    ),
    **dict.fromkeys([f"models.DDPM.{k}" for k in ("family", "data")], PLAIN),
    **dict.fromkeys([f"grid.{i}.{k}" for i in range(4) for k in ("table", "samples")], PLAIN),
    **dict.fromkeys([f"grid.{i}.model" for i in range(4)], PLAIN),
    **dict.fromkeys(
        [f"grid.{i}.{k}" for i in (0, 1, 3) for k in ("schedule", "sampler", "steps")], SAMPLED
    ),
    "grid.3.guidance": "{key}: is missing: factors of the gradient of classifiers.hair",
    "evaluation.metrics": PLAIN,
    "evaluation.metrics.fd.kind": PLAIN,
    "networks.net.kind": PLAIN,
    "classifiers.hair.network": PLAIN,
    "training.short.steps": "training.short: give either steps or epochs",
    "data.packed.repository": "data.packed: repository and revision are needed together",
    "data.packed.revision": "data.packed: repository and revision are needed together",
    "models.DDPM.network": f"models.DDPM: {ORIGIN}",
    "models.DDIM.training": f"models.DDIM: {ORIGIN}",
    "models.other.images": f"models.other: {ORIGIN}",
}


def dropped(keys: set[str]) -> dict[str, Any]:
    """Return the whole config without some keys."""
    content = copy.deepcopy(WHOLE)
    for key in sorted(keys, reverse=True):  # inner keys before their sections
        *parents, last = key.split(".")
        inside: Any = content
        for part in parents:
            inside = inside[int(part)] if isinstance(inside, list) else inside[part]
        del inside[last]
    return content


def is_hidden(key: str, keys: set[str]) -> bool:
    """Tell whether nothing can say that a key is missing, since another one is missing too."""
    parents = [key.rpartition(".")[0]]
    while parents[-1]:
        parents.append(parents[-1].rpartition(".")[0])
    if keys & {*parents[:-1]}:
        return True
    if (DROPPED[key] == SAMPLED or key == "grid.3.guidance") and keys & {
        "models",
        f"{parents[0]}.model",
    }:
        return True
    both = {"data.packed.repository", "data.packed.revision"}
    return (key in both and both <= keys) or f"{parents[0]}.source" in keys - {key}


@given(st.sets(st.sampled_from(sorted(DROPPED)), min_size=1, max_size=12), st.booleans())
def test_all_missing_keys_are_told_at_once_whoever_asks_for_them(
    keys: set[str], is_misspelt: bool
) -> None:
    content = {**dropped(keys), **({"sede": 1} if is_misspelt else {})}
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    line = str(caught.value)
    told = line.removeprefix("config: ").split("; ")
    for key in keys:
        if not is_hidden(key, keys):
            assert sum(part.startswith(DROPPED[key].format(key=key)) for part in told) == 1
    assert ("unknown key 'sede': did you mean 'seed'?" in line) == is_misspelt


@pytest.mark.parametrize(
    ("place", "right", "wrong"),
    [
        ("models.DDPM", "data", "dataa"),
        ("data.tiny", "resolution", "resolutoin"),
        ("grid.0", "table", "tables"),
        ("evaluation", "metrics", "metricss"),
        ("", "evaluation", "evaluatoin"),
        ("", None, "nothing-like-it"),
        ("data.tiny", None, "nothing-like-it"),
    ],
)
def test_an_unknown_key_hides_no_missing_one(place: str, right: str | None, wrong: str) -> None:
    """Neither those beside it nor those within it; and what it surely means is not missing."""
    keys = {"data.tiny.train", "models.DDPM.family", "grid.0.samples", "evaluation.metrics.fd.kind"}
    content = dropped(keys)
    inside: Any = content
    for part in place.split(".") if place else ():
        inside = inside[int(part)] if isinstance(inside, list) else inside[part]
    value = inside.pop(right) if right else 1
    inside[wrong] = value
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    told = str(caught.value).removeprefix("config: ").partition(" (every key")[0].split("; ")
    for key in keys:
        assert told.count(f"{key}: this key is missing") == 1
    unknown = [line for line in told if "unknown key" in line]
    assert len(unknown) == 1
    assert len(told) == len(keys) + 1


@pytest.mark.parametrize(
    ("place", "right", "wrong", "value"),
    [
        ("", "run", "runs", ["a"]),  # what is surely meant has a wrong value, too
        ("", "seed", "sede", "0"),
        ("grid.0", "samples", "samples_", "300"),
        ("", "run", "run", 5),
        ("training.short", "lr", "lr", "fast"),
    ],
)
def test_a_value_of_the_wrong_type_hides_no_key(
    place: str, right: str, wrong: str, value: Any
) -> None:
    keys = {"models.DDPM.family", "grid.0.table", "evaluation.metrics.fd.kind"}
    content = dropped(keys)
    inside: Any = content
    for part in place.split(".") if place else ():
        inside = inside[int(part)] if isinstance(inside, list) else inside[part]
    inside.pop(right, None)
    inside[wrong] = value
    before = copy.deepcopy(content)
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    assert content == before
    told = str(caught.value).removeprefix("config: ").partition(" (")[0].split("; ")
    assert {f"{key}: this key is missing" for key in keys} <= {*told}
    assert sum("missing" in line for line in told) == len(keys)
    assert any("unknown key" in line for line in told) == (right != wrong)


def test_a_misspelt_kind_is_told_with_what_stands_beside_it() -> None:
    content = copy.deepcopy(WHOLE)
    content["samplers"] = {"new": {"knid": "ddim", "etaa": 3}}
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    told = str(caught.value)
    assert "samplers.new.kind: this key is missing: did you mean it by 'knid'?; " in told
    assert "samplers.new: unknown key 'etaa': did you mean 'eta'?" in told


def test_what_yaml_puts_in_two_places_is_mended_in_one() -> None:
    content = copy.deepcopy(WHOLE)
    content["classifiers"]["other"] = content["training"]["short"]
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    told = str(caught.value)
    assert "classifiers.other.network: this key is missing" in told
    assert "training.short" not in told


def test_endless_and_deep_content_is_one_line() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    endless: dict[str, Any] = {}
    endless["again"] = endless
    for notes in (deep, endless):
        with pytest.raises(BenchmarkError, match=r"^config: unknown key 'notes': ") as caught:
            parse_config({**WHOLE, "notes": notes})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["{told}", "{unknown}", "{found}", "{place}", "{needed}"])
def test_what_looks_like_a_part_of_a_message_stands_in_it_as_it_is(name: str) -> None:
    assert said(Everything, {name: 1}).startswith(f"unknown key {name!r}: ")
    assert said(Everything, {"count": name}) == f"count: a number is needed, not {name!r}"


def test_missing_keys_are_told_before_wrong_values() -> None:
    content = dropped({"grid.0.steps", "training.short.steps"})
    content["evaluation"]["neighbours"] = -1
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    told = str(caught.value)
    assert "grid.0.steps: is missing" in told
    assert "training.short: give either" in told
    assert "(and 1 more)" in told


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "my run",
            "run: a letter of A-Z or a-z or a digit, followed by these and by . _ + - alone",
        ),
        (2024, "run: a text (put it in quotes) is needed, not 2024"),
        (False, "run: a text (put it in quotes) is needed, not False"),
        ("x" * 81, "run: String should have at most 80 characters, not 'xxx"),
    ],
)
def test_a_run_name_is_refused_in_words(name: object, expected: str) -> None:
    with pytest.raises(BenchmarkError, match=r"^config: ") as caught:
        parse_config({**CONTENT, "run": name})
    assert expected in str(caught.value)


@pytest.mark.parametrize("against", ["", "a\nb", "a\0b", "\ud800", "\x1b[2J"])
def test_a_path_of_more_than_one_line_is_refused_in_one(against: str) -> None:
    with pytest.raises(BenchmarkError, match=r"^config: against: ") as caught:
        parse_config({**CONTENT, "against": against})
    assert str(caught.value).isprintable()
    made = {"family": "GAN", "data": "tiny", "images": against}
    with pytest.raises(BenchmarkError, match=r"^config: models\.made\.images: ") as caught:
        parse_config({**CONTENT, "models": {**CONTENT["models"], "made": made}})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["models"]["DDPM"].update(data="x" * 10_000),
        lambda c: c["grid"][0].update(sampler="x" * 10_000),
        lambda c: c["evaluation"].update(extractor="x" * 10_000),
        lambda c: c["evaluation"].update(controls=["x" * 10_000]),
        lambda c: c["data"]["tiny"].update(style="x" * 10_000),
        lambda c: c["data"]["tiny"].update(options={"x" * 10_000: 1}),
        lambda c: c["data"]["tiny"].update(options={"eyesVariant": ["x" * 10_000]}),
    ],
)
def test_a_long_wrong_name_is_cut(change: Callable[[dict[str, Any]], None]) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    assert "…" in str(caught.value)
    assert "x" * 100 not in str(caught.value)


def test_a_name_of_nothing_says_that_none_is_defined() -> None:
    with pytest.raises(BenchmarkError, match=r"models\.DDPM\.network: no 'net': none is defined$"):
        parse_config({**CONTENT, "networks": {}})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"a": -float("inf")}]])
def test_options_of_a_custom_network_are_finite(value: object) -> None:
    with pytest.raises(ValidationError, match="finite numbers are needed"):
        Custom(kind="custom", factory="mine:net", options={"a": value})


@pytest.mark.parametrize("factory", [".mine:net", "mine.:net", "a..b:net", "mine", "mine:", ":net"])
def test_a_factory_is_a_module_and_a_function(factory: str) -> None:
    with pytest.raises(ValidationError, match="factory"):
        Custom(kind="custom", factory=factory)


@pytest.mark.parametrize("family", ["", " ", "DD\nPM", "DDPM ", "a\x1b[31m", "x" * 41])
def test_a_family_that_cannot_stand_in_a_table_is_refused(family: str) -> None:
    content = copy.deepcopy(CONTENT)
    content["models"]["DDPM"]["family"] = family
    with pytest.raises(BenchmarkError, match=r"^config: models\.DDPM\.family: ") as caught:
        parse_config(content)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c["data"].update(Tiny=c["data"]["tiny"]), "data: Tiny and tiny differ in case"),
        (lambda c: c["models"].update(ddpm=c["models"]["DDPM"]), "models: ddpm and DDPM differ"),
        (lambda c: c["grid"][1].update(table="Trained"), "grid: table: Trained and trained differ"),
        (lambda c: c["grid"][1].update(table="Stages"), "stages and Stages differ in case alone"),
        (lambda c: c["evaluation"]["metrics"].update(FD={"kind": "kernel"}), "FD and fd differ"),
        (lambda c: c["evaluation"]["metrics"].update(Steps={"kind": "kernel"}), "and Steps differ"),
    ],
)
def test_names_that_differ_in_case_alone_are_refused(
    change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty: a config is a mapping of keys"),
        (b"# nothing\n", "is empty"),
        (SMOKE.read_text().encode("utf-16"), "is written in UTF-16: save it as UTF-8"),
        (b"run: \xff\xfe", "not YAML: 'utf-8' codec can't decode"),
        (b"run: a\nrun: b", "'run' stands here and on line 1: remove one of them"),
        (b'{"run": "a", "run": "b"}', "'run' stands twice in one mapping"),
        (b"a: " + b"9" * 5000, "not YAML: Exceeds the limit"),
        (b"a: !!int x", "not YAML: invalid literal"),
        (b"[" * 5000, "not YAML: "),
        (b"&a [*a]", "a config is a mapping of keys, this is [[["),
        (b"run: &a {b: *a}", "run: "),
        (b"run: \x00", "not YAML: "),
    ],
)
def test_a_file_that_is_no_config_is_one_line(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(data)
    with pytest.raises(BenchmarkError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + SMOKE.read_bytes(),
        json.dumps(CONTENT, indent="\t").encode(),
        SMOKE.read_bytes().replace(b"\n", b"\r\n"),
    ],
    ids=["a byte order mark", "JSON indented by tabs", "the line ends of Windows"],
)
def test_the_same_config_in_other_clothes_is_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "smoke.yaml"
    path.write_bytes(data)
    assert load_config(path) == load_config(SMOKE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("2024", 2024),
        ("'2024'", "2024"),
        ("~", None),
        ("-7", -7),
    ],
)
def test_words_are_words_and_numbers_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read_yaml(f"key: {text}")["key"]
    assert (found, type(found)) == (value, type(value))


def test_a_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    content = copy.deepcopy(CONTENT)
    folder = {"source": "folder", "path": "~/faces", "resolution": 16, "train": 24, "held_out": 8}
    content["data"]["tiny"] = folder
    content["against"] = "~/before.zip"
    content["models"]["DDPM"] = {"family": "GAN", "data": "tiny", "images": "~/made"}
    content["grid"][0] = {"table": "made", "model": "DDPM", "samples": 8}
    found = parse_config(content)
    assert found.data["tiny"].model_dump()["path"] == tmp_path / "faces"
    assert found.models["DDPM"].images == tmp_path / "made"
    assert found.against == str(tmp_path / "before.zip")
    folder["path"] = "~nobody-of-this-name/faces"
    with pytest.raises(BenchmarkError, match=r"data\.tiny\.path: .*: write it out"):
        parse_config(content)


def test_files_and_the_command_line_are_joined_and_typed(tmp_path: Path) -> None:
    later = tmp_path / "later.yaml"
    later.write_text("training: {short: {lr: 1e-2}}\ndevice: auto")
    overrides = {"training": {"short": {"steps": "3", "flip": "true"}}, "run": "no", "seed": 4}
    found = parse_config(merged([SMOKE, later], overrides))
    training = found.training["short"]
    assert (training.steps, training.flip, training.lr) == (3, True, 0.01)
    assert training.batch == CONTENT["training"]["short"]["batch"]
    assert (found.run, found.seed, found.device) == ("no", 4, "auto")


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 10**12, 10**400]),
    st.floats(),
    st.text(),
    st.sampled_from(
        ["1e-3", "no", "~", "auto", "linear", "DDPM", "../x", "a\nb", "\x00", "\ud800"]
    ),
    st.just([]),
    st.just({}),
)
WRONG = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LEAVES.filter(
        lambda leaf: not isinstance(leaf, list | dict)), inner, max_size=3), max_leaves=6
)  # fmt: skip


def places(content: Any) -> list[tuple[Any, Any]]:
    """Return every mapping or list of plain data with each of its keys."""
    items = (
        content.items() if isinstance(content, dict)
        else enumerate(content) if isinstance(content, list) else ()
    )  # fmt: skip
    return [place for key, item in items for place in [(content, key), *places(item)]]


@given(data=st.data())
def test_a_changed_config_loads_or_is_refused_in_one_line(data: st.DataObject) -> None:
    content = copy.deepcopy(CONTENT)
    for _ in range(data.draw(st.integers(1, 3))):
        inside, key = data.draw(st.sampled_from(places(content)))
        change = data.draw(st.sampled_from(["replace", "remove", "rename", "add"]))
        if change == "add" and isinstance(inside, list):
            inside.append(data.draw(WRONG))
        elif change == "replace" or isinstance(inside, list):
            inside[key] = data.draw(WRONG)
        else:
            kept = inside.pop(key)
            if change == "rename":
                inside[data.draw(st.text() | st.integers() | st.none())] = kept
        if not places(content):
            break
    line = ""
    try:
        parse_config(content)
    except BenchmarkError as error:
        line = str(error)
    assert line.isprintable()
    assert len(line) < 4000

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]


def test_environment_yml_has_the_pins_of_pyproject() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["cpu"]
    assert pip == wanted
    assert f"python{project['project']['requires-python']}" in environment["dependencies"]


def test_extras_of_pip_are_the_groups_of_uv() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    assert {name: extras[name] for name in ("cpu", "gpu")} == {n: groups[n] for n in ("cpu", "gpu")}
    others = {library for name in extras.keys() - {"cpu", "gpu"} for library in extras[name]}
    assert others <= set(groups["peers"])


@pytest.mark.slow
def test_the_installed_package_has_all_that_its_commands_read(tmp_path: Path) -> None:
    """As `pip install .` has it: without the checkout, in another folder."""
    build = ["uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(PROJECT)]
    subprocess.run(build, check=True, cwd=tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    install = ["uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    subprocess.run([*install, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    command = tmp_path / "site" / "bin" / "diffusion-benchmark"
    run = PROJECT / "tests" / "golden" / "run"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    for verb, *options in (["tables", "--output", "out"], ["summary"], ["cite"]):
        done = subprocess.run(
            [command, verb, str(run), *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "tables" / "trained.csv").is_file()

import tomllib
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[2]


def test_environment_yml_has_the_pins_of_pyproject() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["cpu"]
    assert pip == wanted
    assert f"python{project['project']['requires-python']}" in environment["dependencies"]

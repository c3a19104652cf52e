"""What `pip install .` brings: every package of the source tree, and the default model."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_package_is_installed() -> None:
    listed = set(CONFIG["tool"]["setuptools"]["packages"]) - {"processor.models_archive"}
    folders = {
        file.parent.relative_to(ROOT)
        for top in ("processor", "training")
        for file in (ROOT / top).rglob("*.py")
    }
    assert listed == {".".join(folder.parts) for folder in folders}


def test_the_default_model_travels_along() -> None:
    setuptools = CONFIG["tool"]["setuptools"]
    assert setuptools["package-dir"] == {"processor.models_archive": "models_archive"}
    current = (ROOT / "models_archive" / "CURRENT").read_text("utf-8").strip()
    assert {file.name for file in (ROOT / "models_archive" / current).iterdir()} >= {
        "manifest.json",
        "weights.safetensors",
    }


def test_torch_is_pinned_for_both_commands_and_free_for_others() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert set(pins) == {"torch", "torchvision"}
    assert not any("==" in requirement for requirement in CONFIG["project"]["dependencies"])

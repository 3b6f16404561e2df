"""A training run's TOML file, and what is refused before anything is loaded."""

import re
from pathlib import Path
from typing import Any

import pytest

from detector.checkpoints import read_metadata
from detector.training.configuration import Config, read_config
from detector.training.errors import DatasetError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"

SMALL = """
name = "small"
seed = 3
[data]
crops = ["faces"]
[augmentation]
mirror = 0.25
[[stage]]
name = "one"
learns = "backbone"
steps = 10
batch_size = 8
[[stage]]
name = "two"
learns = "both"
epochs = 1.5
batch_size = 8
"""


def read(folder: Path, text: str) -> Config:
    (folder / "run.toml").write_text(text)
    return read_config(folder / "run.toml")


def test_a_file_says_what_differs_from_the_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, SMALL)
    assert (config.name, config.seed, config.data.crops) == ("small", 3, ("faces",))
    assert (config.augmentation.mirror, config.augmentation.jpeg) == (0.25, 0.3)
    assert [stage.name for stage in config.stages] == ["one", "two"]
    assert config.network.weights == "imagenet"


def test_a_stage_lasts_steps_or_passes_over_the_sources(tmp_path: Path) -> None:
    one, two = read(tmp_path, SMALL).stages
    assert one.steps_over(1000) == 10
    # 1.5 passes over 40 sources, four pairs a step.
    assert two.steps_over(40) == 15
    assert two.steps_over(1) == 1


def test_what_the_command_line_says_comes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(SMALL)
    overrides: dict[str, dict[str, Any]] = {
        "network": {"weights": "none"},
        "data": {"crops": ["a", "b"]},
    }
    config = read_config(tmp_path / "run.toml", overrides)
    assert config.network.weights == "none"
    assert config.data.crops == ("a", "b")
    (tmp_path / "run.toml").write_text("network = 3\n" + SMALL)
    with pytest.raises(ValueError, match="network must be a table, got 3"):
        read_config(tmp_path / "run.toml", overrides)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 3", "sede = 3", "unknown setting sede"),
        ("mirror = 0.25", "miror = 0.25", r"unknown setting augmentation\.miror"),
        ("mirror = 0.25", "mirror = 25", "mirror is a share"),
        ("steps = 10", "steps = '10'", r"stage\.steps must be int, got '10'"),
        ("steps = 10", "steps = true", r"stage\.steps must be int, got True"),
        ("steps = 10", "", "'one' needs either steps or epochs"),
        ("steps = 10", "steps = 10\nepochs = 2", "'one' needs either steps or epochs"),
        ("steps = 10", "steps = -10", "'one': steps must be at least 0, got -10"),
        ("batch_size = 8", "batch_size = 7", "must be even, for pairs, got 7"),
        ("batch_size = 8", "batch_size = 0", "must be even, for pairs, got 0"),
        ("batch_size = 8", "learning_rate = 0", "learning_rate must be positive"),
        ("batch_size = 8", "optimizer = 'sgd'", "optimizer must be one of adam, adamw"),
        ("batch_size = 8", "self_blended = 1.5", "self_blended is a share"),
        ("batch_size = 8", "last_layers = -1", "last_layers must be at least 1, got -1"),
        ("batch_size = 8", "last_layers = 0", "'one': last_layers must be at least 1, got 0"),
        ('learns = "both"', 'learns = "both"\nlast_layers = -1', "at least 0, got -1"),
        ("batch_size = 8", "frozen_through = 'x'\nlast_layers = 4", "exclude each other"),
        ('learns = "backbone"', 'learns = "all"', "learns must be one of backbone, head, both"),
        ('learns = "both"', 'learns = "backbone"', "last stage must learn the head"),
        ('name = "two"', 'name = "one"', "different names, got one, one"),
        ('name = "two"', 'name = "../two"', "letters, digits and -"),
        ('name = "small"', "", "name"),
        ('crops = ["faces"]', "", "either crops or generated"),
        ('crops = ["faces"]', 'crops = ["faces"]\ngenerated = 5', "either crops or generated"),
        ('crops = ["faces"]', 'crops = ["faces"]\nselection = 0', "selection must be at least 1"),
        ('crops = ["faces"]', 'crops = ["a/b", "b"]', "different names, got b, b"),
        ('crops = ["faces"]', "crops = [3]", r"data\.crops must be .*, got \[3\]"),
        ('crops = ["faces"]', 'crops = ["faces"]\nmargin = 1.2', "given together, or neither"),
        ('crops = ["faces"]', 'crops = ["faces"]\nmargin = 0\ndrop = 0', "margin must be positive"),
        ('crops = ["faces"]', 'crops = ["faces"]\nmargin = 1\ndrop = 1', "less than 1, got 1"),
        ("[[stage]]", "[[stages]]", r"written as \[\[stage\]\]"),
        ("seed = 3", "precision = 'half'", "precision must be one of float32"),
        ("[data]", "network = 3\n[data]", "network must be a table, got 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SMALL
    with pytest.raises(ValueError, match=message):
        read(tmp_path, SMALL.replace(old, new, 1))


def test_a_run_without_a_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a stage"):
        read(tmp_path, SMALL[: SMALL.index("[[stage]]")])


def test_a_file_that_is_no_toml_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"run\.toml"):
        read(tmp_path, "name = ")
    with pytest.raises(DatasetError, match=r"nowhere\.toml"):
        read_config(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_sound(path: Path) -> None:
    """And begin with what is there, or with what the commands at their head make."""
    config = read_config(path)
    assert config.stages
    if config.network.weights not in ("imagenet", "none"):
        metadata = read_metadata(path.parent / config.network.weights)
        assert metadata.architecture["backbone_cut"] == config.network.cut
    made = re.findall(r"^#   python -m detector preprocess \S+ (\S+)", path.read_text(), re.M)
    crops = [(path.parent / folder).resolve() for folder in config.data.crops]
    if path.stem == "starter":
        made = ["dfdc-faces"]  # A data set of crops, which nothing has to make.
    assert crops == [ROOT / folder for folder in made]

"""Damages: what they do to frames and crops, and what they leave."""

from pathlib import Path

import numpy as np
import pytest

from detector.domain import Image
from detector.errors import NotAVideo
from detector.sampling import Sampling
from detector.training.robustness import (
    DAMAGES,
    RATES,
    blurred,
    compressed,
    cropped,
    damaged_video,
    halved,
)
from detector.video import sample
from tests import clips
from tests.detector.crops import picture

BY_NAME = {damage.name: damage for damage in DAMAGES}
EVERY = Sampling("every", frames=None, step=1)


def noisy(side: int = 96) -> Image:
    return np.random.default_rng(1).integers(60, 200, (side, side, 3)).astype(np.uint8)


def detail(image: Image) -> float:
    """How much neighboring pixels differ."""
    return float(np.abs(np.diff(image.astype(np.float32), axis=1)).mean())


def test_a_higher_rate_loses_more() -> None:
    face = clips.portrait(0)
    errors = [
        float(np.abs(compressed(face, rate).astype(int) - face.astype(int)).mean())
        for rate in RATES
    ]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert compressed(face[:99, :99], 32).shape == (99, 99, 3)


def test_half_size_averages_and_blur_smooths() -> None:
    image = noisy()
    assert halved(image).shape == (48, 48, 3)
    np.testing.assert_allclose(halved(image)[0, 0], image[:2, :2].mean(axis=(0, 1)), atol=1)
    assert blurred(image).shape == image.shape
    assert detail(blurred(image)) < 0.2 * detail(image)
    assert blurred(image).mean() == pytest.approx(image.mean(), abs=1)


def test_a_crop_cuts_the_outer_tenth_away() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[10:90, 20:180] = 255
    cut = cropped(image)
    assert cut.shape == (80, 160, 3)
    assert cut.min() == 255
    face = picture(1)
    shifted = BY_NAME["crop"].crop(face)
    assert shifted.shape[0] == shifted.shape[1] == round(0.8 * len(face))
    np.testing.assert_array_equal(shifted[0, 0], face[round(0.15 * 224), round(0.15 * 224)])


@pytest.mark.parametrize("name", BY_NAME)
def test_each_damage_leaves_a_square_crop_and_its_input_alone(name: str) -> None:
    face = noisy(101)
    before = face.copy()
    after = BY_NAME[name].crop(face)
    assert after.dtype == np.uint8
    assert after.shape[0] == after.shape[1] <= 101
    assert after.shape != face.shape or np.abs(after.astype(int) - face).mean() > 1
    np.testing.assert_array_equal(face, before)


def frames_of(path: Path) -> list[tuple[float, Image]]:
    with sample(path, EVERY) as frames:
        return [(frame.time_s, frame.image) for frame in frames]


@pytest.mark.parametrize(
    ("name", "size"),
    [("H.264 at CRF 40", (320, 240)), ("half size", (160, 120)), ("blur", (320, 240)),
     ("crop", (256, 192))],
)  # fmt: skip
def test_a_damaged_video_has_every_frame_at_its_time(
    tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    clip = clips.variable_frame_rate(tmp_path / "clip.mp4")
    before = frames_of(clip)
    with damaged_video(clip, BY_NAME[name]) as copy:
        after = frames_of(copy)
        folder = copy.parent
    assert not folder.exists()
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.002)
    assert {image.shape[1::-1] for _, image in after} == {size}
    if name in ("H.264 at CRF 40", "blur"):
        assert detail(after[5][1]) < 0.9 * detail(before[5][1])


def test_without_damage_little_is_lost(tmp_path: Path) -> None:
    clip = clips.one_person(tmp_path / "clip.mp4", seconds=0.4)
    with damaged_video(clip, BY_NAME["crop"]) as copy:
        [_, (_, after), *_] = frames_of(copy)
    [_, (_, before), *_] = frames_of(clip)
    assert np.abs(after.astype(int) - cropped(before).astype(int)).mean() < 2.5


def test_a_damaged_video_is_upright_and_even(tmp_path: Path) -> None:
    turned = clips.rotated(tmp_path / "turned.mp4", 90, seconds=0.4)
    with damaged_video(turned, BY_NAME["blur"]) as copy:
        [(_, first), *_] = frames_of(copy)
    assert first.shape == (240, 320, 3)
    assert np.abs(first[5, 5].astype(int) - clips.CORNER_COLOR).max() < 40
    odd = clips.odd_size(tmp_path / "odd.webm", seconds=0.2)
    with damaged_video(odd, BY_NAME["half size"]) as copy:
        assert frames_of(copy)[0][1].shape == (120, 160, 3)


def test_what_is_no_video_cannot_be_damaged(tmp_path: Path) -> None:
    text = clips.text_file(tmp_path / "text.mp4")
    with pytest.raises(NotAVideo), damaged_video(text, DAMAGES[0]):
        pass

"""What training does to crops: augmentation, compression, self-blended images."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from detector.preprocessing import CROP_SIDE, whole_crop
from detector.training import augmentation
from detector.training.augmentation import NO_AUGMENTATION, Augmentation, augment
from detector.training.compression import compress_h264, compress_jpeg, compress_mpeg1
from detector.training.robustness import RATES
from detector.training.self_blending import self_blend

Compress = Callable[[Sequence[np.ndarray], int], list[np.ndarray]]

SIDE = 224
SHARES = [field.name for field in fields(Augmentation)]


def picture(seed: int, side: int = SIDE) -> np.ndarray:
    """Smooth shapes with some grain, like no other seed's."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (7, 7, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def error(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two.astype(int)).mean())


def test_augmentation_gives_face_crops_and_draws_from_its_generator_only() -> None:
    for seed in range(30):
        one = augment(picture(0), seeded(seed), Augmentation())
        two = augment(picture(0), seeded(seed), Augmentation())
        assert one.shape == (CROP_SIDE, CROP_SIDE, 3)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", SHARES)
def test_a_share_of_one_changes_every_crop_and_of_none_no_crop(name: str) -> None:
    always = replace(NO_AUGMENTATION, **{name: 1.0})
    differing = 0
    for seed in range(12):
        changed = augment(picture(1), seeded(seed), always)
        plain = augment(picture(1), seeded(seed), NO_AUGMENTATION)
        differing += error(changed, plain) > 0.5
    assert differing == 12


def test_without_augmentation_a_crop_is_what_is_served() -> None:
    for seed in range(5):
        plain = augment(picture(seed), seeded(seed), NO_AUGMENTATION)
        np.testing.assert_array_equal(plain, whole_crop(picture(seed)))


def test_about_the_stated_share_of_crops_is_mirrored() -> None:
    """Red is left in the picture, so it is right in a mirrored one."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32, 0] = 255
    shares = replace(NO_AUGMENTATION, mirror=0.3)
    mirrored = 0
    for seed in range(300):
        crop = augment(image, seeded(seed), shares)
        mirrored += crop[:, -50:, 0].mean() > crop[:, :50, 0].mean()
    assert 60 <= mirrored <= 120


def test_training_sees_compression_as_strong_as_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = set()

    def note_rate(images: Sequence[np.ndarray], crf: int) -> list[np.ndarray]:
        rates.add(crf)
        return list(images)

    monkeypatch.setattr(augmentation, "compress_h264", note_rate)
    for seed in range(300):
        augment(picture(1), seeded(seed), replace(NO_AUGMENTATION, h264=1.0))

    assert min(rates) < min(RATES)
    assert max(rates) > max(RATES)


@pytest.mark.parametrize(
    ("shares", "message"),
    [({"blur": 1.5}, "blur"), ({"noise": -0.1}, "noise"), ({"jpeg": 0.6, "h264": 0.35}, "exclude")],
)
def test_impossible_shares_are_refused_by_name(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**shares)


def test_stronger_compression_costs_more_of_the_picture() -> None:
    image = picture(3)
    jpeg = [error(compress_jpeg(image, quality), image) for quality in (95, 60, 10)]
    film = [error(compress_h264([image], crf)[0], image) for crf in (10, 23, 40)]
    old_film = [error(compress_mpeg1([image], step)[0], image) for step in (2, 8, 31)]
    for errors in (jpeg, film, old_film):
        assert 0 < errors[0] < errors[1] < errors[2] < 30


@pytest.mark.parametrize("compress", [compress_h264, compress_mpeg1])
def test_a_film_keeps_its_pictures_in_order_and_in_rgb(compress: Compress) -> None:
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]
    flat = [np.full((64, 96, 3), colour, np.uint8) for colour in colours]
    film = compress(flat, 5)
    assert [image.shape for image in film] == [(64, 96, 3)] * 3
    assert [int(image[32, 48].argmax()) for image in film] == [0, 1, 2]
    for before, after in zip(flat, film, strict=True):
        assert error(before, after) < 6


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([], "one size"), ([(64, 64), (64, 66)], "one size"), ([(63, 64)], "even sides, got 64×63")],
)
@pytest.mark.parametrize("compress", [compress_h264, compress_mpeg1])
def test_what_a_film_cannot_be_made_of_is_refused(
    compress: Compress, shapes: list[tuple[int, int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compress([np.zeros((*shape, 3), np.uint8) for shape in shapes], 23)


@pytest.mark.parametrize("codec", ["h264", "mpeg1"])
def test_a_crop_with_an_odd_side_can_be_augmented(codec: str) -> None:
    shares = replace(NO_AUGMENTATION, **{codec: 1.0})
    crop = augment(picture(4, side=111), seeded(0), shares)
    assert crop.shape == (CROP_SIDE, CROP_SIDE, 3)
    assert error(crop, whole_crop(picture(4, side=111))) < 40


def test_a_self_blended_image_differs_from_its_face_inside_a_region() -> None:
    image = picture(3)
    changed_inside = 0
    for seed in range(20):
        blended = self_blend(image, seeded(seed))
        assert blended.shape == image.shape
        difference = np.abs(blended.astype(int) - image).max(axis=-1)
        assert difference.max() > 0
        changed_inside += difference[SIDE // 3 : -SIDE // 3, SIDE // 3 : -SIDE // 3].mean() > (
            difference[:8].mean()
        )
    assert changed_inside >= 10

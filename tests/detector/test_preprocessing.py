"""One way from a frame to the network's input."""

import numpy as np
import pytest

from detector.domain import FaceBox
from detector.preprocessing import CROP_SIDE, crop_face, to_network_input, whole_crop


def ramp(height: int = 400, width: int = 600) -> np.ndarray:
    """A frame whose red is its column and whose green is its row, both scaled to 0…255."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width).astype(np.uint8)[None, :]
    image[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return image


def test_a_crop_is_a_square_around_the_middle_of_the_box() -> None:
    image = np.zeros((400, 600, 3), np.uint8)
    image[150:250, 250:350] = 255
    crop = crop_face(image, FaceBox(250, 150, 100, 100), margin=2.0)
    assert crop.shape == (CROP_SIDE, CROP_SIDE, 3)
    assert crop.dtype == np.uint8
    white = np.argwhere(crop[..., 0] > 127)
    assert white.min(axis=0) == pytest.approx([75, 75], abs=2)
    assert white.max(axis=0) == pytest.approx([224, 224], abs=2)


def test_a_crop_with_a_drop_lies_lower_by_a_share_of_its_side() -> None:
    image = ramp()
    box = FaceBox(250, 150, 100, 100)
    dropped = crop_face(image, box, margin=2.0, drop=0.1)
    lower = crop_face(image, FaceBox(250, 170, 100, 100), margin=2.0)
    np.testing.assert_array_equal(dropped, lower)


def test_a_tall_box_is_cropped_by_its_longer_side() -> None:
    image = ramp()
    tall = crop_face(image, FaceBox(280, 100, 40, 200), margin=1.0)
    square = crop_face(image, FaceBox(200, 100, 200, 200), margin=1.0)
    np.testing.assert_array_equal(tall, square)


def test_colors_and_sides_keep_their_order() -> None:
    crop = crop_face(ramp(), FaceBox(200, 100, 200, 200), margin=1.0)
    assert crop[150, 290, 0] > crop[150, 10, 0]
    assert crop[290, 150, 1] > crop[10, 150, 1]
    assert crop[..., 2].max() == 0


def test_a_box_at_the_edge_repeats_the_edge_and_adds_no_black() -> None:
    image = np.full((120, 120, 3), 200, np.uint8)
    crop = crop_face(image, FaceBox(0, 0, 100, 100), margin=1.6)
    assert crop.min() == 200


def test_a_box_in_a_frame_smaller_than_its_margin_still_gives_a_crop() -> None:
    crop = crop_face(ramp(33, 47), FaceBox(0, 0, 47, 33), margin=3.0)
    assert crop.shape == (CROP_SIDE, CROP_SIDE, 3)


@pytest.mark.parametrize(
    ("box", "margin"), [(FaceBox(5, 5, 0, 9), 1.0), (FaceBox(5, 5, 9, 9), 0.0)]
)
def test_an_impossible_crop_says_what_it_was_given(box: FaceBox, margin: float) -> None:
    with pytest.raises(ValueError, match="got"):
        crop_face(ramp(), box, margin)


def test_a_stored_crop_takes_the_same_path_as_a_face_in_a_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    served = crop_face(frame, FaceBox(0, 0, 224, 224), margin=1.0)
    np.testing.assert_array_equal(whole_crop(frame), served)


def test_a_stored_crop_must_be_square() -> None:
    with pytest.raises(ValueError, match="640×480"):
        whole_crop(np.zeros((480, 640, 3), np.uint8))


def test_network_input_runs_from_minus_one_to_one() -> None:
    black = np.zeros((CROP_SIDE, CROP_SIDE, 3), np.uint8)
    white = np.full_like(black, 255)
    batch = to_network_input([black, white], 160)
    assert batch.shape == (2, 160, 160, 3)
    assert batch.dtype == np.float32
    assert batch[0].min() == batch[0].max() == -1.0
    assert batch[1].min() == batch[1].max() == 1.0


def test_network_input_is_what_keras_says_this_network_expects() -> None:
    from keras.applications.inception_resnet_v2 import preprocess_input

    crop = np.random.default_rng(1).integers(0, 256, (CROP_SIDE, CROP_SIDE, 3), dtype=np.uint8)
    expected = preprocess_input(crop.astype(np.float32))
    np.testing.assert_allclose(to_network_input([crop], CROP_SIDE)[0], expected, atol=1e-6)


def test_network_input_refuses_what_is_not_a_face_crop() -> None:
    with pytest.raises(ValueError, match="float32"):
        to_network_input([np.zeros((CROP_SIDE, CROP_SIDE, 3), np.float32)], 160)
    with pytest.raises(ValueError, match=r"\(224, 224, 3\)"):
        to_network_input([np.zeros((224, 224, 3), np.uint8)], 160)

"""The first sentence of the model card, from measured figures."""

from typing import Any

import pytest

from detector.training.sight import UNMEASURED, main_entry, sentence


def row(value: float | None, low: float | None, groups: int = 3) -> dict[str, Any]:
    return {"n": 9, "groups": groups, "roc_auc": {"value": value, "low": low, "high": 1.0}}


def entry(level: str, methods: dict[str, Any], name: str = "films", part: str = "") -> Any:
    return {"set": name, "part": part, "level": level, "by_method": methods}


def test_a_method_is_seen_if_its_whole_interval_is_above_guessing() -> None:
    said = sentence(
        [
            entry(
                "video",
                {
                    "Swap": row(0.8, 0.51),
                    "Puppet": row(0.92, 0.9),
                    "Talker": row(0.7, 0.5),
                    "One": row(0.99, None),
                    "Worse": row(0.2, 0.02),
                },
            )
        ]
    )
    assert said == (
        "Measured on films, it sees forgeries by Puppet (ROC AUC 0.92) and Swap (ROC AUC 0.80); "
        "it cannot be relied on to see forgeries by One (ROC AUC 0.99), Talker (ROC AUC 0.70) and "
        "Worse (ROC AUC 0.20), where the figures are no better than guessing or too few to tell, "
        "and about others nothing is known."
    )


def test_a_method_of_two_groups_is_not_seen_however_well_it_came_out() -> None:
    said = sentence([entry("video", {"Swap": row(0.98, 0.9, groups=2)})])
    assert "it sees no forgeries; it cannot be relied on to see forgeries by Swap" in said
    assert "it sees forgeries by Swap" in sentence([entry("video", {"Swap": row(0.98, 0.9)})])


def faces(part: str, low: float, groups: int = 500) -> Any:
    one = entry("frame", {"unknown": row(0.9, low, groups)}, "faces", part)
    return one | {"groups": groups, "figures": {"roc_auc": {"value": 0.9, "low": low, "high": 1.0}}}


def test_sets_of_single_faces_are_named_beside_the_methods_of_videos() -> None:
    films = entry("video", {"Swap": row(0.8, 0.51)})
    of_films = faces("", 0.8) | {"set": "films"}
    others = [faces("odd", 0.4), faces("few", 0.9, 2), faces("selection", 0.9)]
    said = sentence([films, of_films, faces("val", 0.85), *others])
    assert said == (
        "Measured on films, it sees forgeries by Swap (ROC AUC 0.80) and of single faces those of "
        "faces:val (ROC AUC 0.90); about other forgeries nothing is known."
    )
    blind = sentence([entry("video", {"Swap": row(0.5, 0.3)}), faces("val", 0.85)])
    assert "it sees of single faces those of faces:val (ROC AUC 0.90); it cannot" in blind


def test_it_says_so_where_nothing_or_everything_is_seen() -> None:
    blind = sentence([entry("video", {"Swap": row(None, None)})])
    assert "it sees no forgeries; it cannot" in blind
    assert "forgeries by Swap (no ROC AUC), where" in blind
    assert sentence([entry("frame", {"unknown": row(0.9, 0.8)}, "faces", "val")]) == (
        "Measured on faces:val, it sees forgeries by methods that its labels do not name "
        "(ROC AUC 0.90); about other forgeries nothing is known."
    )


@pytest.mark.parametrize("entries", [[], [entry("video", {})]])
def test_without_figures_it_promises_nothing(entries: list[Any]) -> None:
    assert sentence(entries) == UNMEASURED


def test_videos_say_more_than_faces_and_many_methods_more_than_few() -> None:
    faces = entry("frame", {"A": row(1.0, 1.0), "B": row(1.0, 1.0), "C": row(1.0, 1.0)})
    few = entry("video", {"A": row(0.9, 0.8)})
    many = entry("video", {"A": row(0.9, 0.8), "B": row(0.9, 0.8)})
    assert main_entry([faces, few, many]) is many
    assert main_entry([faces, few]) is few

"""Which frames are looked at: properties of the plan, for any length of video."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate, groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.sampling import FRAME_STEP, WINDOW_FRAMES, Sampling, plan, top_up

unhurried = settings(deadline=None)
counts = st.integers(min_value=1, max_value=200_000)
short_counts = st.integers(min_value=1, max_value=3_000)
samplings = st.builds(
    lambda windows, length, step: Sampling(
        "any", None if windows is None else windows * length, length, step
    ),
    st.one_of(st.none(), st.integers(min_value=2, max_value=12)),
    st.integers(min_value=1, max_value=16),
    st.integers(min_value=1, max_value=9),
)


def indices(planned: list[tuple[int, int]]) -> list[int]:
    return [index for index, _ in planned]


def windows(planned: list[tuple[int, int]]) -> list[list[int]]:
    return [[i for i, _ in run] for _, run in groupby(planned, key=lambda frame: frame[1])]


@unhurried
@given(short_counts, samplings)
def test_frames_are_in_order_and_exist_and_none_comes_twice(count: int, sampling: Sampling) -> None:
    planned = indices(plan(count, sampling))
    assert planned == sorted(set(planned))
    assert planned[0] >= 0
    assert planned[-1] < count


@unhurried
@given(counts, st.sampled_from(["quick", "standard"]))
def test_a_named_level_stays_within_its_budget(count: int, name: str) -> None:
    sampling = Sampling.named(name)
    assert sampling.frames is not None
    assert len(plan(count, sampling)) <= sampling.frames


@unhurried
@given(short_counts, samplings)
def test_any_sampling_stays_within_its_budget(count: int, sampling: Sampling) -> None:
    assert sampling.frames is None or len(plan(count, sampling)) <= sampling.frames


@unhurried
@given(counts, st.sampled_from(["quick", "standard"]), st.sampled_from([8, 12]))
def test_the_sample_reaches_from_the_first_frame_to_the_last(
    count: int, name: str, length: int
) -> None:
    planned = indices(plan(count, Sampling.named(name, window_frames=length)))
    assert planned[0] == 0
    assert count - 1 - planned[-1] < FRAME_STEP


@unhurried
@given(short_counts, samplings)
def test_windows_are_numbered_from_zero_in_order_and_never_overlap(
    count: int, sampling: Sampling
) -> None:
    planned = plan(count, sampling)
    numbers = [window for _, window in planned]
    assert sorted(set(numbers)) == list(range(max(numbers) + 1))
    for earlier, later in pairwise(windows(planned)):
        assert earlier[-1] < later[0]


@unhurried
@given(short_counts, samplings)
def test_only_the_last_window_may_be_shorter(count: int, sampling: Sampling) -> None:
    lengths = [len(run) for run in windows(plan(count, sampling))]
    assert all(length == sampling.window_frames for length in lengths[:-1])
    assert lengths[-1] <= sampling.window_frames


@unhurried
@given(counts, st.sampled_from(["quick", "standard"]))
def test_a_long_video_has_full_windows_evenly_spread(count: int, name: str) -> None:
    sampling = Sampling.named(name)
    assert sampling.frames is not None
    runs = windows(plan(count + sampling.frames * FRAME_STEP, sampling))
    assert len(runs) == sampling.frames // WINDOW_FRAMES
    assert all(len(run) == WINDOW_FRAMES for run in runs)
    assert all(b - a == FRAME_STEP for run in runs for a, b in pairwise(run))
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(runs)]
    assert max(gaps) - min(gaps) <= 1


@unhurried
@given(st.integers(min_value=1, max_value=3_000), samplings, st.sampled_from([25, 29.97, 60]))
def test_at_a_steady_rate_even_in_time_is_even_in_frames(
    count: int, sampling: Sampling, rate: float
) -> None:
    by_index = plan(count, sampling)
    by_time = plan(count, sampling, [i / rate for i in range(count)])
    assert [window for _, window in by_time] == [window for _, window in by_index]
    apart = [abs(a - b) for a, b in zip(indices(by_time), indices(by_index), strict=True)]
    assert max(apart) <= 1


@unhurried
@given(
    st.lists(st.sampled_from([0.0, 0.01, 0.04, 1.0, 30.0]), min_size=1, max_size=1_500), samplings
)
def test_whatever_the_clock_windows_stay_whole_and_apart(
    gaps: list[float], sampling: Sampling
) -> None:
    times = list(accumulate(gaps))
    planned = plan(len(times), sampling, times)
    assert len(planned) == len(plan(len(times), sampling))
    assert indices(planned) == sorted(set(indices(planned)))
    assert 0 <= planned[0][0] <= planned[-1][0] < len(times)
    for earlier, later in pairwise(windows(planned)):
        assert earlier[-1] < later[0]


def test_a_quiet_stretch_of_few_frames_is_looked_at_as_long_as_it_lasts() -> None:
    """20 seconds at 100 frames a second, then 200 seconds at one."""
    times = [i / 100 for i in range(2_000)] + [20.0 + i for i in range(200)]
    planned = plan(len(times), Sampling.named("standard"), times)
    starts = [times[run[0]] for run in windows(planned)]
    assert starts[0] == 0
    assert sum(start >= 20 for start in starts) == 5
    assert max(later - earlier for earlier, later in pairwise(starts)) < 40


@unhurried
@given(st.integers(min_value=36, max_value=320))
def test_a_video_too_short_for_the_windows_is_read_every_fifth_frame(count: int) -> None:
    assert indices(plan(count, Sampling.named("standard"))) == list(range(0, count, 5))


@unhurried
@given(st.integers(min_value=36, max_value=20_000))
def test_thorough_is_every_fifth_frame_of_everything(count: int) -> None:
    assert indices(plan(count, Sampling.named("thorough"))) == list(range(0, count, 5))


@pytest.mark.parametrize("name", ["quick", "standard", "thorough"])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 12, 35])
def test_a_very_short_video_still_gives_a_window(name: str, count: int) -> None:
    planned = plan(count, Sampling.named(name))
    assert len(planned) == min(8, count)
    assert {window for _, window in planned} == {0}
    assert planned[-1][0] == count - 1


@pytest.mark.parametrize("count", [0, -1, -180143985])
def test_a_video_without_frames_has_no_plan(count: int) -> None:
    assert plan(count, Sampling()) == []


def test_a_run_of_twelve_suits_a_checkpoint_that_reads_frames() -> None:
    planned = plan(10_000, Sampling.named("standard", window_frames=12))
    assert set(Counter(window for _, window in planned).values()) == {12}
    assert len(planned) == 60


@unhurried
@given(short_counts, short_counts, samplings)
def test_a_second_look_adds_only_frames_that_exist_and_were_not_seen(
    promised: int, found: int, sampling: Sampling
) -> None:
    found = min(found, promised)
    seen = [frame for frame in plan(promised, sampling) if frame[0] < found]
    more = top_up(found, sampling, seen)
    assert all(index < found for index in indices(more))
    assert not set(indices(more)) & set(indices(seen))
    assert not {window for _, window in more} & {window for _, window in seen}
    assert sampling.frames is None or len(seen) + len(more) <= sampling.frames


def test_a_second_look_spreads_the_rest_of_the_budget_over_what_exists() -> None:
    sampling = Sampling.named("standard")
    seen = [frame for frame in plan(10_000, sampling) if frame[0] < 1_000]
    assert len(seen) == 8
    more = indices(top_up(1_000, sampling, seen))
    assert more[-1] == 999
    assert len(more) == 56


def test_a_second_look_keeps_to_where_nothing_was_seen() -> None:
    sampling = Sampling.named("quick")
    seen = [frame for frame in plan(1_000, sampling) if frame[0] < 500]
    assert [run[0] for run in windows(seen)] == [0, 321]
    assert [run[0] for run in windows(top_up(500, sampling, seen))] == [155, 464]


@pytest.mark.parametrize("name", ["", "Standard", "fast", "64"])
def test_an_unknown_level_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"received {name!r}"):
        Sampling.named(name)


@pytest.mark.parametrize(
    ("field", "value"), [("frames", 0), ("frames", 7), ("window_frames", 0), ("step", -5)]
)
def test_impossible_samplings_are_refused_with_the_value(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"received {value}"):
        Sampling(**{field: value})  # type: ignore[arg-type]

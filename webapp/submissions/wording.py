"""What the pages say in words: verdicts, reasons, failures and what to do, stages.

Codes come from the database; the sentences here are for readers and may be
reworded. A test holds them against the detector's codes.
"""

from __future__ import annotations

from collections.abc import Mapping

VERDICT_TITLES: Mapping[str, str] = {
    "FAKE": "Fake",
    "REAL": "Real",
    "UNDECIDED": "Undecided",
}

REASONS: Mapping[str, str] = {
    "person_differs": (
        "Most faces were voted real, but one person's faces were voted fake, "
        "and one fake person makes the video fake."
    ),
    "brief_person_differs": (
        "Most faces were voted real, but those of somebody who is seen only briefly were voted "
        "fake. That can be a short forgery, or something that is no face: look at these faces. "
        "A clip of that moment alone gets a verdict of its own."
    ),
    "no_face": (
        "No face was found in the frames that were looked at. FrameVote judges faces only, "
        "so it has nothing to say about this video."
    ),
    "too_few_faces": (
        "Too few faces were found for a vote that means something. "
        "A longer clip or a more thorough sampling may find more."
    ),
    "faces_too_small": (
        "The faces are too small in the picture to be judged. "
        "A version in a higher resolution may help."
    ),
    "low_confidence": (
        "The model is too unsure about this video to call it real or fake: its probability is "
        "too close to call, or does not agree with the votes."
    ),
}

_CONVERT = "Convert it to an MP4 with H.264 video, for instance, and upload that."
_OPERATOR = (
    "This is a fault of the site and not of your video. Tell the people who run it, "
    "and run the analysis again when it is mended."
)

REMEDIES: Mapping[str, str] = {
    "not_a_video": f"Check that you chose the right file. {_CONVERT}",
    "no_video_stream": "Check that you chose the right file: this one has only sound in it.",
    "cannot_decode": f"Check that the file plays on your own machine. {_CONVERT}",
    "too_long": "Cut out the part that shows the faces you ask about, and upload that.",
    "decoding_limit": f"A smaller or shorter version may pass. {_CONVERT}",
    "no_checkpoint": _OPERATOR,
    "checksum_mismatch": _OPERATOR,
    "truncated_checkpoint": _OPERATOR,
    "bad_checkpoint": _OPERATOR,
    "no_device": _OPERATOR,
    "file_not_found": "The file is gone from the site's storage. Upload the video again.",
    "gave_up": (
        "The video stays here. Run the analysis again; if that ends the same way, "
        "a converted or shorter version may pass."
    ),
    "timed_out": "Run it again with the quick sampling, or upload a shorter part.",
    "internal": (
        "Run the analysis again. If it fails again, tell the people who run this site "
        "and give them the address of this page."
    ),
}
_OTHER_REMEDY = REMEDIES["internal"]

STAGES: Mapping[str, tuple[str, str]] = {
    "probe": ("Open", "Reading what the file says about itself"),
    "detect": ("Find faces", "Decoding frames from the whole video and finding every face"),
    "track": ("Follow people", "Linking the faces of each person over time"),
    "predict": ("Judge", "Asking the model about every face"),
    "vote": ("Vote", "Counting the votes"),
    "publish": ("Write down", "Keeping the evidence"),
}
"""Stages of an analysis in their order: name, and what goes on in it."""

_STAGE_ALIASES = {"sample": "detect", "decode": "detect"}


def reason_sentence(code: str) -> str:
    """The sentence for a reason; an unknown code is shown as it is."""
    return REASONS.get(code, code)


def remedy(code: str) -> str:
    """What a person can do about a failure."""
    return REMEDIES.get(code, _OTHER_REMEDY)


def stage_key(stage: str) -> str:
    """The stage on the page that a worker's stage name belongs to."""
    return _STAGE_ALIASES.get(stage, stage)


def verdict_sentence(verdict: str, fake: int, real: int) -> str:
    """The verdict with the count that led to it, in one sentence."""
    total = fake + real
    if verdict == "FAKE" and fake < real:
        few = _of(fake, total)
        return f"The detector takes this video for a fake, although only {few} voted fake."
    if verdict == "FAKE":
        return f"The detector takes this video for a fake: {_of(fake, total)} voted fake."
    if verdict == "REAL":
        return f"The detector takes this video for real: {_of(real, total)} voted real."
    if not total:
        return "The detector gives no verdict: there was no face to vote on."
    return f"The detector gives no verdict, though {_of(fake, total)} voted fake."


def votes_so_far(real: int, fake: int, judged: int, planned: int) -> str:
    """The votes of an analysis that still runs, in one sentence that is no verdict."""
    faces = "face" if real == 1 else "faces"
    frames = f"{judged:,} of {planned:,} frames to judge"
    return f"{real:,} {faces} voted real and {fake:,} fake in {frames}."


def duration(seconds: float) -> str:
    """A waiting or working time in words: “40 s”, “about 3 min”, “about 2 h”."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds / 10) * 10} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"


def clock(seconds: float, tenths: bool = True) -> str:
    """A moment in a video: ``0:03.2``, ``12:40.0``, ``1:02:03``."""
    tenths = tenths and seconds < 3600
    units = int(seconds * 10 + 0.5) if tenths else int(seconds + 0.5) * 10
    whole, tenth = divmod(units, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{tenth}" if tenths else text


def percent(probability: float | None) -> str:
    """A probability as a percentage that never claims certainty."""
    if probability is None:
        return "–"
    if probability > 0.99:
        return ">99%"
    if probability < 0.01:
        return "<1%"
    return f"{round(probability * 100)}%"


def _of(part: int, total: int) -> str:
    if total == 1:
        return "its only voting face"
    if part == total:
        return f"all {total:,} voting faces"
    return f"{part:,} of {total:,} voting faces"

"""What can go wrong with a video or an installation: a stable code and a sentence.

Codes are part of the public contract (command line, database, API, pages);
sentences are for people and may be reworded.
"""

from __future__ import annotations

from typing import ClassVar


class DetectorError(Exception):
    """Base of all errors the detector raises on purpose.

    ``code`` is stable; ``sentence`` is what a user reads; ``detail`` is for logs.
    """

    code: ClassVar[str] = "detector_error"
    sentence: ClassVar[str] = "The analysis failed."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.sentence)
        self.detail = detail


class UnusableVideo(DetectorError):
    """The input cannot be analysed; trying again would not help."""


class FileNotReadable(UnusableVideo):
    code = "file_not_found"
    sentence = "There is no such file, or it cannot be read."


class NotAVideo(UnusableVideo):
    code = "not_a_video"
    sentence = "This file is not a video in a format FrameVote knows."


class NoVideoStream(UnusableVideo):
    code = "no_video_stream"
    sentence = "This file has no video in it, only sound or other data."


class CannotDecode(UnusableVideo):
    code = "cannot_decode"
    sentence = "The video is damaged or in a coding FrameVote cannot read."


class TooLong(UnusableVideo):
    code = "too_long"
    sentence = "The video is longer than is accepted here."


class DecodingLimit(UnusableVideo):
    code = "decoding_limit"
    sentence = "Reading the video took more time or memory than a video may take."


class CheckpointError(DetectorError):
    """The installation, not the video, is at fault."""


class NoCheckpoint(CheckpointError):
    code = "no_checkpoint"
    sentence = "No trained model is installed, so no verdict can be given."


class ChecksumMismatch(CheckpointError):
    code = "checksum_mismatch"
    sentence = "The model file does not match its checksum and was not loaded."


class TruncatedCheckpoint(CheckpointError):
    code = "truncated_checkpoint"
    sentence = "The model file is cut short and was not loaded."


class BadCheckpoint(CheckpointError):
    code = "bad_checkpoint"
    sentence = "The model file is not one this version can use."


class NoDevice(DetectorError):
    code = "no_device"
    sentence = "The device asked for is not in this machine."


class InternalError(DetectorError):
    """What nobody foresaw; the traceback says more."""

    code = "internal"
    sentence = "The analysis failed for a reason nobody foresaw."


class AnalysisStopped(DetectorError):
    """``should_stop`` said so; not a failure."""

    code = "stopped"
    sentence = "The analysis was stopped."

"""The only way a file becomes a submission: checked, streamed to storage, enqueued.

``receive`` is all or nothing: a refused or failed upload leaves no file and no
row. Pages and API both call it. ``cap_uploads`` makes a request stop writing files
that are too large or too many to disk while they are still arriving.
"""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler
from django.db import transaction
from django.http import HttpRequest

from . import queue, storage
from .file_types import ALLOWED_EXTENSIONS, HEAD_BYTES, extension, looks_like_video
from .models import SamplingLevel, Submission

__all__ = [
    "ALLOWED_EXTENSIONS",
    "FIELD",
    "UploadRejected",
    "cap_uploads",
    "check_number",
    "clean_name",
    "receive",
]

FIELD = "video"
"""The only field of a form whose files are looked at."""

MAX_NAME = 255
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


class UploadRejected(Exception):
    """The upload is refused: ``code`` is stable, ``sentence`` is what the uploader reads."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def receive(
    uploaded: UploadedFile,
    *,
    owner: Any,
    visitor: uuid.UUID | None,
    sampling: str | None = None,
) -> Submission:
    """Check the file, store it, insert its row and enqueue its first analysis.

    Raises :class:`UploadRejected` with the sentence to show.
    """
    if sampling is not None and sampling not in SamplingLevel.values:
        raise UploadRejected("unknown_sampling", f"There is no sampling level “{sampling}”.")
    name = clean_name(uploaded.name or "")
    _check(uploaded, name)
    submission = Submission(owner=owner, visitor=visitor, original_name=name)
    # The copy comes first and outside the transaction: half a gigabyte must not
    # hold SQLite's only write lock.
    content = _HashedFile(uploaded)
    try:
        submission.video.save(name, content, save=False)
        submission.size_bytes = content.bytes_read
        submission.sha256 = content.digest.hexdigest()
        with transaction.atomic():
            submission.save(force_insert=True)
            queue.enqueue(submission, sampling=sampling)
    except BaseException:
        storage.remove_folder(storage.submission_dir(submission.pk))
        raise
    return submission


def check_number(count: int) -> None:
    """Refuse more files at once than the site takes."""
    most = settings.FRAMEVOTE_MAX_FILES_PER_UPLOAD
    if count > most:
        raise UploadRejected(
            "too_many_files", f"At most {most} videos can be uploaded at once; {count} were sent."
        )


def clean_name(raw: str) -> str:
    """The uploader's name for the file, fit to be shown: one line, no path, 255 characters.

    Control characters and those that reverse the direction of text (``gpj.exe``)
    go; the extension survives the shortening.
    """
    base = raw.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(
        " " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c
        for c in base
        if c not in _BIDI_CONTROLS
    )
    shown = " ".join(shown.split())
    suffix = PurePath(shown).suffix
    if len(shown) > MAX_NAME:
        shown = shown[: MAX_NAME - len(suffix)].rstrip() + suffix
    return shown or "unnamed"


def max_upload_bytes() -> int:
    """The largest file the site takes."""
    return int(settings.FRAMEVOTE_MAX_UPLOAD_MB * 1024 * 1024)


def cap_uploads(request: HttpRequest, most_files: int) -> None:
    """Keep the request's files from filling the disk; call before its body is read."""
    request.upload_handlers = [CappedUploadHandler(request, most_files)]


class CappedUploadHandler(TemporaryFileUploadHandler):
    """Streams videos to temporary files; past the limits, and of other fields, only counts.

    What was not written is still reported, empty and with its true size, so that a
    file that is too large is refused by name while the others of the form go on, and
    so that files that are too many are refused together.
    """

    def __init__(self, request: HttpRequest, most_files: int) -> None:
        super().__init__(request)
        self.files_left = most_files
        self.writing = False

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, *args, **kwargs)
        self.writing = field_name == FIELD and self.files_left > 0
        if self.writing:
            self.files_left -= 1

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self.writing and start + len(raw_data) > max_upload_bytes():
            self.writing = False
            self.file.seek(0)
            self.file.truncate()
        if self.writing:
            super().receive_data_chunk(raw_data, start)


class NoUploadHandler(FileUploadHandler):
    """For all other pages, by settings: no form of theirs has files, so none are kept."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        return None

    def file_complete(self, file_size: int) -> None:
        return None


class _HashedFile(File):
    """Reads the upload once: what is written to storage is what was hashed."""

    def __init__(self, uploaded: UploadedFile) -> None:
        # The name is not passed on, and neither is temporary_file_path: the
        # storage would rename the temporary file without reading it.
        super().__init__(uploaded.file, name=None)
        self.digest = hashlib.sha256()
        self.bytes_read = 0

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        for chunk in super().chunks(chunk_size or 1024 * 1024):
            self.digest.update(chunk)
            self.bytes_read += len(chunk)
            if self.bytes_read > max_upload_bytes():
                raise _too_large()
            yield chunk


def _check(uploaded: UploadedFile, name: str) -> None:
    if extension(name) not in ALLOWED_EXTENSIONS:
        known = ", ".join(e[1:] for e in ALLOWED_EXTENSIONS)
        raise UploadRejected(
            "not_a_video", f"This is not a video FrameVote knows by its name. It takes {known}."
        )
    size = uploaded.size or 0
    if size == 0:
        raise UploadRejected("empty_file", "The file is empty.")
    if size > max_upload_bytes():
        raise _too_large()
    uploaded.seek(0)
    head = uploaded.read(HEAD_BYTES)
    uploaded.seek(0)
    if not looks_like_video(head):
        raise UploadRejected(
            "not_a_video",
            f"The file is named {extension(name)}, but its content is not that of a video.",
        )


def _too_large() -> UploadRejected:
    return UploadRejected(
        "too_large", f"The file is larger than the {settings.FRAMEVOTE_MAX_UPLOAD_MB} MB allowed."
    )

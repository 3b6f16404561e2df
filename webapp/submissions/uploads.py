"""The only way a file becomes a submission: checked, streamed to storage, enqueued.

``receive`` is all or nothing: a refused or failed upload leaves no file and no
row. The form, the API's form and uploads in pieces all call it, and the ``check_…``
functions are its rules, for who can ask them earlier. ``cap_uploads`` makes a request stop
writing files that are too large or too many to disk while they are still arriving.
"""

from __future__ import annotations

import errno
import hashlib
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from django.conf import settings
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
    "HEAD_BYTES",
    "NotNow",
    "UploadRejected",
    "cap_uploads",
    "check_head",
    "check_name",
    "check_number",
    "check_room",
    "check_sampling",
    "check_size",
    "clean_name",
    "receive",
    "refusing_on_a_full_disk",
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


class NotNow(UploadRejected):
    """Nothing is wrong with the file: the same one may be taken a moment later."""


def receive(
    uploaded: UploadedFile,
    *,
    owner: Any,
    visitor: uuid.UUID | None,
    sampling: str | None = None,
    on_saved: Callable[[Submission], None] | None = None,
) -> Submission:
    """Check the file, store it, insert its row and enqueue its first analysis.

    ``on_saved`` runs in the transaction of the row and can undo it by raising.
    Raises :class:`UploadRejected` with the sentence to show.
    """
    check_sampling(sampling)
    name = clean_name(uploaded.name or "")
    check_name(name)
    check_size(uploaded.size or 0)
    uploaded.seek(0)
    head = uploaded.read(HEAD_BYTES)
    if not head:
        raise _disk_full()  # It has a size and no bytes: there was no room to write them.
    check_head(name, head)
    submission = Submission(owner=owner, visitor=visitor, original_name=name)
    # Reading and storing come first and outside the transaction: half a gigabyte must
    # not hold SQLite's only write lock.
    submission.sha256, submission.size_bytes = _digest(uploaded)
    try:
        with refusing_on_a_full_disk():
            # What is a file of this disk already is moved, not copied.
            submission.video.save(name, uploaded, save=False)
        # One that was moved would be missed when it is closed later.
        uploaded.close()
        with transaction.atomic():
            submission.save(force_insert=True)
            queue.enqueue(submission, sampling=sampling)
            if on_saved is not None:
                on_saved(submission)
    except BaseException:
        storage.remove_folder(storage.submission_dir(submission.pk))
        raise
    return submission


def check_sampling(sampling: str | None) -> None:
    """Refuse a level that does not exist; None is the site's own."""
    if sampling is not None and sampling not in SamplingLevel.values:
        raise UploadRejected("unknown_sampling", f"There is no sampling level “{sampling}”.")


def check_name(name: str) -> None:
    """Refuse a name, cleaned before, that is none of a video."""
    if extension(name) not in ALLOWED_EXTENSIONS:
        known = ", ".join(e[1:] for e in ALLOWED_EXTENSIONS)
        raise UploadRejected(
            "not_a_video", f"This is not a video FrameVote knows by its name. It takes {known}."
        )


def check_size(size: int) -> None:
    """Refuse a file of so many bytes if it is empty or larger than the site takes."""
    if size == 0:
        raise UploadRejected("empty_file", "The file is empty.")
    if size > max_upload_bytes():
        raise _too_large()


def check_head(name: str, head: bytes) -> None:
    """Refuse a file whose first ``HEAD_BYTES`` are not those of a video."""
    if not looks_like_video(head):
        raise UploadRejected(
            "not_a_video",
            f"The file is named {extension(name)}, but its content is not that of a video.",
        )


@contextmanager
def refusing_on_a_full_disk() -> Iterator[None]:
    """Turn the system's "no space left" into :class:`NotNow` with the code ``disk_full``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full() from error
        raise


def check_room(size: int) -> None:
    """Refuse so many bytes before they fill the disk."""
    if not storage.has_room(size):
        raise _disk_full()


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
    file that is too large, or that the disk has no room for, is refused by name while the
    others of the form go on, and so that files that are too many are refused together.
    """

    def __init__(self, request: HttpRequest, most_files: int) -> None:
        super().__init__(request)
        self.files_left = most_files
        self.bytes_left = 0
        self.writing = False

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any
    ) -> None:
        self.bytes_left = content_length

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, *args, **kwargs)
        self.writing = field_name == FIELD and self.files_left > 0
        if self.writing:
            self.files_left -= 1

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self.writing and not self._may_go_on(start + len(raw_data)):
            self.writing = False
            self.file.seek(0)
            self.file.truncate()
        if self.writing:
            super().receive_data_chunk(raw_data, start)
        self.bytes_left -= len(raw_data)

    def _may_go_on(self, size: int) -> bool:
        """Whether a file of so many bytes by now is not too large, and what is to come fits.

        What is to come is what the request announced: a file is refused before it has filled
        the disk, and not when it has. Asked again for each block, for others write too.
        """
        return size <= max_upload_bytes() and storage.has_room(self.bytes_left)


class NoUploadHandler(FileUploadHandler):
    """For all other pages, by settings: no form of theirs has files, so none are kept."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        return None

    def file_complete(self, file_size: int) -> None:
        return None


def _digest(uploaded: UploadedFile) -> tuple[str, int]:
    """SHA-256 and size of what really came, whatever the request said of it."""
    digest = hashlib.sha256()
    size = 0
    for chunk in uploaded.chunks(1024 * 1024):
        digest.update(chunk)
        size += len(chunk)
        check_size(size)
    return digest.hexdigest(), size


def _disk_full() -> NotNow:
    return NotNow(
        "disk_full", "The server has no room for this file at the moment. Try again later."
    )


def _too_large() -> UploadRejected:
    return UploadRejected(
        "too_large", f"The file is larger than the {settings.FRAMEVOTE_MAX_UPLOAD_MB} MB allowed."
    )

"""Videos that arrive in pieces: their bytes, their locks, and how they end.

The row says how much is safely here, the bytes lie in ``<id>.part`` beside the other uploads
under way. The file may be longer than the row says, after a kill for instance; what is past
the row's offset is cut off before the next piece is written. A lock on the file keeps
everybody else away, other processes too; the system frees it with the process that held it.

When the last byte is here the file goes through ``uploads.receive`` like every other, and row
and submission become complete in one transaction.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db.models import F
from django.utils import timezone

from .models import PartialUpload, Submission
from .tus import ALGORITHMS, Checksum
from .uploads import (
    HEAD_BYTES,
    NotNow,
    UploadRejected,
    check_head,
    check_name,
    check_room,
    check_sampling,
    check_size,
    clean_name,
    receive,
    refusing_on_a_full_disk,
)

READ_BYTES = 256 * 1024
"""The most of a piece that is ever in memory."""

COMMIT_BYTES = 8 * 1024 * 1024
COMMIT_SECONDS = 1.0
"""A kill in the middle of a long piece costs at most so much of it, whichever is less."""


@dataclass(frozen=True)
class Body:
    """A piece on its way: ``read(most)`` gives bytes, none at the end, or raises OSError.

    ``size`` is what the request announced, None where it did not.
    """

    read: Callable[[int], bytes]
    size: int | None


def create(
    *, owner: Any, visitor: uuid.UUID | None, name: str, length: int, sampling: str, metadata: str
) -> PartialUpload:
    """Begin an upload after all checks that need no bytes.

    Raises :class:`UploadRejected`.
    """
    name = clean_name(name)
    check_sampling(sampling or None)
    check_name(name)
    check_size(length)
    check_room(length)
    upload = PartialUpload.objects.create(
        owner=owner,
        visitor=visitor,
        original_name=name,
        length=length,
        sampling=sampling,
        metadata=metadata,
        expires_at=_expiry(),
    )
    # Counted afterwards: of several at the same moment the last one sees all the others.
    most = settings.FRAMEVOTE_MAX_OPEN_UPLOADS
    if PartialUpload.objects.open().filter(owner=owner, visitor=visitor).count() > most:
        upload.delete()
        raise UploadRejected(
            "too_many_open_uploads",
            f"You have {most} unfinished uploads already. Finish or cancel one of them first.",
        )
    return upload


def append(upload: PartialUpload, body: Body, offset: int, checksum: Checksum | None) -> None:
    """Add a piece at ``offset``; with the last one the upload becomes a submission.

    ``upload`` is up to date afterwards. Without a checksum, what arrived of a piece that
    broke off is kept. Raises :class:`UploadRejected`.
    """
    with _locked(upload) as file:
        if offset != upload.offset:
            raise UploadRejected(
                "wrong_offset", f"The upload is at byte {upload.offset}, not {offset}."
            )
        if body.size is not None and body.size > upload.length - offset:
            raise _too_long(upload)
        if upload.submission_id is not None:
            return  # Complete, and this piece is empty.
        if os.fstat(file.fileno()).st_size < offset:
            _discard(upload)
            raise gone()
        with refusing_on_a_full_disk():
            file.truncate(offset)
            # All of the rest, for the beginning of a file is of no use to anybody.
            check_room(upload.length - offset)
            end = _write(upload, file, body, checksum)
        if end == upload.length:
            _finish(upload, file)
        elif end > upload.offset:
            _commit(upload, file, end)
        if body.size is not None and end - offset < body.size:
            raise UploadRejected("broken_off", f"The connection broke off at byte {end}.")


def terminate(upload: PartialUpload) -> None:
    """End an upload and remove its bytes; a submission that it became stays."""
    with _locked(upload):
        _discard(upload)


def is_expired(upload: PartialUpload) -> bool:
    return upload.expires_at <= timezone.now()


def gone() -> UploadRejected:
    return UploadRejected("upload_gone", "This upload is not here any more. Begin it again.")


def remove_expired() -> list[str]:
    """Remove what waited for too long, rows and bytes; the names of the uploads."""
    removed = []
    for upload in PartialUpload.objects.filter(expires_at__lte=timezone.now()):
        try:
            with _locked(upload):
                # A piece may have come since the query.
                if is_expired(upload):
                    _discard(upload)
                    removed.append(str(upload.pk))
        except UploadRejected:
            pass  # A piece is coming just now, or somebody else removed it.
    return removed


def files() -> dict[uuid.UUID, Path]:
    """The bytes of all uploads, by the upload's id."""
    return {uuid.UUID(path.stem): path for path in _folder().glob("*.part")}


def _write(upload: PartialUpload, file: FileIO, body: Body, checksum: Checksum | None) -> int:
    """Stream the piece to the end of the file; the offset that was reached."""
    start = end = upload.offset
    digest = ALGORITHMS[checksum.algorithm]() if checksum else None
    commit_at = time.monotonic() + COMMIT_SECONDS
    for block in _blocks(body, upload.length - start):
        _write_all(file, block)
        end += len(block)
        if end > upload.length:
            raise _too_long(upload)
        if digest is not None:
            digest.update(block)
        elif end - upload.offset >= COMMIT_BYTES or time.monotonic() >= commit_at:
            if end < upload.length:
                _commit(upload, file, end)
                check_room(upload.length - end)  # Others write too.
            commit_at = time.monotonic() + COMMIT_SECONDS
    # Of a piece that broke off the checksum cannot be right, and nothing of it is kept.
    if checksum and digest and not hmac.compare_digest(digest.digest(), checksum.digest):
        raise UploadRejected(
            "wrong_checksum", "The bytes that arrived are not those that the checksum is of."
        )
    return end


def _blocks(body: Body, room: int) -> Iterator[bytes]:
    """The piece in blocks, up to where the connection breaks off.

    Of one without an announced size one byte more than there is room for, to notice it.
    """
    left = room + 1 if body.size is None else body.size
    while left:
        try:
            block = body.read(min(READ_BYTES, left))
        except OSError:
            return
        if not block:
            return
        left -= len(block)
        yield block


def _write_all(file: FileIO, block: bytes) -> None:
    left = memoryview(block)
    while left:
        left = left[file.write(left) :]


def _commit(upload: PartialUpload, file: FileIO, offset: int) -> None:
    """Make what was written the upload's own, first on the disk and then in the row."""
    with refusing_on_a_full_disk():
        os.fsync(file.fileno())
    if upload.offset < HEAD_BYTES <= offset:
        with _discarding_what_is_refused(upload):
            check_head(upload.original_name, os.pread(file.fileno(), HEAD_BYTES, 0))
    expires_at = _expiry()
    row = PartialUpload.objects.open().filter(pk=upload.pk, offset=upload.offset)
    if not row.update(offset=offset, expires_at=expires_at):
        raise gone()  # With its owner, who was deleted.
    upload.offset, upload.expires_at = offset, expires_at


def _finish(upload: PartialUpload, file: FileIO) -> None:
    path = _path(upload)
    # The storage moves this name of the file. The other one is for another attempt, should
    # the database be away now.
    name = path.with_suffix(".upload")
    try:
        with refusing_on_a_full_disk():
            os.fsync(file.fileno())
            _link(path, name)
        with _discarding_what_is_refused(upload), name.open("rb") as whole:
            receive(
                _WholeFile(whole, upload.original_name, upload.length),
                owner=upload.owner,
                visitor=upload.visitor,
                sampling=upload.sampling or None,
                on_saved=partial(_complete, upload),
            )
    finally:
        name.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    upload.refresh_from_db()


def _complete(upload: PartialUpload, submission: Submission) -> None:
    """In the transaction that makes the submission: the upload has become it."""
    row = PartialUpload.objects.open().filter(
        pk=upload.pk, owner=upload.owner, visitor=upload.visitor
    )
    if not row.update(offset=F("length"), submission=submission):
        # The visitor logged in this moment, and the submission would be nobody's.
        raise NotNow("upload_locked", "The upload has changed hands. Send the last piece again.")


class _WholeFile(UploadedFile):
    """A complete upload as ``receive`` wants it; a storage on the same disk may move it."""

    def __init__(self, file: BufferedReader, name: str, size: int) -> None:
        super().__init__(file, name=name, size=size)
        self._path = str(file.name)

    def temporary_file_path(self) -> str:
        return self._path


def _link(path: Path, name: Path) -> None:
    name.unlink(missing_ok=True)
    try:
        name.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, name)  # Some file systems have no links.


@contextmanager
def _locked(upload: PartialUpload) -> Iterator[FileIO]:
    """The upload's bytes for this process alone, and the row as it is now.

    Raises :class:`UploadRejected` when somebody else has them, or when the row is gone.
    """
    path = _path(upload)
    with refusing_on_a_full_disk():
        opened = FileIO(path, "a+", opener=_for_us_alone)
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotNow(
                "upload_locked", "Another request is writing to this upload. Ask again in a moment."
            ) from error
        try:
            upload.refresh_from_db()
        except PartialUpload.DoesNotExist as error:
            path.unlink(missing_ok=True)
            raise gone() from error
        if upload.submission_id is not None:
            path.unlink(missing_ok=True)
        yield file


@contextmanager
def _discarding_what_is_refused(upload: PartialUpload) -> Iterator[None]:
    """A file that will never be taken need not wait here."""
    try:
        yield
    except NotNow:
        raise
    except UploadRejected:
        _discard(upload)
        raise


def _discard(upload: PartialUpload) -> None:
    PartialUpload.objects.filter(pk=upload.pk).delete()
    _path(upload).unlink(missing_ok=True)


def _too_long(upload: PartialUpload) -> UploadRejected:
    return UploadRejected(
        "too_large", f"The piece goes past the {upload.length} bytes that were announced."
    )


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _folder() -> Path:
    return Path(settings.FILE_UPLOAD_TEMP_DIR)


def _path(upload: PartialUpload) -> Path:
    return _folder() / f"{upload.pk}.part"


def _expiry() -> datetime:
    return timezone.now() + timedelta(hours=settings.FRAMEVOTE_UPLOAD_HOURS)

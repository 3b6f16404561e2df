"""The media storage in a bucket of S3, or of a server that speaks like it.

The bucket is private and stays so: nothing here makes an address, and the views read through
this storage after they have asked who is looking. What S3 refuses or does not answer becomes an
``OSError``, as with a disk.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, NoReturn

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import File
from django.utils import timezone
from storages.backends.s3 import S3Storage

from .media import MediaStorage

BLOCK = 8 * 1024 * 1024
"""Asked for at once; who stops reading earlier closes the connection."""

BUFFER = 256 * 1024

AT_ONCE = 1000
"""Names that S3 deletes in one request."""


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 404 and error.response.get("Error", {}).get("Code") != "NoSuchBucket":
            raise FileNotFoundError(str(error)) from error
        raise OSError(f"the bucket refused: {error}") from error
    except BotoCoreError as error:
        raise OSError(f"the bucket does not answer: {error}") from error


class BucketStorage(S3Storage, MediaStorage):
    """``FRAMEVOTE_S3_…`` in the environment choose it; ``settings.py`` passes them on."""

    def __init__(self, **options: Any) -> None:
        style = "path" if options.get("endpoint_url") else "auto"
        options["client_config"] = Config(
            signature_version="s3v4",
            s3={"addressing_style": style},
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 3},
            # Not every server that speaks like S3 knows the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        super().__init__(**options)

    def url(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("Media have no address: a view asks who is looking.")

    def exists(self, name: str) -> bool:
        with _as_os_errors():
            return bool(super().exists(name))

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        folder = Path(settings.FRAMEVOTE_VAR_DIR) / "copies"
        folder.mkdir(exist_ok=True)
        _remove_left_copies(folder)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            path = Path(own) / PurePath(name).name
            try:
                with self.open(name) as stored, path.open("xb") as copy:
                    shutil.copyfileobj(stored, copy, BUFFER)
            except FileNotFoundError:
                pass  # Said by whoever opens the path.
            yield path

    def folders(self, parent: str) -> list[str]:
        with _as_os_errors():
            names, _ = self.listdir(parent)
        return sorted(names)

    def age(self, folder: str) -> float:
        with _as_os_errors():
            written = [found["LastModified"] for found in self._contents(folder)]
        return (timezone.now() - max(written)).total_seconds() if written else 0.0

    def remove_folder(self, name: str) -> None:
        with _as_os_errors():
            keys = [{"Key": found["Key"]} for found in self._contents(name)]
            for start in range(0, len(keys), AT_ONCE):
                some = {"Objects": keys[start : start + AT_ONCE], "Quiet": True}
                answer = self._client.delete_objects(Bucket=self.bucket_name, Delete=some)
                if answer.get("Errors"):
                    raise OSError(f"the bucket kept {answer['Errors'][0]}")

    def check(self) -> None:
        with _as_os_errors():
            self._client.head_bucket(Bucket=self.bucket_name)

    def _open(self, name: str, mode: str = "rb") -> File:
        if mode != "rb":
            raise ValueError(f"files are written as a whole, by save(); got mode {mode!r}")
        with _as_os_errors():
            head = self._client.head_object(Bucket=self.bucket_name, Key=name)
        stored = _Stored(self._client, self.bucket_name, name, head["ContentLength"])
        return File(io.BufferedReader(stored, BUFFER), name)

    def _save(self, name: str, content: Any) -> str:
        with _as_os_errors():
            return str(super()._save(name, content))

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def _contents(self, folder: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=f"{folder}/"
        )
        for page in pages:
            yield from page.get("Contents", ())


class _Stored(io.RawIOBase):
    """A file in a bucket: read from where one is, block by block, and never kept here."""

    def __init__(self, client: Any, bucket: str, key: str, size: int) -> None:
        self._client = client
        self._place = {"Bucket": bucket, "Key": key}
        self._size = size
        self._position = 0
        self._body: Any = None
        self._left = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset != self._position:
            self._drop()
            self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        with _as_os_errors():
            if not self._left:
                self._ask()
            try:
                data = self._body.read(min(len(buffer), self._left))
            except BotoCoreError:
                self._drop()
                raise
        if not data:
            self._drop()
            raise OSError("the bucket sent less than it said")
        buffer[: len(data)] = data
        self._position += len(data)
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _ask(self) -> None:
        last = min(self._position + BLOCK, self._size) - 1
        wanted = f"bytes={self._position}-{last}"
        self._drop()
        self._body = self._client.get_object(**self._place, Range=wanted)["Body"]
        self._left = last + 1 - self._position

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body, self._left = None, 0


def _remove_left_copies(folder: Path) -> None:
    """What a killed worker of this folder left: older than any analysis may become."""
    oldest = time.time() - settings.FRAMEVOTE_TASK_SECONDS - 600
    for left in folder.iterdir():
        try:
            if left.stat().st_mtime < oldest:
                shutil.rmtree(left)
        except FileNotFoundError:
            pass  # Another worker was first, or has just ended.

"""The private media storage: a folder here, a bucket in ``bucket.py``.

Both are storages of Django. What they have on top works on folders of names: a folder is
everything whose name begins with its name and a slash.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from django.core.files.storage import FileSystemStorage, Storage


class MediaStorage(Storage):
    """What this site asks of the storage of its videos and pictures. Failures are OSErrors."""

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """The file under a path of this machine, as long as the block runs.

        There is nothing at the path if there is no such file.
        """
        raise NotImplementedError

    def folders(self, parent: str) -> list[str]:
        """Names of the folders in a folder; none in one that does not exist."""
        raise NotImplementedError

    def age(self, folder: str) -> float:
        """Seconds since something was last written in it; 0 if it was removed in this moment."""
        raise NotImplementedError

    def remove_folder(self, name: str) -> None:
        """Remove a folder and what is in it; one that is not there is fine."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise unless the storage can be used."""
        raise NotImplementedError


class FolderStorage(FileSystemStorage, MediaStorage):
    """Files below ``MEDIA_ROOT``, which web processes, workers and sweepers share."""

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        yield Path(self.path(name))

    def folders(self, parent: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(parent) if entry.is_dir())

    def age(self, folder: str) -> float:
        # By the newest of the folder and its files, for a file grows without its folder.
        paths = (Path(self.path(folder)), *(Path(entry) for entry in self._entries(folder)))
        return min(_age(path) for path in paths)

    def remove_folder(self, name: str) -> None:
        """Its parent goes too, where that becomes empty and is no folder of the site."""
        folder = Path(self.path(name))
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        if name.count("/") > 1:
            try:
                folder.parent.rmdir()
            except OSError:
                pass  # Not empty, or somebody else was first.

    def check(self) -> None:
        Path(self.location).stat()

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What lies in a folder; nothing in one that was removed in this moment."""
        try:
            with os.scandir(self.path(folder)) as entries:
                return list(entries)
        except FileNotFoundError:
            return []


def _age(path: Path) -> float:
    """Seconds since the last write; 0 for what was removed in this moment."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0

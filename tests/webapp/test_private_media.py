"""Videos and faces have one address each, which asks who is looking; the files have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.evidence import JPEG, MP4, a_video, finish, stored_files
from webapp.submissions.models import Analysis
from webapp.submissions.uploads import receive

pytestmark = pytest.mark.django_db

ABOVE = (
    *("/", "/media/", "/var/media/", "/static/", "/static/../", "/static/%2e%2e/", "/admin/"),
    *("/submissions/", "/api/", "/api/v1/", "/static/..%2fvar%2fmedia%2f", "//", "/media/../"),
)


@pytest.fixture
def theirs(admin_user: User) -> Analysis:
    return finish(receive(a_video(), owner=admin_user, visitor=None))


@pytest.mark.parametrize("above", ABOVE)
def test_no_file_has_an_address_even_for_its_owner(
    admin_client: Client, theirs: Analysis, media_dir: Path, above: str
) -> None:
    files = [path.relative_to(media_dir) for path in stored_files() if path.is_file()]
    assert len(files) == 4, "a video and three faces"
    for file in files:
        for path in (f"{above}{file}", f"{above}{media_dir}/{file}", f"{above}{file.name}"):
            # As a server hands it over; the test client would take "//" for a host.
            answer = admin_client.get("/", PATH_INFO=unquote(path))
            assert answer.status_code in (404, 301, 302), path
            content = answer.getvalue()
            assert MP4 not in content
            assert JPEG not in content


def test_files_are_the_sites_own_on_a_shared_machine(theirs: Analysis) -> None:
    for path in stored_files():
        assert path.stat().st_mode & 0o007 == 0, path


def test_pages_name_no_file(admin_client: Client, theirs: Analysis) -> None:
    submission = theirs.submission
    for address in (
        submission.get_absolute_url(),
        f"/admin/submissions/submission/{submission.pk}/change/",
        f"/admin/submissions/analysis/{theirs.pk}/change/",
        f"/api/v1/submissions/{submission.pk}/",
        f"/api/v1/submissions/{submission.pk}/result/",
    ):
        page = admin_client.get(address).content.decode()
        assert "evidence/" not in page, address
        assert "video.mp4" not in page, address
        assert str(django_settings.MEDIA_ROOT) not in page, address


def test_what_is_served_to_everybody_holds_no_media(settings: Any) -> None:
    public = [Path(settings.STATIC_ROOT), *map(Path, settings.STATICFILES_DIRS)]
    private = [Path(django_settings.FRAMEVOTE_VAR_DIR), Path(settings.MEDIA_ROOT)]
    assert not [one for one in private for other in public if one.is_relative_to(other)]


def test_logging_out_clears_what_the_browser_kept(
    admin_client: Client, admin_user: User, theirs: Analysis
) -> None:
    """Faces may stay in its cache for a year, but not for the next person."""
    face = admin_client.get(f"/analyses/{theirs.pk}/faces/1.jpg")
    assert "max-age=31536000" in face["Cache-Control"]
    assert admin_client.post("/accounts/logout/")["Clear-Site-Data"] == '"cache"'
    admin_client.force_login(admin_user)
    assert admin_client.post("/admin/logout/")["Clear-Site-Data"] == '"cache"'

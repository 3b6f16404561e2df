"""A large upload passes through the web process and does not stay in it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests import large_upload
from tests.large_upload import MB
from tests.processes import Site
from webapp.accounts.models import ApiToken
from webapp.submissions.models import Submission

pytestmark = pytest.mark.process


@pytest.mark.parametrize("piece", [64 * MB, 8 * MB])
def test_64_mb_leave_the_web_process_small(site: Site, alice: User, piece: int) -> None:
    url = site.start_web()
    _, secret = ApiToken.objects.issue(alice, "large")
    with large_upload.watched_memory(site.processes["web"].pid) as most:
        small = large_upload.send(url, secret, 100, piece)
        before = max(most.values())
        large = large_upload.send(url, secret, 64 * MB, piece)
    stored = {str(s.pk): s.sha256 for s in Submission.objects.all()}
    assert stored == {small.submission: small.sha256, large.submission: large.sha256}
    assert max(most.values()) < 200 * MB
    assert max(most.values()) - before < 32 * MB, "half of the file was in memory"

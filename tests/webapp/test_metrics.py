"""``/metrics``: what it says, and to whom."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Site
from tests.webapp.analyses import failed, finished, running
from webapp import metrics
from webapp.submissions import queue, tallies
from webapp.submissions.models import Analysis, Submission, Tally, WorkerBeat

pytestmark = pytest.mark.django_db

MakeSubmission = Callable[..., Submission]
TOKEN = "a-token-for-prometheus"


def samples() -> dict[tuple[Any, ...], float]:
    """Every number by its name and the values of its labels, a bucket's bound last."""
    text = metrics.exposition().decode()
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels, key="le".__eq__))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def made_to_wait(analysis: Analysis, seconds: float) -> Analysis:
    Analysis.objects.filter(pk=analysis.pk).update(
        created_at=timezone.now() - timedelta(seconds=seconds)
    )
    return analysis


def run_for(analysis: Analysis, waited: float, ran: float) -> queue.Lease:
    """A claimed analysis that has waited and run for so long."""
    lease = queue.claim(analysis.pk, worker="w")
    assert lease is not None
    began = timezone.now() - timedelta(seconds=ran)
    Analysis.objects.filter(pk=analysis.pk).update(
        started_at=began, created_at=began - timedelta(seconds=waited)
    )
    return lease


# --- what it says -------------------------------------------------------------------------


def test_an_empty_site_says_zero_and_not_nothing() -> None:
    said = samples()
    for state in ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"):
        assert said["framevote_analyses", state] == 0
    assert said["framevote_oldest_waiting_seconds",] == 0
    assert said["framevote_workers",] == 0
    assert said["framevote_worker_slots",] == 0
    assert said["framevote_waiting_seconds_count",] == 0
    assert said["framevote_running_seconds_bucket", "SUCCEEDED", "+Inf"] == 0


def test_the_queue_is_counted_by_state(make_submission: MakeSubmission) -> None:
    queue.enqueue(make_submission())
    made_to_wait(queue.enqueue(make_submission()), 500)
    finished(make_submission())  # Claims by name, not the oldest.
    failed(make_submission())
    running(make_submission())
    queue.cancel(queue.enqueue(make_submission()).pk)
    said = samples()
    states = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED")
    assert [said["framevote_analyses", state] for state in states] == [2, 1, 1, 1, 1]
    assert 500 <= said["framevote_oldest_waiting_seconds",] < 600


def test_only_living_workers_count() -> None:
    queue.beat("worker1", slots=2)
    queue.beat("worker2", slots=1)
    queue.beat("dead", slots=4)
    WorkerBeat.objects.filter(name="dead").update(beat_at=timezone.now() - timedelta(minutes=2))
    said = samples()
    assert (said["framevote_workers",], said["framevote_worker_slots",]) == (2, 3)


def test_waiting_and_running_times_fall_into_their_buckets(make_submission: MakeSubmission) -> None:
    for waited, ran in ((3, 25), (45, 55), (100_000, 4000)):
        lease = run_for(queue.enqueue(make_submission()), waited, ran)
        assert queue.fail(lease, "cannot_decode", "Damaged.")
    said = samples()

    def buckets(name: str, *labels: str) -> list[float]:
        found = [(key[-1], n) for key, n in said.items() if key[:-1] == (name, *labels)]
        return [n for _, n in sorted(found, key=lambda bucket: float(bucket[0]))]

    assert buckets("framevote_waiting_seconds_bucket") == [0, *[1] * 3, *[2] * 9, 3]
    assert said["framevote_waiting_seconds_count",] == 3
    assert said["framevote_waiting_seconds_sum",] == pytest.approx(100_048, abs=5)
    assert buckets("framevote_running_seconds_bucket", "FAILED") == [*[0] * 5, 1, *[2] * 6, 3]
    assert said["framevote_running_seconds_sum", "FAILED"] == pytest.approx(4080, abs=5)
    assert said["framevote_running_seconds_count", "SUCCEEDED"] == 0


def test_failures_are_counted_by_code(make_submission: MakeSubmission, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_ATTEMPTS = 2
    failed(make_submission(), "cannot_decode")
    failed(make_submission(), "cannot_decode")
    failed(make_submission(), "too_long")
    poison = queue.enqueue(make_submission())
    for _ in range(2):
        assert queue.retry(run_for(poison, 1, 1), "internal: a bug")
    said = samples()
    assert said["framevote_failures_total", "cannot_decode"] == 2
    assert said["framevote_failures_total", "too_long"] == 1
    assert said["framevote_failures_total", "gave_up"] == 1, "the try before it was no failure"
    assert said["framevote_running_seconds_count", "FAILED"] == 4


def test_the_detectors_seconds_are_counted_by_stage(make_submission: MakeSubmission) -> None:
    finished(make_submission(), seconds={"decode": 1.5, "detect": 4.0, "total": 6.0})
    finished(make_submission(), seconds={"decode": 0.5, "detect": 2.0, "total": 3.0})
    said = samples()
    assert said["framevote_stage_seconds_count", "decode"] == 2
    assert said["framevote_stage_seconds_sum", "decode"] == 2.0
    assert said["framevote_stage_seconds_sum", "detect"] == 6.0
    assert ("framevote_stage_seconds_sum", "total") not in said, "it is not a stage"


def test_counters_never_fall_when_people_delete_their_videos(
    make_submission: MakeSubmission,
) -> None:
    counters = ("_total", "_sum", "_count", "_bucket")
    done = finished(make_submission())
    broken = failed(make_submission())
    before = {key: n for key, n in samples().items() if key[0].endswith(counters)}
    for analysis in (done, broken):
        queue.delete_submission(analysis.submission)
    assert not Analysis.objects.exists()
    after = samples()
    assert before == {key: after[key] for key in before}
    assert after["framevote_analyses", "SUCCEEDED"] == 0


def test_a_lost_lease_counts_nothing(make_submission: MakeSubmission) -> None:
    lease = run_for(queue.enqueue(make_submission()), 1, 1)
    queue.cancel(lease.analysis_id)
    assert not queue.fail(lease, "cannot_decode", "Damaged.")
    assert not Tally.objects.exists()


def test_free_space_is_told(settings: Any) -> None:
    said = samples()
    for folder, path in (("media", settings.MEDIA_ROOT), ("var", settings.FRAMEVOTE_VAR_DIR)):
        whole = shutil.disk_usage(path).total
        assert 0 < said["framevote_free_bytes", folder] <= whole


def test_old_buckets_stay_in_the_sum_when_the_bounds_are_changed() -> None:
    Tally.objects.create(metric=tallies.WAITING, bound="40", number=2, seconds=70)
    said = samples()
    assert said["framevote_waiting_seconds_bucket", "30"] == 0
    assert said["framevote_waiting_seconds_bucket", "60"] == 2
    assert said["framevote_waiting_seconds_count",] == 2


def test_it_costs_few_queries_however_much_there_is(
    make_submission: MakeSubmission, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        finished(make_submission())
    with django_assert_num_queries(4):
        metrics.exposition()


@pytest.mark.process
def test_what_another_process_did_is_told_too(site: Site, make_submission: MakeSubmission) -> None:
    analysis_id = site.enqueue(make_submission())
    site.run(
        "-c",
        "import django, sys, uuid; django.setup(); from webapp.submissions import queue\n"
        "lease = queue.claim(uuid.UUID(sys.argv[1]), worker='elsewhere')\n"
        "queue.beat('elsewhere', 1); queue.fail(lease, 'too_long', 'Too long.')",
        analysis_id,
    )
    said = samples()
    assert said["framevote_failures_total", "too_long"] == 1
    assert said["framevote_workers",] == 1


# --- to whom ------------------------------------------------------------------------------


def status(client: Client, **headers: str) -> int:
    return client.get("/metrics", headers=headers).status_code


@pytest.fixture
def local() -> Client:
    """A program of this machine."""
    return Client(REMOTE_ADDR="127.0.0.1", SERVER_NAME="127.0.0.1")


def test_without_a_token_this_machine_may_read(local: Client) -> None:
    response = local.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "no-cache" in response["Cache-Control"]
    assert b'framevote_analyses{state="QUEUED"} 0.0' in response.content
    assert local.post("/metrics").status_code == 405


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "::2", "", "unix:"])
def test_without_a_token_another_machine_may_not(address: str) -> None:
    response = Client(REMOTE_ADDR=address, SERVER_NAME="127.0.0.1").get("/metrics")
    assert response.status_code == 403
    assert "FRAMEVOTE_METRICS_TOKEN" in response.content.decode()
    assert b"framevote_analyses" not in response.content


@pytest.mark.parametrize(
    "shown",
    [
        {"X-Forwarded-For": "192.0.2.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=192.0.2.7"},
        {"X-Real-IP": "192.0.2.7"},
        {"X-Forwarded-Host": "videos.example.org"},
        {"Via": "1.1 proxy"},
        {"Host": "videos.example.org"},
    ],
)
def test_without_a_token_a_proxy_on_this_machine_may_not(
    local: Client, settings: Any, shown: dict[str, str]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    assert status(local) == 200
    assert status(local, **shown) == 403


def test_without_a_token_nobody_may_behind_tls(local: Client, settings: Any) -> None:
    settings.FRAMEVOTE_HTTPS = True
    assert status(local) == 403


def test_a_logged_in_person_is_a_stranger_here(alice: User, settings: Any) -> None:
    alice.is_staff = alice.is_superuser = True
    alice.save()
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.force_login(alice)
    assert status(client) == 403
    settings.FRAMEVOTE_METRICS_TOKEN = TOKEN
    assert status(client) == 401


@pytest.mark.parametrize("https", [True, False])
def test_with_a_token_whoever_shows_it_may_read(settings: Any, https: bool) -> None:
    settings.FRAMEVOTE_METRICS_TOKEN = TOKEN
    settings.FRAMEVOTE_HTTPS = https
    far = Client(REMOTE_ADDR="192.0.2.7")
    assert status(far, Authorization=f"Bearer {TOKEN}") == 200
    assert status(far, Authorization=f"bearer {TOKEN}") == 200


@pytest.mark.parametrize(
    "shown", ["", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Token {TOKEN}", "Bearer", TOKEN]
)
def test_with_a_token_nobody_else_may(local: Client, settings: Any, shown: str) -> None:
    settings.FRAMEVOTE_METRICS_TOKEN = TOKEN
    response = local.get("/metrics", headers={"Authorization": shown})
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in response.content.decode()
    assert b"framevote_analyses" not in response.content

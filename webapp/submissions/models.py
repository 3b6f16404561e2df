"""Submissions, uploads in pieces, analyses (the queue), evidence, reviews, and counters.

States of an analysis and the legal transitions between them::

    QUEUED ─claim─▶ RUNNING ─publish─▶ SUCCEEDED
       ▲              │ ├─fail──▶ FAILED
       └──lease lost──┘ └─cancel▶ CANCELED        (QUEUED ─cancel▶ CANCELED)

``queue.py`` is the only module that writes a state; each transition there is
one conditional UPDATE.
"""

from __future__ import annotations

import uuid
from pathlib import PurePath
from typing import Any, Self, TypeVar, cast

from django.conf import settings
from django.core.files.storage import storages
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from .media import MediaStorage


class State(models.TextChoices):
    QUEUED = "QUEUED", "waiting"
    RUNNING = "RUNNING", "running"
    SUCCEEDED = "SUCCEEDED", "done"
    FAILED = "FAILED", "failed"
    CANCELED = "CANCELED", "canceled"


ACTIVE_STATES = (State.QUEUED, State.RUNNING)


class VerdictChoice(models.TextChoices):
    """The detector's ``Verdict``, for the database (the web process imports no detector)."""

    REAL = "REAL", "real"
    FAKE = "FAKE", "fake"
    UNDECIDED = "UNDECIDED", "undecided"


class VoteChoice(models.TextChoices):
    REAL = "REAL", "real"
    FAKE = "FAKE", "fake"


class SamplingLevel(models.TextChoices):
    QUICK = "quick", "quick (32 frames)"
    STANDARD = "standard", "standard (64 frames)"
    THOROUGH = "thorough", "thorough (every 5th frame)"


def media_storage() -> MediaStorage:
    """Private storage for uploads and evidence; nothing in it has a public address."""
    return cast(MediaStorage, storages["media"])


def upload_path(submission: Submission, filename: str) -> str:
    """``submissions/<uuid>/video<ext>``: the uploader's name never becomes a path.

    Only the suffix survives, and uploads.py has checked it against the allowed ones.
    """
    return f"submissions/{submission.pk}/video{PurePath(filename).suffix.lower()}"


_Owned = TypeVar("_Owned", bound=models.Model)


class OwnedQuerySet(models.QuerySet[_Owned]):
    def owned_by(self, user: Any, visitor: uuid.UUID | None) -> Self:
        """What a person may see: their account's, or else their anonymous session's.

        Staff see everything through the admin, not here.
        """
        if user is not None and user.is_authenticated:
            return self.filter(owner=user)
        if visitor is None:
            return self.none()
        return self.filter(owner=None, visitor=visitor)


class SubmissionQuerySet(OwnedQuerySet["Submission"]):
    pass


class PartialUploadQuerySet(OwnedQuerySet["PartialUpload"]):
    def open(self) -> Self:
        """Those that have not become a submission."""
        return self.filter(submission=None)


class Submission(models.Model):
    """One uploaded video, its owner and its facts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="submissions",
    )
    visitor = models.UUIDField(
        null=True,
        blank=True,
        editable=False,
        help_text="Random id kept in the session of an anonymous uploader.",
    )
    original_name = models.CharField(max_length=255)
    video = models.FileField(storage=media_storage, upload_to=upload_path, max_length=200)
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField("SHA-256", max_length=64)
    container = models.CharField(max_length=100, blank=True)
    codec = models.CharField(max_length=40, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    duration_s = models.FloatField("duration in seconds", null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    files_removed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When video and pictures were removed because their time was up.",
    )

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["owner", "-created_at"]),
            models.Index(fields=["visitor", "-created_at"]),
            *(models.Index(fields=[whose, "sha256"]) for whose in ("owner", "visitor")),
            models.Index(
                fields=["created_at"],
                name="submission_with_files",
                condition=Q(files_removed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.original_name

    def get_absolute_url(self) -> str:
        return reverse("submissions:detail", args=[self.pk])

    @property
    def latest_analysis(self) -> Analysis | None:
        """The newest analysis, from the prefetched ones where there are any."""
        analyses = sorted(self.analyses.all(), key=lambda a: (a.created_at, str(a.pk)))
        return analyses[-1] if analyses else None


class PartialUpload(models.Model):
    """A video that arrives in pieces; ``partial_uploads.py`` keeps its bytes.

    ``offset`` is what is safely on the disk. It reaches ``length`` in the very transaction
    that makes the submission, so whoever reads it as complete can rely on that.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="partial_uploads",
    )
    visitor = models.UUIDField(null=True, blank=True, editable=False)
    original_name = models.CharField(max_length=255)
    length = models.PositiveBigIntegerField(help_text="Bytes of the whole file.")
    offset = models.PositiveBigIntegerField(default=0, help_text="Bytes that are here.")
    sampling = models.CharField(max_length=16, choices=SamplingLevel, blank=True)
    metadata = models.TextField(blank=True, help_text="As the client sent it.")
    submission = models.OneToOneField(
        Submission, null=True, blank=True, on_delete=models.CASCADE, related_name="partial_upload"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = PartialUploadQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["visitor"])]
        constraints = [
            models.CheckConstraint(
                name="partial_upload_complete_iff_submitted",
                condition=Q(offset=F("length"), submission__isnull=False)
                | Q(offset__lt=F("length"), submission__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.original_name


class Analysis(models.Model):
    """One run of one detector version over a submission; it is the queue entry."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="analyses")
    sampling = models.CharField(max_length=16, choices=SamplingLevel, default="standard")

    # The queue. Written by queue.py only.
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    created_at = models.DateTimeField(auto_now_add=True)
    # Whose share of the workers it uses up; NULL when it has ended.
    share = models.CharField(max_length=100, null=True, editable=False)  # noqa: DJ001
    turn = models.IntegerField(default=0, editable=False, help_text="Given by turns.py.")
    announced_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.UUIDField(null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    stage = models.CharField(max_length=20, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_sentence = models.CharField(max_length=300, blank=True)
    last_reason = models.TextField(blank=True, help_text="Why the latest attempt ended early.")
    provisional = models.JSONField(null=True, editable=False)  # Of provisional.py.

    # The result. Empty until SUCCEEDED, then never changed.
    verdict = models.CharField(max_length=16, choices=VerdictChoice, blank=True)
    vote = models.CharField(max_length=8, choices=VoteChoice, blank=True)
    reasons = models.JSONField(default=list, blank=True)
    probability_fake = models.FloatField(null=True, blank=True)
    votes_real = models.PositiveIntegerField(default=0)
    votes_fake = models.PositiveIntegerField(default=0)
    checkpoint_name = models.CharField(max_length=100, blank=True)
    checkpoint_version = models.CharField(max_length=40, blank=True)
    checkpoint_sha256 = models.CharField(max_length=64, blank=True)
    sampled_frames = models.JSONField(default=list, blank=True)
    skipped_frames = models.PositiveIntegerField(default=0)
    seconds = models.JSONField(default=dict, blank=True)
    versions = models.JSONField(default=dict, blank=True)
    evidence_dir = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "analyses"
        indexes = [
            models.Index(fields=["state", "created_at"]),
            models.Index(
                fields=["state", "turn", "created_at", "id", "sampling"], name="analysis_turns"
            ),
            models.Index(fields=["submission", "created_at"]),
            models.Index(fields=["-created_at", "-id"]),
        ]
        constraints = [
            models.CheckConstraint(
                name="analysis_lease_iff_running",
                condition=Q(state=State.RUNNING, lease__isnull=False)
                | (~Q(state=State.RUNNING) & Q(lease__isnull=True, provisional__isnull=True)),
            ),
            models.CheckConstraint(
                name="analysis_verdict_iff_succeeded",
                condition=(Q(state=State.SUCCEEDED) & ~Q(verdict=""))
                | (~Q(state=State.SUCCEEDED) & Q(verdict="")),
            ),
            models.UniqueConstraint(
                name="one_active_analysis_per_submission",
                fields=["submission"],
                condition=Q(state__in=ACTIVE_STATES),
            ),
            models.UniqueConstraint(name="analysis_turn_taken_once", fields=["share", "turn"]),
        ]

    def __str__(self) -> str:
        return f"{self.submission_id} {self.get_state_display()}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES


class Person(models.Model):
    """The faces of one track and the majority over them."""

    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="people")
    number = models.PositiveSmallIntegerField()
    verdict = models.CharField(max_length=16, choices=VerdictChoice)
    probability_fake = models.FloatField()
    votes_real = models.PositiveIntegerField()
    votes_fake = models.PositiveIntegerField()
    counts = models.BooleanField(help_text="Whether the track is long enough to vote.")

    class Meta:
        ordering = ["analysis", "number"]
        verbose_name_plural = "people"
        constraints = [
            models.UniqueConstraint(fields=["analysis", "number"], name="person_number_unique")
        ]

    def __str__(self) -> str:
        return f"person {self.number}"


class Face(models.Model):
    """One detected face in one sampled frame, with its own vote and thumbnail."""

    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="faces")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="faces")
    number = models.PositiveIntegerField(help_text="Order in the result; names the thumbnail.")
    frame_index = models.PositiveIntegerField()
    time_s = models.FloatField()
    x = models.PositiveIntegerField()
    y = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    confidence = models.FloatField()
    predictions = models.JSONField(help_text="[[p_fake, p_real], …]")
    vote = models.CharField(max_length=8, choices=VoteChoice)
    probability_fake = models.FloatField()
    counts = models.BooleanField()

    class Meta:
        ordering = ["analysis", "number"]
        constraints = [
            models.UniqueConstraint(fields=["analysis", "number"], name="face_number_unique")
        ]

    def __str__(self) -> str:
        return f"face {self.number}"

    @property
    def thumbnail_name(self) -> str:
        """Name of the JPEG in the media storage."""
        return f"{self.analysis.evidence_dir}/{self.number:05d}.jpg"


class Review(models.Model):
    """A reviewer's ground-truth label; it stands beside the verdict, never over it."""

    class GroundTruth(models.TextChoices):
        REAL = "REAL", "real"
        FAKE = "FAKE", "fake"
        UNSURE = "UNSURE", "cannot tell"

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews"
    )
    label = models.CharField(max_length=8, choices=GroundTruth)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["submission", "reviewer"], name="one_review_per_reviewer"
            )
        ]

    def __str__(self) -> str:
        return f"{self.label} by {self.reviewer}"


class WorkerBeat(models.Model):
    """A sign of life of one worker; ``queue.py`` reads it to estimate waiting times."""

    name = models.CharField(max_length=200, unique=True)
    slots = models.PositiveSmallIntegerField(help_text="Analyses it runs at a time.")
    queues = models.JSONField(default=list, help_text="Those it serves.")
    beat_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tally(models.Model):
    """One counter of what has happened so far; ``tallies.py`` writes it, and nothing deletes it."""

    metric = models.CharField(max_length=40)
    label = models.CharField(max_length=40, blank=True)
    bound = models.CharField(max_length=10, blank=True, help_text="Of a histogram's bucket.")
    number = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0.0, help_text="Of all that were counted, together.")

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(fields=["metric", "label", "bound"], name="tally_unique")
        ]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.metric, self.label, self.bound)))

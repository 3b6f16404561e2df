"""The shapes of the API's answers, for the answers and their OpenAPI description alike."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request

from . import provisional, queue
from .model_cards import ModelCard
from .models import (
    Analysis,
    SamplingLevel,
    State,
    Submission,
    VerdictChoice,
    VoteChoice,
)
from .results import checkpoint_of, votes_of


class ErrorDetailSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="Stable; for programs.")
    message = serializers.CharField(help_text="One sentence for people; may be reworded.")


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error of this API looks like this."""

    error = ErrorDetailSerializer()


class ChoiceOrNull(serializers.ChoiceField):
    """Null where the database has an empty string."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        super().__init__(choices, allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(value) or None


class VotesSerializer(serializers.Serializer[Any]):
    real = serializers.IntegerField(min_value=0)
    fake = serializers.IntegerField(min_value=0)


class CheckpointSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.CharField()
    sha256 = serializers.CharField()


class ProvisionalFaceSerializer(serializers.Serializer[Any]):
    person = serializers.IntegerField(min_value=1)
    frame_index = serializers.IntegerField(min_value=0)
    time_s = serializers.FloatField()
    vote = serializers.ChoiceField(choices=VoteChoice.choices)
    probability_fake = serializers.FloatField(min_value=0, max_value=1)
    picture = serializers.CharField(help_text="A small WebP, as a `data:` address.")


class ProvisionalSerializer(serializers.Serializer[Any]):
    """How the faces judged so far have voted. It is no verdict, and may change."""

    judged_frames = serializers.IntegerField(min_value=0)
    planned_frames = serializers.IntegerField(min_value=0)
    votes = VotesSerializer()
    faces = ProvisionalFaceSerializer(
        many=True, help_text="At most 64; of more, those of some frames, evenly apart."
    )


class AnalysisSerializer(serializers.Serializer[Analysis]):
    """One run of the detector over a submission."""

    id = serializers.UUIDField()
    submission = serializers.UUIDField(source="submission_id")
    url = serializers.SerializerMethodField()
    result_url = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=State.choices)
    stage = serializers.CharField(
        allow_blank=True,
        help_text="probe, sample, detect, track, predict, vote or publish; empty before the start.",
    )
    percent = serializers.IntegerField(min_value=0, max_value=100)
    sampling = serializers.ChoiceField(choices=SamplingLevel.choices)
    attempts = serializers.IntegerField(min_value=0)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    provisional = serializers.SerializerMethodField(
        help_text="What is known so far; null unless running."
    )
    verdict = ChoiceOrNull(VerdictChoice.choices)
    vote = ChoiceOrNull(
        VoteChoice.choices, help_text="What most voting faces say; null without a voting face."
    )
    reasons = serializers.ListField(child=serializers.CharField())
    probability_fake = serializers.FloatField(allow_null=True, min_value=0, max_value=1)
    votes = serializers.SerializerMethodField()
    checkpoint = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()

    def get_url(self, analysis: Analysis) -> str:
        return _absolute(self.context["request"], "api:analysis", analysis.pk)

    def get_result_url(self, analysis: Analysis) -> str:
        return _absolute(self.context["request"], "api:analysis-result", analysis.pk)

    @extend_schema_field(ProvisionalSerializer(allow_null=True))
    def get_provisional(self, analysis: Analysis) -> Any:
        known = provisional.of(analysis)
        return None if known is None else ProvisionalSerializer(known).data

    @extend_schema_field(VotesSerializer)
    def get_votes(self, analysis: Analysis) -> dict[str, int]:
        return votes_of(analysis)

    @extend_schema_field(CheckpointSerializer(allow_null=True))
    def get_checkpoint(self, analysis: Analysis) -> dict[str, str] | None:
        return checkpoint_of(analysis) if analysis.checkpoint_name else None

    @extend_schema_field(ErrorDetailSerializer(allow_null=True))
    def get_error(self, analysis: Analysis) -> dict[str, str] | None:
        if not analysis.error_code:
            return None
        return {"code": analysis.error_code, "message": analysis.error_sentence}


class SubmissionSerializer(serializers.Serializer[Submission]):
    """One uploaded video with the state and verdict of its newest analysis."""

    id = serializers.UUIDField()
    url = serializers.SerializerMethodField(help_text="This submission in the API.")
    page = serializers.SerializerMethodField(help_text="The result page for people.")
    name = serializers.CharField(source="original_name", help_text="As the uploader called it.")
    size_bytes = serializers.IntegerField(min_value=0)
    sha256 = serializers.CharField()
    created_at = serializers.DateTimeField()
    files_removed_at = serializers.DateTimeField(
        allow_null=True,
        help_text="When video and pictures were removed, because their time was up; else null.",
    )
    duplicate_of = serializers.SerializerMethodField(
        help_text="Your newest earlier submission of the same file that has a result, else null."
    )
    duration_s = serializers.FloatField(allow_null=True)
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    codec = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=State.choices, source="latest_analysis.state")
    stage = serializers.CharField(allow_blank=True, source="latest_analysis.stage")
    percent = serializers.IntegerField(min_value=0, max_value=100, source="latest_analysis.percent")
    position = serializers.SerializerMethodField(
        help_text="Place in the queue, 1 is next; null unless waiting."
    )
    verdict = ChoiceOrNull(VerdictChoice.choices, source="latest_analysis.verdict")
    probability_fake = serializers.FloatField(
        allow_null=True, min_value=0, max_value=1, source="latest_analysis.probability_fake"
    )

    def get_url(self, submission: Submission) -> str:
        return _absolute(self.context["request"], "api:submission", submission.pk)

    def get_page(self, submission: Submission) -> str:
        return str(self.context["request"].build_absolute_uri(submission.get_absolute_url()))

    def get_duplicate_of(self, submission: Submission) -> UUID | None:
        earlier: dict[UUID, Submission] = self.context["earlier"]
        return earlier[submission.pk].pk if submission.pk in earlier else None

    def get_position(self, submission: Submission) -> int | None:
        places: dict[UUID, int | None] = self.context["positions"]
        return places.get(_newest(submission).pk)


class SubmissionDetailSerializer(SubmissionSerializer):
    """The same with the waiting time, the failure and all analyses, newest first."""

    estimated_wait_s = serializers.SerializerMethodField(
        help_text="Seconds until the start; null where nothing is known yet."
    )
    error = serializers.SerializerMethodField(help_text="Why the newest analysis failed, if so.")
    analyses = serializers.SerializerMethodField()

    def get_estimated_wait_s(self, submission: Submission) -> float | None:
        analysis = _newest(submission)
        return queue.estimated_wait_s(analysis) if analysis.state == State.QUEUED else None

    @extend_schema_field(ErrorDetailSerializer(allow_null=True))
    def get_error(self, submission: Submission) -> dict[str, str] | None:
        analysis = _newest(submission)
        if not analysis.error_code:
            return None
        return {"code": analysis.error_code, "message": analysis.error_sentence}

    @extend_schema_field(AnalysisSerializer(many=True))
    def get_analyses(self, submission: Submission) -> Any:
        newest_first: Any = sorted(
            submission.analyses.all(), key=lambda a: (a.created_at, str(a.pk)), reverse=True
        )
        return AnalysisSerializer(newest_first, many=True, context=self.context).data


@extend_schema_serializer(many=False)  # One page, though the operation is a list.
class SubmissionPageSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=0, help_text="On all pages together.")
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = SubmissionSerializer(many=True)


class PersonResultSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(min_value=1)
    verdict = serializers.ChoiceField(choices=VerdictChoice.choices)
    probability_fake = serializers.FloatField(min_value=0, max_value=1)
    votes = VotesSerializer()
    counts = serializers.BooleanField(
        help_text="Whether this person's faces take part in the vote."
    )


class FaceResultSerializer(serializers.Serializer[Any]):
    person = serializers.IntegerField(min_value=1)
    frame_index = serializers.IntegerField(min_value=0)
    time_s = serializers.FloatField()
    box = serializers.ListField(
        child=serializers.IntegerField(min_value=0),
        min_length=4,
        max_length=4,
        help_text="[x, y, width, height] in pixels of the upright frame.",
    )
    vote = serializers.ChoiceField(choices=VoteChoice.choices)
    probability_fake = serializers.FloatField(min_value=0, max_value=1)
    confidence = serializers.FloatField(help_text="How sure the face finder is that it is a face.")
    predictions = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2),
        help_text="[[p_fake, p_real], …]; the face's vote is their majority.",
    )
    counts = serializers.BooleanField()


class MediaSerializer(serializers.Serializer[Any]):
    container = serializers.CharField(allow_blank=True)
    codec = serializers.CharField(allow_blank=True)
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    duration_s = serializers.FloatField(allow_null=True)


class ResultSerializer(serializers.Serializer[Any]):
    """Everything the detector found; the command line's ``--json`` has the same keys."""

    file = serializers.CharField()
    verdict = serializers.ChoiceField(choices=VerdictChoice.choices)
    probability_fake = serializers.FloatField(allow_null=True, min_value=0, max_value=1)
    vote = ChoiceOrNull(VoteChoice.choices)
    votes = VotesSerializer()
    reasons = serializers.ListField(child=serializers.CharField())
    people = PersonResultSerializer(many=True)
    faces = FaceResultSerializer(many=True)
    seconds = serializers.FloatField(help_text="How long the analysis took.")
    stage_seconds = serializers.DictField(child=serializers.FloatField())
    checkpoint = CheckpointSerializer()
    media = MediaSerializer()
    sampling = serializers.ChoiceField(choices=SamplingLevel.choices)
    sampled_frames = serializers.ListField(child=serializers.IntegerField(min_value=0))
    skipped_frames = serializers.IntegerField(
        min_value=0, help_text="Planned, and left out because they could not change the verdict."
    )
    versions = serializers.DictField(child=serializers.CharField())


class FigureSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    value = serializers.FloatField(allow_null=True, help_text="Null where it has no meaning.")
    low = serializers.FloatField(allow_null=True, help_text="Lower end of the 95% interval.")
    high = serializers.FloatField(allow_null=True)


class MeasuredRowSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    n = serializers.IntegerField(source="count")
    groups = serializers.IntegerField(
        allow_null=True, help_text="That the examples, or a method's fakes, are of; else null."
    )
    figures = FigureSerializer(many=True)


class MeasuredSetSerializer(serializers.Serializer[Any]):
    """What was measured on one set, a row of figures for each method and damage too."""

    set = serializers.CharField(source="name")
    part = serializers.CharField(allow_blank=True, help_text="Of the set; blank for all of it.")
    level = serializers.CharField(help_text="video or frame: what one example is.")
    n = serializers.IntegerField(source="count")
    real = serializers.IntegerField()
    fake = serializers.IntegerField()
    groups = serializers.IntegerField(
        help_text="Videos of one group hang together; intervals come from resampling groups."
    )
    figures = FigureSerializer(many=True)
    by_method = MeasuredRowSerializer(
        many=True, help_text="The fakes of each method against all genuine examples of the set."
    )
    by_dataset = MeasuredRowSerializer(
        many=True,
        help_text="In a collection of several data sets: those with genuine and fake examples.",
    )
    matched = MeasuredRowSerializer(
        allow_null=True,
        help_text="The groups with both genuine and fake examples, where that is not all of the "
        "set: elsewhere origin or format may give the label away.",
    )
    robustness = MeasuredRowSerializer(many=True, help_text="The same set after each damage.")
    command = serializers.CharField(allow_blank=True)
    date = serializers.CharField(allow_blank=True)


class ModelSerializer(serializers.Serializer[ModelCard]):
    """An installed checkpoint and what was measured of it."""

    name = serializers.CharField()
    version = serializers.CharField(allow_blank=True)
    sha256 = serializers.CharField()
    created = serializers.CharField(allow_blank=True)
    in_use = serializers.BooleanField(help_text="Whether new analyses use it.")
    summary = serializers.CharField(
        allow_blank=True, help_text="What it can and cannot see, in one sentence."
    )
    calibrated = serializers.BooleanField()
    metrics = MeasuredSetSerializer(many=True)
    limits = serializers.ListField(child=serializers.CharField())


def _newest(submission: Submission) -> Analysis:
    analysis = submission.latest_analysis
    if analysis is None:
        # uploads.receive writes both rows in one transaction, and nothing deletes an analysis.
        raise LookupError(f"Submission {submission.pk} has no analysis.")
    return analysis


def _absolute(request: Request, name: str, pk: Any) -> str:
    return str(request.build_absolute_uri(reverse(name, args=[pk])))

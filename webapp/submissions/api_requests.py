"""What may be sent to the API, checked and described in one place."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from .models import SamplingLevel, State, VerdictChoice

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20


@extend_schema_field(OpenApiTypes.BINARY)
class VideoField(serializers.FileField):
    """A file that is sent, and not the address of one."""


class UploadSerializer(serializers.Serializer[Any]):
    """The multipart form of an upload."""

    video = VideoField(help_text="One video file.")
    sampling = serializers.ChoiceField(
        choices=SamplingLevel.choices,
        required=False,
        help_text="How many frames to look at; the site's default if left out.",
    )


class RerunSerializer(serializers.Serializer[Any]):
    sampling = serializers.ChoiceField(
        choices=SamplingLevel.choices,
        required=False,
        help_text="How many frames to look at; the site's default if left out.",
    )


class ListQuerySerializer(serializers.Serializer[Any]):
    """What the list of submissions can be asked for."""

    page = serializers.IntegerField(min_value=1, default=1)
    page_size = serializers.IntegerField(
        min_value=1, max_value=MAX_PAGE_SIZE, default=DEFAULT_PAGE_SIZE
    )
    state = serializers.ChoiceField(
        choices=State.choices, required=False, help_text="State of the newest analysis."
    )
    verdict = serializers.ChoiceField(
        choices=VerdictChoice.choices, required=False, help_text="Verdict of the newest analysis."
    )

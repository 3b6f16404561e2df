"""Private media: a submission's video and the thumbnails of its faces.

Nothing in the media storage has an address of its own; these views ask who is
looking. Staff who review may look at anything, because the admin shows it.
"""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from .access import account_if_demanded
from .byte_ranges import serve
from .file_types import PLAYED_BY_BROWSERS, content_type, extension
from .models import Face, media_storage
from .ownership import visible_to

# A file never changes under its address, but who may see it can.
_VIDEO_CACHE = "private, no-cache"
_THUMBNAIL_CACHE = "private, max-age=31536000, immutable"


@require_safe
@account_if_demanded
def video(request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
    """The uploaded file, whole or in ranges; ``?download`` saves it under its own name.

    What no browser plays is only ever saved.
    """
    submission = get_object_or_404(visible_to(request), pk=pk)
    name = str(submission.video.name)
    try:
        stored = submission.video.storage.open(name)
    except FileNotFoundError:
        raise Http404("The file is gone.") from None
    return serve(
        request,
        stored,
        content_type=content_type(name),
        etag=submission.sha256,
        last_modified=submission.created_at,
        cache_control=_VIDEO_CACHE,
        filename=submission.original_name,
        as_attachment="download" in request.GET or extension(name) not in PLAYED_BY_BROWSERS,
    )


@require_safe
@account_if_demanded
def thumbnail(request: HttpRequest, pk: uuid.UUID, number: int) -> HttpResponseBase:
    """The picture of one sampled face."""
    face = get_object_or_404(
        Face.objects.select_related("analysis").filter(
            analysis__submission__in=visible_to(request)
        ),
        analysis=pk,
        number=number,
    )
    try:
        stored = media_storage().open(face.thumbnail_name)
    except FileNotFoundError:
        raise Http404("The picture is gone.") from None
    return serve(
        request,
        stored,
        content_type="image/jpeg",
        etag=f"{pk}-{number}",
        last_modified=face.analysis.finished_at or face.analysis.created_at,
        cache_control=_THUMBNAIL_CACHE,
    )

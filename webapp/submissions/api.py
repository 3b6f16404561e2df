"""The REST API: upload, follow, read, cancel, run again, delete.

The rules are those of the pages, because both call the same functions: uploads
come in through ``uploads.receive``, states change in ``queue``, and a stranger's
submission does not exist.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.accounts import rates

from . import api_errors, duplicates, model_cards, queue
from .api_base import ApiViewSet, responses
from .api_errors import Conflict
from .api_requests import ListQuerySerializer, RerunSerializer, UploadSerializer
from .latest import newest_analyses, newest_analysis_is, with_analyses
from .models import Analysis, State, Submission, SubmissionQuerySet
from .ownership import mine, uploader
from .results import result_of
from .serializers import (
    AnalysisSerializer,
    ModelSerializer,
    ResultSerializer,
    SubmissionDetailSerializer,
    SubmissionPageSerializer,
    SubmissionSerializer,
)
from .uploads import FIELD, UploadRejected, receive


@extend_schema(tags=["submissions"])
class SubmissionViewSet(ApiViewSet):
    """The caller's own submissions."""

    def get_parsers(self) -> list[BaseParser]:
        if self.request is not None and self.action_map.get("post") == "create":
            return [MultiPartParser()]
        return [JSONParser()]

    @extend_schema(
        operation_id="submissions_list",
        summary="List my submissions, newest first",
        parameters=[ListQuerySerializer],
        responses=responses({200: SubmissionPageSerializer}, 400, 401, 404),
    )
    def list(self, request: Request) -> Response:
        # As a plain dict: of a form's data an empty value would count as left out.
        query = ListQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        found: Any = _mine(request)
        conditions = {name: wanted[name] for name in ("state", "verdict") if name in wanted}
        if conditions:
            found = newest_analysis_is(found, **conditions)
        return Response(_page(request, found, wanted["page"], wanted["page_size"]))

    @extend_schema(
        operation_id="submissions_upload",
        summary="Upload a video",
        request={"multipart/form-data": UploadSerializer},
        responses=responses({201: SubmissionDetailSerializer}, 400, 401, 403, 413, 415, 507),
    )
    def create(self, request: Request) -> Response:
        # Before the body of a program is read; a browser's was, for its CSRF token.
        rates.take(rates.UPLOAD, rates.whose(request))
        files = request.FILES.getlist(FIELD)
        if not files:
            raise UploadRejected("no_file", f"Send one video file in the field “{FIELD}”.")
        if len(files) > 1:
            raise UploadRejected("too_many_files", "Send one video per request.")
        form = RerunSerializer(data=request.POST.dict())
        form.is_valid(raise_exception=True)
        submission = receive(
            files[0],
            sampling=form.validated_data.get("sampling"),
            **uploader(request),
        )
        answer = _detail(request, submission)
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Location": answer["url"]})

    @extend_schema(
        operation_id="submissions_read",
        summary="Read one submission",
        responses=responses({200: SubmissionDetailSerializer}, 401, 404),
    )
    def retrieve(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(_detail(request, _my_submission(request, pk)))

    @extend_schema(
        operation_id="submissions_delete",
        summary="Delete a submission with its video and all its results",
        responses=responses({204: None}, 401, 403, 404),
    )
    def destroy(self, request: Request, pk: uuid.UUID) -> Response:
        queue.delete_submission(_my_submission(request, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="submissions_result",
        summary="Read the newest analysis's result",
        description="409 with the code `not_finished` until there is one.",
        responses=responses({200: ResultSerializer}, 401, 404, 409),
    )
    def result(self, request: Request, pk: uuid.UUID) -> Response:
        analysis = _my_submission(request, pk).latest_analysis
        if analysis is None:
            raise Conflict("This submission was never analyzed.", code="not_finished")
        return Response(_result(analysis))

    @extend_schema(
        operation_id="submissions_cancel",
        summary="Cancel the waiting or running analysis",
        request=None,
        responses=responses({200: SubmissionDetailSerializer}, 401, 403, 404, 409),
    )
    def cancel(self, request: Request, pk: uuid.UUID) -> Response:
        submission = _my_submission(request, pk)
        canceled = [queue.cancel(analysis.pk) for analysis in submission.analyses.all()]
        if not any(canceled):
            raise _nothing_to_cancel()
        return Response(_detail(request, submission))

    @extend_schema(
        operation_id="submissions_rerun",
        summary="Analyze the video again",
        description="The earlier results are kept, so that they can be compared.",
        request=RerunSerializer,
        responses=responses({201: SubmissionDetailSerializer}, 400, 401, 403, 404, 409, 415),
    )
    def rerun(self, request: Request, pk: uuid.UUID) -> Response:
        submission = _my_submission(request, pk)
        form = RerunSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        rates.take(rates.UPLOAD, rates.whose(request))
        try:
            queue.enqueue(submission, sampling=form.validated_data.get("sampling"))
        except queue.AlreadyActive as error:
            sentence = "An analysis of this video is under way."
            raise Conflict(sentence, code="already_active") from error
        except queue.FilesRemoved as error:
            sentence = "The video was removed, for its time on this site was up."
            raise Conflict(sentence, code="files_removed") from error
        return Response(_detail(request, submission), status=status.HTTP_201_CREATED)


@extend_schema(tags=["analyses"])
class AnalysisViewSet(ApiViewSet):
    """Single runs; a submission that was run again has several."""

    @extend_schema(
        operation_id="analyses_read",
        summary="Read one analysis",
        responses=responses({200: AnalysisSerializer}, 401, 404),
    )
    def retrieve(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(_analysis(request, _my_analysis(request, pk)))

    @extend_schema(
        operation_id="analyses_result",
        summary="Read one analysis's result",
        description="409 with the code `not_finished` until there is one.",
        responses=responses({200: ResultSerializer}, 401, 404, 409),
    )
    def result(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(_result(_my_analysis(request, pk)))

    @extend_schema(
        operation_id="analyses_cancel",
        summary="Cancel one analysis",
        request=None,
        responses=responses({200: AnalysisSerializer}, 401, 403, 404, 409),
    )
    def cancel(self, request: Request, pk: uuid.UUID) -> Response:
        if not queue.cancel(_my_analysis(request, pk).pk):
            raise _nothing_to_cancel()
        return Response(_analysis(request, _my_analysis(request, pk)))


@extend_schema(tags=["models"])
class ModelViewSet(ApiViewSet):
    """The detectors this site has."""

    @extend_schema(
        operation_id="models_list",
        summary="List the installed models, the one in use first",
        responses=responses({200: ModelSerializer(many=True)}, 401),
    )
    def list(self, request: Request) -> Response:
        cards: Any = model_cards.installed()
        return Response(ModelSerializer(cards, many=True).data)


def _mine(request: Request) -> SubmissionQuerySet:
    return mine(request)


def _my_submission(request: Request, pk: uuid.UUID) -> Submission:
    return get_object_or_404(_mine(request), pk=pk)


def _my_analysis(request: Request, pk: uuid.UUID) -> Analysis:
    return get_object_or_404(
        Analysis.objects.select_related("submission"), pk=pk, submission__in=_mine(request)
    )


def _detail(request: Request, submission: Submission) -> dict[str, Any]:
    """The submission as it is in the database now."""
    fresh = with_analyses(Submission.objects.filter(pk=submission.pk)).get()
    places = {a.pk: queue.position(a) for a in newest_analyses([fresh]).values()}
    earlier = duplicates.earlier_results(_mine(request), [fresh])
    context = {"request": request, "positions": places, "earlier": earlier}
    return dict(SubmissionDetailSerializer(fresh, context=context).data)


def _analysis(request: Request, analysis: Analysis) -> dict[str, Any]:
    return dict(AnalysisSerializer(analysis, context={"request": request}).data)


def _result(analysis: Analysis) -> dict[str, Any]:
    if analysis.state == State.SUCCEEDED:
        return result_of(analysis)
    if analysis.state == State.FAILED:
        raise Conflict(analysis.error_sentence, code=analysis.error_code or "internal")
    if analysis.state == State.CANCELED:
        raise Conflict("The analysis was canceled; run it again for a result.", code="canceled")
    raise Conflict("The analysis is not finished.", code="not_finished")


def _nothing_to_cancel() -> Conflict:
    return Conflict("No analysis is waiting or running.", code="not_active")


def _page(request: Request, found: Any, page: int, size: int) -> dict[str, Any]:
    """One page of a list; a page past the end is 404, except the first."""
    count = found.count()
    last = max(1, -(-count // size))
    if page > last:
        raise api_errors.no_such_page(page, last)
    submissions: Any = list(with_analyses(found)[(page - 1) * size : page * size])
    places = queue.positions(newest_analyses(submissions).values())
    earlier = duplicates.earlier_results(_mine(request), submissions)
    context = {"request": request, "positions": places, "earlier": earlier}

    def address(number: int) -> str | None:
        if not 1 <= number <= last:
            return None
        query = request.query_params.copy()
        query["page"] = str(number)
        return f"{request.build_absolute_uri(reverse('api:submissions'))}?{query.urlencode()}"

    return {
        "count": count,
        "next": address(page + 1),
        "previous": address(page - 1),
        "results": SubmissionSerializer(submissions, many=True, context=context).data,
    }

"""schemathesis against the real application: what the description promises is kept.

It makes valid and invalid requests from the OpenAPI description and compares the
answers with it. Ids and files it cannot guess are put in by the hooks below.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from schemathesis.transport.serialization import Binary

from tests.tus import PIECE, encoded
from tests.webapp.analyses import VIDEO, failed, finished, running
from webapp.accounts.models import ApiToken
from webapp.submissions import partial_uploads, queue
from webapp.submissions.models import Submission
from webapp.wsgi import application

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
]

# tus has its own statuses for wrong headers, and what a piece may be depends on the others.
TUS = "/api/v1/uploads/"
NOT_OF_TUS = (negative_data_rejection, missing_required_header)
schemathesis.serializer.alias(PIECE, "application/octet-stream")


def named_like_a_video(environ: dict[str, Any], start_response: Any) -> Any:
    """The application, with ``video`` as the name of a sent file made ``a.mp4``.

    schemathesis names every file after its field, and a video is refused without
    an extension. Both names have five letters, so the length of the body holds.
    """
    if environ.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        body = body.replace(b'filename="video"', b'filename="a.mp4"')
        environ["wsgi.input"] = BytesIO(body)
    return application(environ, start_response)


@pytest.fixture
def same_connection() -> Iterator[None]:
    """As in Django's test client: a request ends without closing the test's connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def api(same_connection: None, alice: User, make_submission: Callable[..., Submission]) -> Any:
    """The application with submissions of alice's in every state."""
    ids: dict[str, list[uuid.UUID]] = {"submissions": [], "analyses": [], "uploads": []}
    for bring in (finished, queue.enqueue, running, failed, finished):
        submission = make_submission(owner=alice)
        analysis: Any = bring(submission)
        ids["submissions"].append(submission.pk)
        ids["analyses"].append(analysis.pk)
    for _ in range(5):
        upload = partial_uploads.create(
            owner=alice, visitor=None, name="a.mp4", length=1000, sampling="", metadata=""
        )
        ids["uploads"].append(upload.pk)
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", named_like_a_video)

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
        """Real ids in place of most of the made-up ones."""
        known = ids.get(context.operation.path.split("/")[3], [])
        try:
            choice = uuid.UUID(path_parameters["id"]).int % (len(known) + 1)
        except (ValueError, KeyError, AttributeError, TypeError):
            return path_parameters  # Meant to be wrong.
        if choice < len(known):
            path_parameters["id"] = str(known[choice])
        return path_parameters

    @schema.hook
    def map_headers(context: Any, headers: dict[str, Any] | None) -> dict[str, Any] | None:
        """A name that a video may have, and a place where a piece may begin."""
        if headers is not None and context.operation.path.startswith(TUS):
            headers["Upload-Metadata"] = encoded(filename="a.mp4")
            headers["Upload-Offset"] = "0"
            headers.pop("Upload-Checksum", None)
        return headers

    @schema.hook
    def map_body(context: Any, body: Any) -> Any:
        """Something that begins like a video, in every second upload."""
        video = body.get("video") if isinstance(body, dict) else None
        if isinstance(video, Binary) and len(video.data) % 2:
            body["video"] = Binary(VIDEO)
        return body

    return schema


@pytest.fixture
def token(alice: User) -> str:
    return ApiToken.objects.issue(alice, "schemathesis")[1]


bounded = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
each_operation = pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/submissions/"),
        ("POST", "/api/v1/submissions/"),
        ("GET", "/api/v1/submissions/{id}/"),
        ("DELETE", "/api/v1/submissions/{id}/"),
        ("GET", "/api/v1/submissions/{id}/result/"),
        ("POST", "/api/v1/submissions/{id}/cancel/"),
        ("POST", "/api/v1/submissions/{id}/rerun/"),
        ("GET", "/api/v1/analyses/{id}/"),
        ("GET", "/api/v1/analyses/{id}/result/"),
        ("POST", "/api/v1/analyses/{id}/cancel/"),
        ("GET", "/api/v1/models/"),
        ("POST", "/api/v1/uploads/"),
        ("HEAD", "/api/v1/uploads/{id}/"),
        ("PATCH", "/api/v1/uploads/{id}/"),
        ("DELETE", "/api/v1/uploads/{id}/"),
    ],
)


@each_operation
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_to_a_program_are_as_described(
    api: Any, token: str, method: str, path: str, mode: GenerationMode
) -> None:
    checks = list(CHECKS)
    if path.startswith(TUS):
        checks = [check for check in checks if check not in NOT_OF_TUS]
    elif (method, path) != ("POST", "/api/v1/submissions/"):
        # A description cannot say which bytes are a video: well-formed uploads may be refused.
        checks.append(positive_data_acceptance)
    statuses: set[int] = set()
    headers = {"Authorization": f"Token {token}"}

    @bounded
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def conforms(case: Any) -> None:
        response = case.call_and_validate(headers=headers, checks=checks)
        statuses.add(response.status_code)

    conforms()
    if mode is GenerationMode.POSITIVE:
        assert min(statuses) < 300, f"never succeeded: {statuses}"


@each_operation
def test_answers_to_an_anonymous_browser_are_as_described(api: Any, method: str, path: str) -> None:
    @settings(bounded, max_examples=3)
    @given(case=api[path][method].as_strategy())
    def conforms(case: Any) -> None:
        case.call_and_validate(checks=CHECKS[:5])

    conforms()

"""Who gets what at every address of the site: the table that ``test_access.py`` walks.

A new address needs a row here. Its ``route`` is what the resolver says (the failing test
prints it); for each method the row has a rule: a status for each role, ``*`` for everybody
else. An actor has the roles of ``ACTORS``, the first one that the rule names decides. HEAD
goes with GET; every method a row does not name is refused with 405.

``owner`` is whose submission it is, in a browser: Alice with her account in one run, a
visitor's anonymous session in the other. Tokens count in the API alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Rule = Mapping[str, int]

ACTORS: Mapping[str, tuple[str, ...]] = {
    "nobody": (),
    "visitor": (),
    "newcomer": (),
    "alice": ("account",),
    "bob": ("account",),
    "staff": ("staff", "account"),
    "reviewer": ("reviewer", "staff", "account"),
    "admin": ("admin", "reviewer", "staff", "account"),
    "alice's token": ("token",),
    "bob's token": ("token",),
    "admin's token": ("token",),
}
"""``nobody`` has no cookies, ``visitor`` and ``newcomer`` have anonymous sessions of their own,
``staff`` has no permission, ``reviewer`` may view submissions and analyses."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True)
class Row:
    """One address.

    Args:
        route: as the resolver has it, all parts joined.
        rules: for each method.
        closed: what those without an account get where the site demands one, whatever the
            method; None where that makes no difference.
        others: the rule of the methods that have none, in place of 405.
        forged: what a browser gets that sends a change without a CSRF token.
        path: where it cannot be made from the route.
        form: what is sent with a POST, unless that ``takes_json``.
        headers: sent with every request.
        is_page: whether a GET answers with a page; ``tests/e2e`` looks at all that do.
    """

    route: str
    rules: Mapping[str, Rule]
    closed: int | None = None
    others: Rule = field(default_factory=lambda: {"*": 405})
    forged: int = 403
    path: str = ""
    form: Mapping[str, Any] = field(default_factory=dict)
    takes_json: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    is_page: bool = True

    def rule(self, method: str) -> Rule:
        if method == "HEAD" and method not in self.rules:
            method = "GET"
        return self.rules.get(method, self.others)


def roles(actor: str, owner: str) -> tuple[str, ...]:
    """The roles of an actor towards a submission of ``owner``, the strongest first."""
    own = {owner: ("owner",), f"{owner}'s token": ("owner's token",)}.get(actor, ())
    return (actor, *own, *ACTORS[actor])


def expected(rule: Rule, actor: str, owner: str) -> int:
    return next((rule[role] for role in roles(actor, owner) if role in rule), rule.get("*", 0))


# Pages ------------------------------------------------------------------------

ALL = {"*": 200}
OWNER = {"owner": 200, "*": 404}
OWNER_DOES = {"owner": 302, "*": 404}
MEDIA = {"owner": 200, "reviewer": 200, "*": 404}
ACCOUNT = {"account": 200, "*": 302}
LOG_IN = 302

PAGES = (
    Row("", {"GET": ALL, "POST": {"*": 400}}, closed=LOG_IN),
    Row("submissions/", {"GET": ALL}, closed=LOG_IN),
    Row("submissions/<uuid:pk>/", {"GET": OWNER}, closed=LOG_IN),
    Row("submissions/<uuid:pk>/status/", {"GET": OWNER}, closed=LOG_IN, is_page=False),
    Row("submissions/<uuid:pk>/video/", {"GET": MEDIA}, closed=LOG_IN, is_page=False),
    Row("submissions/<uuid:pk>/delete/", {"GET": OWNER, "POST": OWNER_DOES}, closed=LOG_IN),
    Row("submissions/<uuid:pk>/rerun/", {"POST": OWNER_DOES}, closed=LOG_IN),
    Row("analyses/<uuid:pk>/cancel/", {"POST": OWNER_DOES}, closed=LOG_IN),
    Row(
        "analyses/<uuid:pk>/faces/<int:number>.jpg",
        {"GET": MEDIA},
        closed=LOG_IN,
        is_page=False,
    ),
    Row("models/", {"GET": ALL}),
    Row("healthz", {"GET": ALL}, is_page=False),
    Row("readyz", {"GET": ALL}, is_page=False),
    # Asked from elsewhere; test_metrics.py knows who may.
    Row("metrics", {"GET": {"*": 403}}, is_page=False),
)

LOG_IN_FIRST = {"account": 405, "*": 302}

ACCOUNTS = (
    Row("accounts/", {"GET": ACCOUNT}, others=LOG_IN_FIRST),
    Row(
        "accounts/signup/",
        {"GET": {"account": 302, "*": 200}, "POST": {"account": 302, "*": 400}},
        form={"username": "?"},
    ),
    Row(
        "accounts/login/",
        {"GET": {"account": 302, "*": 200}, "POST": {"account": 302, "*": 200}},
        others={"account": 302, "*": 405},
    ),
    Row("accounts/logout/", {"POST": {"*": 302}, "OPTIONS": ALL}),
    Row("accounts/password/", {"GET": ACCOUNT, "POST": ACCOUNT}, others=LOG_IN_FIRST),
    Row("accounts/tokens/create/", {"POST": {"*": 302}}, others=LOG_IN_FIRST),
    # Alice's token, whoever the submission belongs to.
    Row(
        "accounts/tokens/<int:pk>/revoke/",
        {"POST": {"alice": 302, "account": 404, "*": 302}},
        others=LOG_IN_FIRST,
    ),
)

# The API ----------------------------------------------------------------------

API_OWNER = {"owner": 200, "owner's token": 200, "*": 404}
UNKNOWN = 401
TUS = {"Tus-Resumable": "1.0.0"}

API = (
    Row(
        "api/v1/submissions/",
        {"GET": ALL, "POST": {"*": 400}},
        closed=UNKNOWN,
    ),
    Row(
        "api/v1/submissions/<uuid:pk>/",
        {"GET": API_OWNER, "DELETE": {"owner": 204, "owner's token": 204, "*": 404}},
        closed=UNKNOWN,
    ),
    Row("api/v1/submissions/<uuid:pk>/result/", {"GET": API_OWNER}, closed=UNKNOWN),
    Row(
        "api/v1/submissions/<uuid:pk>/cancel/",
        {"POST": {"owner": 409, "owner's token": 409, "*": 404}},
        closed=UNKNOWN,
    ),
    Row(
        "api/v1/submissions/<uuid:pk>/rerun/",
        {"POST": {"owner": 201, "owner's token": 201, "*": 404}},
        closed=UNKNOWN,
        takes_json=True,
    ),
    Row("api/v1/analyses/<uuid:pk>/", {"GET": API_OWNER}, closed=UNKNOWN),
    Row("api/v1/analyses/<uuid:pk>/result/", {"GET": API_OWNER}, closed=UNKNOWN),
    Row(
        "api/v1/analyses/<uuid:pk>/cancel/",
        {"POST": {"owner": 409, "owner's token": 409, "*": 404}},
        closed=UNKNOWN,
    ),
    Row("api/v1/models/", {"GET": ALL}, closed=UNKNOWN),
    Row(
        "api/v1/uploads/",
        {"POST": {"*": 400}, "OPTIONS": {"*": 204}},
        closed=UNKNOWN,
        headers=TUS,
    ),
    Row(
        "api/v1/uploads/<uuid:pk>/",
        {
            "HEAD": API_OWNER,
            "PATCH": {"owner": 415, "owner's token": 415, "*": 404},
            "DELETE": {"owner": 204, "owner's token": 204, "*": 404},
            "OPTIONS": {"*": 204},
        },
        closed=UNKNOWN,
        headers=TUS,
    ),
    Row("api/schema/", {"GET": ALL, "OPTIONS": ALL}, forged=405),
    Row("api/docs/", {"GET": ALL, "OPTIONS": ALL}, forged=405),
    Row("api/", {}, others={"*": 404}, forged=404, path="api/v2/"),
)

PAGE_OF_API = "api/docs/"

# The admin --------------------------------------------------------------------

STAFF = {"staff": 200, "*": 302}
STAFF_ONLY = {"staff": 405, "*": 302}
ADMIN = {"admin": 200, "staff": 403, "*": 302}
ADMIN_DOES = {"admin": 302, "staff": 403, "*": 302}
REVIEWER = {"reviewer": 200, "staff": 403, "*": 302}
NOT_EVEN_ADMIN = {"staff": 403, "*": 302}


def of_admin(route: str, rule: Rule, post: Rule | None = None, **more: Any) -> Row:
    """A view of Django's: it takes any method and treats all but POST as GET."""
    return Row(f"admin/{route}", {"GET": rule, "POST": post or rule}, **{"others": rule, **more})


def of_model(
    name: str,
    *,
    view: Rule = ADMIN,
    add: Rule = ADMIN,
    change: Rule = ADMIN,
    delete: Rule = ADMIN,
) -> tuple[Row, ...]:
    """The views a registered model has; ``change`` is what an empty form gets."""
    one = f"{name}/<path:object_id>"
    deleted = {**delete, **({"admin": 302} if delete.get("admin") == 200 else {})}
    return (
        of_admin(f"{name}/", view, {**view, "*": 302}),
        of_admin(f"{name}/add/", add),
        of_admin(f"{one}/history/", view),
        of_admin(f"{one}/delete/", delete, deleted, form={"post": "yes"}),
        of_admin(f"{one}/change/", view, change),
        Row(f"admin/{one}/", {"GET": {"*": 302}}, others={"*": 302}),
    )


ADMIN_SITE = (
    of_admin("", STAFF),
    Row(
        "admin/login/",
        # A PUT is a form without fields, and gets the page; nobody is logged in by it.
        {"GET": {"staff": 302, "*": 200}, "HEAD": ALL, "POST": ALL, "PUT": ALL, "OPTIONS": ALL},
    ),
    Row("admin/logout/", {"POST": {"*": 302}, "OPTIONS": STAFF}, others=STAFF_ONLY),
    Row(
        "admin/password_change/",
        dict.fromkeys(("GET", "POST", "PUT", "OPTIONS"), STAFF),
        others=STAFF_ONLY,
    ),
    Row("admin/password_change/done/", {"GET": STAFF, "OPTIONS": STAFF}, others=STAFF_ONLY),
    Row(
        "admin/autocomplete/",
        {"GET": {"staff": 403, "*": 302}, "OPTIONS": STAFF},
        others=STAFF_ONLY,
    ),
    Row("admin/jsi18n/", {"GET": STAFF, "OPTIONS": STAFF}, others=STAFF_ONLY, is_page=False),
    of_admin(
        "r/<path:content_type_id>/<path:object_id>/",
        {"*": 302},
        path="admin/r/{submission_type}/{submission}/",
    ),
    of_admin(
        "^(?P<app_label>submissions|auth|accounts|axes)/$",
        {"reviewer": 200, "staff": 404, "*": 302},
        path="admin/submissions/",
    ),
    of_admin("(?P<url>.*)$", {"staff": 404, "*": 302}, path="admin/no/such/page/"),
    Row(
        "admin/submissions/submission/<uuid:pk>/rerun/",
        {"POST": ADMIN_DOES},
        others=STAFF_ONLY,
    ),
    Row(
        "admin/submissions/submission/<uuid:pk>/cancel/",
        {"POST": ADMIN_DOES},
        others=STAFF_ONLY,
    ),
    of_admin("auth/user/<id>/password/", ADMIN, path="admin/auth/user/{user}/password/"),
    *of_model("submissions/submission", view=REVIEWER, add=NOT_EVEN_ADMIN),
    *of_model(
        "submissions/analysis",
        view=REVIEWER,
        add=NOT_EVEN_ADMIN,
        change=NOT_EVEN_ADMIN,
        delete=NOT_EVEN_ADMIN,
    ),
    *of_model("auth/group"),
    *of_model("auth/user"),
    *of_model("accounts/apitoken", add=NOT_EVEN_ADMIN, change=NOT_EVEN_ADMIN),
    *of_model("axes/accessattempt", add=NOT_EVEN_ADMIN, change=ADMIN_DOES),
    *of_model("axes/accesslog", add=NOT_EVEN_ADMIN, change=ADMIN_DOES),
    *of_model("axes/accessfailurelog", add=NOT_EVEN_ADMIN, change=ADMIN_DOES),
)

TABLE = (*PAGES, *ACCOUNTS, *API, *ADMIN_SITE)


def filled(row: Row, ids: Mapping[str, object]) -> str:
    """The row's address, with what ``ids`` names in the place of the route's parameters."""
    return "/" + (row.path or _made(row.route)).format(**ids)


def to_look_at() -> list[Row]:
    """The rows of all pages there are; of the API only its documentation is one."""
    return [
        row
        for row in TABLE
        if row.is_page
        and "GET" in row.rules
        and (row.route == PAGE_OF_API or not row.route.startswith("api/"))
    ]


def _made(route: str) -> str:
    for parameter, key in (
        ("submission/<uuid:pk>", "submission/{submission}"),
        ("submissions/<uuid:pk>", "submissions/{submission}"),
        ("analyses/<uuid:pk>", "analyses/{analysis}"),
        ("uploads/<uuid:pk>", "uploads/{upload}"),
        ("<int:number>", "1"),
        ("tokens/<int:pk>", "tokens/{apitoken}"),
    ):
        route = route.replace(parameter, key)
    model, found, rest = route.partition("/<path:object_id>")
    return f"{model}/{{{model.rpartition('/')[2]}}}{rest}" if found else route

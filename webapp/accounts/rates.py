"""How often one may: uploads, log-ins and requests to the API, of one account or address.

Every web process, on whichever machine, counts in one table. Django's caches cannot do
this without a Redis or Memcached: their other backends add by reading and writing back,
so that what comes at once counts as one. Here one conditional UPDATE both asks and
counts (the generic cell rate algorithm, ITU-T I.371): of a rate of N in a period, N may
come at once, and then one each N-th of the period.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from django.conf import settings
from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.http import HttpRequest

from webapp.environment import RATE_PERIODS
from webapp.submissions import wording

from .addresses import client_network
from .models import Allowance

UPLOAD, LOGIN, API = "upload", "login", "api"

_WORDS = {
    UPLOAD: ("too_many_uploads", "You have uploaded or run as much as this site takes for now."),
    LOGIN: ("too_many_attempts", "There were too many attempts in a short time."),
    API: ("too_many_requests", "You have asked more often than this site answers."),
}

_ROUNDING_S = 1e-3
"""The table counts in fractions of seconds; the last of a burst must not fall to rounding."""


class TooMany(Exception):
    """More than the rate allows: ``code`` is stable, ``sentence`` is what a person reads.

    ``retry_after_s`` is how long to wait, in whole seconds.
    """

    def __init__(self, what: str, retry_after_s: int) -> None:
        self.code, reason = _WORDS[what]
        self.retry_after_s = retry_after_s
        self.sentence = f"{reason} Try again in {wording.duration(retry_after_s)}."
        super().__init__(self.sentence)


@dataclass(frozen=True)
class Rate:
    """So many in a period."""

    number: int
    period_s: float

    @property
    def interval_s(self) -> float:
        return self.period_s / self.number


def take(what: str, who: str) -> None:
    """Use one of what ``who`` may do, or raise :class:`TooMany`."""
    rate = rate_of(what)
    if rate is None:
        return
    now, key = time.time(), _key(what, who)
    spendable = Allowance.objects.filter(key=key, paid_at__lte=_latest(rate, now))
    one_more = Greatest(F("paid_at"), Value(now)) + rate.interval_s
    if spendable.update(paid_at=one_more):
        return
    row, is_new = Allowance.objects.get_or_create(
        key=key, defaults={"paid_at": now + rate.interval_s}
    )
    # Not new: spent, or made by another process between these two questions.
    if not is_new and not spendable.update(paid_at=one_more):
        raise _too_many(what, row, rate, now)


def check(what: str, who: str) -> None:
    """Raise :class:`TooMany` if :func:`take` would now; nothing is counted."""
    rate = rate_of(what)
    if rate is None:
        return
    now = time.time()
    row = Allowance.objects.filter(key=_key(what, who)).first()
    if row is not None and row.paid_at > _latest(rate, now):
        raise _too_many(what, row, rate, now)


def forget_the_paid() -> int:
    """Remove rows that no longer hold anybody up; how many."""
    return Allowance.objects.filter(paid_at__lt=time.time()).delete()[0]


def whose(request: HttpRequest) -> str:
    """Who is asking: the account, or the address where there is none."""
    if request.user.is_authenticated:
        return f"account {request.user.pk}"
    return whose_address(request)


def whose_address(request: HttpRequest) -> str:
    """The visitor's address, for forms that come before an account is known."""
    return f"address {client_network(request)}"


def rate_of(what: str) -> Rate | None:
    """What the settings allow; None is no limit."""
    given: str = getattr(settings, f"FRAMEVOTE_{what.upper()}_RATE")
    if given.lower() == "off":
        return None
    number, _, period = given.lower().partition("/")
    return Rate(int(number), RATE_PERIODS[period])


def _latest(rate: Rate, now: float) -> float:
    """Up to which ``paid_at`` one more may be taken."""
    return now + rate.period_s - rate.interval_s + _ROUNDING_S


def _too_many(what: str, row: Allowance, rate: Rate, now: float) -> TooMany:
    return TooMany(what, max(1, math.ceil(row.paid_at - _latest(rate, now))))


def _key(what: str, who: str) -> str:
    return f"{what} {who}"[: Allowance.KEY_LENGTH]

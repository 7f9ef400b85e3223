"""Which API requests are listed one by one, and which are only counted.

Whatever a stranger sends, the log grows by a bounded number of rows. All numbers are those of one
process. What is not listed is counted in a row for the hour, so that no request is missing.
"""

import copy
import threading
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from audit.requests import AGENT_MAX, ApiRequest, Caller, Clock, seconds_of, time_of
from config import addresses

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
CALLERS_MAX = 8  # addresses and user agents of one user or network in an hour
ROUTES_MAX = 20  # counted rows of one user or network in an hour that name a route
# Counted rows in an hour, of users and of strangers; further ones share one row for each status.
COUNTED_MAX = {True: 5000, False: 200}
ANYBODY = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many requests are listed in a minute: of one user or network, and of all together."""

    each: int
    total: int


LIMITS = {  # by (signed in, refused)
    (True, False): Limit(30, 2000),
    (True, True): Limit(5, 200),
    (False, False): Limit(10, 200),
    (False, True): Limit(5, 10),
}


@dataclass  # not frozen, which would take three times as long to make
class Call:
    """What is known of a request when it has been answered. Nobody changes it.

    ``route`` is the path with * for the parts that vary, or empty for an unknown one. A call with
    ``is_frequent`` is counted in any case unless it was refused.
    """

    actor_id: uuid.UUID | None
    ip: str | None
    user_agent: str
    method: str
    path: str
    route: str
    status: int
    duration_ms: int
    request_id: str
    is_frequent: bool = False

    @cached_property
    def who(self) -> str:
        """The user's id or the network: a stranger can choose each address of an IPv6 network."""
        return str(self.actor_id or addresses.network(self.ip or ""))

    @property
    def kind(self) -> tuple[bool, bool]:
        return self.actor_id is not None, self.status >= 400


Key = tuple[str, str, str, int]


class Tally:
    """The state of one process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock = Clock()
        self._minute = self._hour = -1
        self._listed: Counter[tuple[str, bool, bool]] = Counter()
        self._callers: defaultdict[str, dict[tuple[str | None, str], Caller]] = defaultdict(dict)
        self._counted: dict[Key, ApiRequest] = {}
        self._routes: Counter[str] = Counter()
        self._rows: Counter[bool] = Counter()  # counted rows of this hour, by "signed in"
        self._changed: dict[int, ApiRequest] = {}  # counted rows that are not stored as they are

    def take(self, call: Call) -> ApiRequest | None:
        """Return the row of a request that is listed, or count the request and return None."""
        with self._lock:
            number = self._clock.number()
            self._turn(seconds_of(number))
            now = time_of(number)
            if (call.is_frequent and call.status < 400) or not self._lists(call):
                self._count(call, number, now)
                return None
            return ApiRequest.of(
                number,
                self._caller(call, now),
                method=call.method,
                path=call.path,
                status=call.status,
                duration_ms=call.duration_ms,
                request_id=call.request_id,
            )

    def changed(self) -> list[ApiRequest]:
        """Return copies of the counted rows that have grown, for storing. They count as stored then."""
        with self._lock:
            rows = [copy.copy(row) for row in self._changed.values()]
            self._changed.clear()
            return rows

    def not_stored(self, rows: list[ApiRequest]) -> None:
        """Take back rows of `changed` that could not be stored. A row that has grown since is newer."""
        with self._lock:
            for row in rows:
                self._changed.setdefault(row.number, row)

    def _turn(self, now: int) -> None:
        """Begin anew with each minute and each hour. Counts that wait to be stored stay in `changed`."""
        minute, hour = now // 60, now // 3600
        if minute == self._minute:
            return
        self._minute = minute
        self._listed.clear()
        if hour != self._hour:
            self._hour = hour
            for kept in (self._callers, self._counted, self._routes, self._rows):
                kept.clear()

    def _lists(self, call: Call) -> bool:
        kind, listed = call.kind, self._listed
        limit, each, total = LIMITS[kind], (call.who, *kind), (ANYBODY, *kind)
        of_one, of_all = listed.get(each, 0), listed.get(total, 0)
        if of_one >= limit.each or of_all >= limit.total:
            return False
        listed[each], listed[total] = of_one + 1, of_all + 1
        return True

    def _caller(self, call: Call, now: datetime) -> Caller:
        """Return the caller of a request.

        After CALLERS_MAX in an hour it stands for all others of the user or of the network: without an
        address, or with the network's own one, and without a user agent.
        """
        known = self._callers[call.who]
        ip, agent = call.ip, call.user_agent[:AGENT_MAX]
        if (ip, agent) not in known and len(known) >= CALLERS_MAX:
            of_network = call.who.partition("/")[0] if call.ip else None
            ip, agent = (None if call.actor_id else of_network), ""
        caller = known.get((ip, agent))
        if caller is None:  # an hour has one day only, so that it stays the same
            day = now.astimezone(UTC).date()
            caller = known[ip, agent] = Caller.of(day, call.actor_id, ip, agent)
        return caller

    def _count(self, call: Call, number: int, now: datetime) -> None:
        """Add the request to the row of its caller and route in this hour, or to a wider one."""
        method = call.method if call.method in METHODS else ""
        narrow: Key = (call.who, method, call.route, call.status)
        row = self._counted.get(narrow) or self._new_count(call, narrow, number, now)
        row.count, row.until = (row.count or 0) + 1, now
        self._changed[row.number] = row

    def _new_count(self, call: Call, narrow: Key, number: int, now: datetime) -> ApiRequest:
        """Return the row of a request that is the first of its kind in this hour."""
        wide: Key = (call.who, "", "", call.status)
        signed_in = call.actor_id is not None
        has_room = self._rows[signed_in] < COUNTED_MAX[signed_in]
        if has_room and self._routes[call.who] < ROUTES_MAX:
            key = narrow
        elif wide in self._counted or has_room:
            key = wide
        else:
            key = (ANYBODY, "", "", call.status)
        row = self._counted.get(key)
        if row is None:
            row = self._counted[key] = self._counted_row(call, key, number, now)
            self._rows[signed_in] += 1
            self._routes[call.who] += 1
        return row

    def _counted_row(self, call: Call, key: Key, number: int, now: datetime) -> ApiRequest:
        who, method, route, status = key
        caller = self._caller(call, now)
        if who == ANYBODY:
            caller = Caller.of(now.astimezone(UTC).date(), None, None, "")
        return ApiRequest.of(number, caller, method=method, path=route, status=status, count=0)

"""Callers who do nothing wrong, while others attack: every answer has to be theirs, and soon."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import secrets
import threading
import time

from tests.support.servers.service_process import address_of

AFTERWARDS = 12  # answers that are awaited when an attack is over
JSON = {"Content-Type": "application/json"}
QUERY = {"query": {"match": {"text": "fox"}}}
RERANKED = {**QUERY, "ext": {"rerank": {"query_context": {"query_text": "fox"}}}}


class HonestCallers:
    """Accounts that search in turns from threads of their own, and one who asks for health; a context manager.

    `faults` says what went wrong; `answers` counts what was checked; `slowest_health` and `slowest_answer` are seconds.
    """

    def __init__(self, service, accounts, *, pause=0.02, timeout=20):
        self.faults = []
        self.answers = 0
        self.probes = 0
        self.slowest_health = 0.0
        self.slowest_answer = 0.0
        self._address = address_of(service.url)
        self._accounts = accounts
        self._pause = pause
        self._timeout = timeout
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self):
        threads = [threading.Thread(target=self._search, args=(account,)) for account in self._accounts.values()]
        self._threads = [*threads, threading.Thread(target=self._probe)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        # What an attack left behind is met by those who come after it.
        wanted, deadline = self.answers + AFTERWARDS, time.monotonic() + self._timeout
        while self.answers < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def check(self, *, answers=10, health=2.0, answer=20.0):
        """Fail where an answer was wrong or there were too few, or where the slowest took longer than these seconds."""
        assert self.faults == [], self.faults[:5]
        assert self.answers >= answers, self.answers
        assert (self.slowest_health < health, self.slowest_answer < answer) == (True, True), (
            self.slowest_health,
            self.slowest_answer,
        )

    def _probe(self):
        while not self._ended.wait(0.05):
            started = time.monotonic()
            connection = http.client.HTTPConnection(*self._address, timeout=self._timeout)
            try:
                with contextlib.closing(connection):
                    connection.request("GET", "/_sidecar/health/live")
                    with connection.getresponse() as answer:
                        if answer.status != 200:
                            self.faults.append("health did not answer 200")
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(f"health: {error!r}")
            self.probes += 1
            self.slowest_health = max(self.slowest_health, time.monotonic() - started)

    def _search(self, account):
        connection = http.client.HTTPConnection(*self._address, timeout=self._timeout)
        foreign = [other.word for other in self._accounts.values() if other is not account]
        for turn in itertools.count():
            if self._ended.wait(self._pause):
                break
            if turn % 7 == 0:  # both kept connections and new ones; a closed one connects anew
                connection.close()
            mark = f"{account.name}-{turn}-{secrets.token_hex(4)}"
            method, target, body = self._request(account, turn)
            started = time.monotonic()
            try:
                headers = {"Authorization": account.authorization, "X-Opaque-Id": mark, **JSON}
                connection.request(method, target, body, headers)
                with connection.getresponse() as answer:
                    said, found = answer.getheader("X-Opaque-Id"), answer.read()
                fault = fault_in(answer.status, said, found, mark, account, foreign)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                fault = repr(error)
            with self._lock:
                self.answers += 1
                self.slowest_answer = max(self.slowest_answer, time.monotonic() - started)
                if fault:
                    self.faults.append(f"{mark} {method} {target}: {fault}")
        connection.close()

    @staticmethod
    def _request(account, turn):
        """Searches reranked and not, several at once, and a count: what may pass in every mode."""
        index = account.index
        several = "".join(f"{json.dumps(line)}\n" for line in ({"index": index}, RERANKED, {"index": index}, QUERY))
        kinds = (
            ("POST", f"/{index}/_search", json.dumps(RERANKED)),
            ("POST", f"/{index}/_search", json.dumps(QUERY)),
            ("GET", f"/{index}/_search?q=fox", None),
            ("POST", "/_msearch", several),
            ("POST", f"/{index}/_count", json.dumps(QUERY)),
        )
        return kinds[turn % len(kinds)]


def fault_in(status, mark_back, body, mark, account, foreign):
    """Say what is wrong with an honest caller's answer, "" if nothing is."""
    said = body.decode("utf-8", "replace")
    if any(word in said for word in foreign):
        return "another's documents"
    if status != 200:
        return f"{status} {said[:200]}"
    if mark_back is not None and mark_back != mark:
        return f"the answer to {mark_back}"
    if '"count"' not in said and account.word not in said:
        return f"not this account's documents: {said[:200]}"
    return ""

"""The admin socket of a real daemon, spoken to as a program that is not ours might."""

import http.client
import json
import socket
import stat
import threading
import time

import pytest
from running import running

pytestmark = pytest.mark.daemon


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("zward", timeout=30)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


@pytest.fixture(scope="module")
def zward(tmp_path_factory):
    with running(tmp_path_factory.mktemp("zward")) as started:
        yield started
        assert "Traceback" not in started.log


def ask(zward, method, path, body=None, headers=None):
    """The status and the JSON of an answer."""
    connection = Connection(zward.directory / "zward.sock")
    connection.request(method, path, json.dumps(body) if isinstance(body, dict | list) else body, headers or {})
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("application/json")
    told = answer.status, json.loads(answer.read())
    connection.close()
    return told


def test_owner_and_group_may_ask_and_nobody_else(zward):
    mode = (zward.directory / "zward.sock").stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


BAN = {"address": "203.0.113.7", "seconds": 3600, "reason": "x"}

MALFORMED = {
    "no JSON": b"{",
    "nothing": b"",
    "no object": b"[1, 2]",
    "no text": b"\xff\xfe\x00",
    "nested too deeply": b"[" * 60_000,
    "an endless number": b'{"address": "203.0.113.7", "reason": "x", "seconds": ' + b"9" * 5000 + b"}",
    "no address": {"seconds": 3600, "reason": "x"},
    "an address that is no text": BAN | {"address": 7},
    "no reason": {"address": "203.0.113.7", "seconds": 3600},
    "no seconds": {"address": "203.0.113.7", "reason": "x"},
    "seconds that are no number": BAN | {"seconds": "soon"},
    "seconds that are a list": BAN | {"seconds": []},
    "not a number": BAN | {"seconds": float("nan")},
    "a scope that no ban has": BAN | {"scope": "web"},
    "a scope that is no text": BAN | {"scope": ["all"]},
    "for ever": BAN | {"seconds": float("inf")},
    "a negative time": BAN | {"seconds": -1},
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_request_that_makes_no_sense_is_told_why(zward, body):
    status, told = ask(zward, "POST", "/bans", body)

    assert status == 400
    assert told["kind"] == "Unusable"
    assert len(told["error"]) > 10
    assert ask(zward, "GET", "/bans") == (200, [])


def test_a_charset_that_nobody_knows_is_a_request_that_makes_no_sense(zward):
    headers = {"Content-Type": "application/json; charset=klingon"}

    assert ask(zward, "POST", "/bans", BAN, headers)[0] == 400


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/bans"), ("POST", "/allow"), ("DELETE", "/allow")], ids=lambda word: word
)
def test_every_page_that_acts_says_what_it_needs(zward, method, path):
    assert ask(zward, method, path, b"{")[0] == 400
    assert "is missing" in ask(zward, method, path, {})[1]["error"]


def test_a_request_beyond_all_measure_is_refused_and_the_next_is_served(zward):
    status, told = ask(zward, "POST", "/bans", BAN | {"reason": "x" * 65_536})

    assert status == 413
    assert "65536" in told["error"]
    assert ask(zward, "GET", "/status")[0] == 200


def test_a_page_or_a_method_that_is_not_there_is_told_as_json(zward):
    assert ask(zward, "GET", "/nothing")[0] == 404
    assert ask(zward, "PUT", "/bans")[0] == 405
    assert ask(zward, "GET", "/reload")[0] == 405


def test_an_address_in_a_query_is_read_like_any(zward):
    assert ask(zward, "GET", "/why?address=abc")[0] == 400
    assert ask(zward, "GET", "/why")[0] == 400
    assert ask(zward, "GET", "/bans?address=")[0] == 400
    assert ask(zward, "GET", "/bans?address=203.0.113.9")[1] == []
    assert ask(zward, "GET", "/why?address=203.0.113.9")[0] == 404


def test_a_request_that_is_never_ended_keeps_nobody_waiting(zward):
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(zward.directory / "zward.sock"))
        idle.sendall(b"POST /bans HTTP/1.1\r\nHost: zward\r\nContent-Length: 100\r\n\r\n{")

        start = time.monotonic()
        assert ask(zward, "GET", "/status")[0] == 200
        assert time.monotonic() - start < 5


def test_what_is_no_http_harms_nothing(zward):
    with socket.socket(socket.AF_UNIX) as strange:
        strange.connect(str(zward.directory / "zward.sock"))
        strange.sendall(b"\x16\x03\x01\0\xff" * 1000)

    assert ask(zward, "GET", "/status")[0] == 200


def test_two_operators_who_lift_one_ban_are_told_so_by_turns(zward):
    """Of eight who lift it at once, somebody is told that he did; the others did too, or came too late."""
    ask(zward, "POST", "/bans", BAN | {"address": "203.0.113.8"})
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(zward, "DELETE", "/bans", {"address": "203.0.113.8"})[0]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(answers) <= {200, 404}
    assert 200 in answers
    assert ask(zward, "GET", "/bans?address=203.0.113.8") == (200, [])
    assert zward.metric('zward_unbans_total{by="operator"}') >= 1


def test_who_asks_is_written_down_by_the_kernels_word(zward):
    ask(zward, "POST", "/bans", BAN | {"address": "203.0.113.11", "by": "somebody else"})
    ask(zward, "DELETE", "/bans", {"address": "203.0.113.11", "reason": "ticket 4712", "by": "somebody else"})

    (past,) = ask(zward, "GET", "/why?address=203.0.113.11")[1]["bans"]
    owner = (zward.directory / "zward.sock").owner()
    assert (past["lifted_by"], past["lifted_for"]) == (owner, "ticket 4712")


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("GET", "/account?name=ana", None, "seconds is missing or no number"),
        ("GET", "/account?name=ana&seconds=soon", None, "seconds is missing or no number"),
        ("GET", "/account?name=ana&seconds=nan", None, "expected more than 0"),
        ("GET", "/account?seconds=60", None, "expected an account"),
        ("GET", "/familiar?after_account=ana&after_address=home", None, 'found "home", expected '),
        ("GET", "/familiar?whom=203.0.113.7/8", None, 'found "203.0.113.7/8", expected '),
        ("DELETE", "/familiar", {}, "whom is missing"),
        ("DELETE", "/familiar", {"whom": ""}, "expected an account"),
    ],
)
def test_a_question_about_people_that_makes_no_sense_is_told_why(zward, method, path, body, says):
    status, told = ask(zward, method, path, body)

    assert (status, told["kind"]) == (400, "Unusable")
    assert says in told["error"]


@pytest.mark.parametrize("name", ["nobody", "%00", "%FF%FE", "x" * 5000, "%25", "'%20OR%201=1"])
def test_of_a_name_that_nobody_has_nothing_is_known_whatever_is_in_it(zward, name):
    assert ask(zward, "GET", f"/account?name={name}&seconds=60")[0] == 404
    assert ask(zward, "GET", f"/familiar?whom={name}")[0] == 404

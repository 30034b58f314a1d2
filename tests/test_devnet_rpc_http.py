"""The served devnet's HTTP side: who is let in, what is no request, and that nothing brings it down."""

import base64
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devnet_world import ALICE, World
from hypothesis import given, settings
from hypothesis import strategies as st
from rpc_node import SECRET, Client, JSONRPCException, served

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.devnet.rpc import server as server_module
from doitrust.adapters.devnet.rpc.cookie import cookie, locked
from doitrust.adapters.devnet.rpc.server import MAX_BODY, MAX_CONNECTIONS, Server, running
from doitrust.adapters.devnet.rpc.values import MAX_DEPTH
from doitrust.chain.tx import Output
from doitrust.errors import Unavailable

COUNT = '{"id":1,"method":"getblockcount","params":[]}'


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Server]]:
    with served(tmp_path_factory.mktemp("devnet"), timeout=1.5) as found:
        found[0]("getblockcount")
        yield found


@pytest.fixture
def client(node: tuple[Client, Server]) -> Iterator[Client]:
    """A client; whatever a test did, the server answers afterwards."""
    yield node[0]
    assert node[0]("getblockcount") == 0


# ---- who is let in


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic \xff\xfe",
        "Bearer " + base64.b64encode(SECRET.encode()).decode(),
        "Basic " + base64.b64encode(b"__cookie__:" + b"00" * 32).decode(),
        "Basic " + base64.b64encode(SECRET.encode() + b"0").decode(),
        "Basic " + base64.b64encode(SECRET.encode()[:-1]).decode(),
        "Basic " + base64.b64encode(SECRET.encode())[:-4].decode(),
        "Basic " + base64.b64encode(b"\xff\x00:").decode(),
    ],
)
@pytest.mark.parametrize("body", [COUNT, "", "garbage", "x" * 100_000])
@pytest.mark.thorough(6)
def test_nobody_gets_in_without_the_cookie(client: Client, authorization: str | None, body: str) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    told = client.http("POST", "/", body[:100], headers)
    assert (told.status, told.body) == (401, b"")
    assert told.headers["www-authenticate"] == 'Basic realm="jsonrpc"'


def test_a_large_body_of_a_stranger_is_not_read(client: Client) -> None:
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY}\r\n\r\n".encode()
    assert b" 401 " in client.send(head)


def test_a_wrong_password_costs_time(client: Client) -> None:
    start = time.monotonic()
    client.http("POST", "/", COUNT, {"Authorization": "Basic eDp5"})
    assert time.monotonic() - start >= 0.25


# ---- what is asked


def test_the_versions_of_the_protocol_are_answered_alike(client: Client) -> None:
    for version in ({}, {"version": "1.1"}, {"jsonrpc": "1.0"}, {"jsonrpc": "2.0"}, {"jsonrpc": 7}):
        told = client.post(json.dumps({**version, "id": "x", "method": "getblockcount"}))
        assert (told.status, told.headers["content-type"]) == (200, "application/json")
        assert told.body == b'{"result":0,"error":null,"id":"x"}\n'


@pytest.mark.parametrize(
    "request_id", ["null", "1", "1.50", "-0", "1e400", '"\u00fc"', '[{"a":[]}]', "true", "123456789" * 50]
)
def test_the_id_comes_back_as_it_was(client: Client, request_id: str) -> None:
    body = client.post(f'{{"id":{request_id},"method":"getblockcount"}}'.encode()).body
    assert body.decode() == f'{{"result":0,"error":null,"id":{request_id}}}\n'


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        ("", 500, -32700, "Parse error"),
        ("{", 500, -32700, "Parse error"),
        ("\x00", 500, -32700, "Parse error"),
        ("{} {}", 500, -32700, "Parse error"),
        ('{"id":NaN}', 500, -32700, "Parse error"),
        ('{"id":"\\ud800"}', 500, -32700, "Parse error"),
        ("1", 500, -32700, "Top-level object parse error"),
        ('"x"', 500, -32700, "Top-level object parse error"),
        ("null", 500, -32700, "Top-level object parse error"),
        ("{}", 400, -32600, "Missing method"),
        ('{"method":null}', 400, -32600, "Missing method"),
        ('{"method":1}', 400, -32600, "Method must be a string"),
        ('{"method":"getblockcount","params":1}', 400, -32600, "Params must be an array or object"),
        ('{"method":"getblockcount","params":"x"}', 400, -32600, "Params must be an array or object"),
        ('{"method":"__class__"}', 404, -32601, "Method not found"),
        ('{"method":""}', 404, -32601, "Method not found"),
        ('{"method":"getblockhash","params":[9]}', 500, -8, "Block height out of range"),
        ('{"method":"getblockhash","params":{"hight":9}}', 500, -8, "Unknown named parameter hight"),
        ('{"method":"getblockhash","params":[]}', 500, -1, "getblockhash height"),
        ('{"method":"getblockhash","params":[1,2]}', 500, -1, "getblockhash height"),
    ],
)
def test_errors_have_the_status_and_code_of_the_node(
    client: Client, body: str, status: int, code: int, message: str
) -> None:
    told = client.post(body.encode())
    assert told.status == status
    assert told.value["error"] == {"code": code, "message": message}
    assert told.value["result"] is None


def test_bytes_that_are_no_text(client: Client) -> None:
    for body in (b"\xff\xfe", b'{"method":"\xc3"}', bytes(range(256))):
        assert client.post(body).value["error"]["code"] == -32700


def test_the_first_of_two_keys_counts(client: Client) -> None:
    told = client.post('{"method":"getblockcount","method":"stop","id":1,"id":2}')
    assert told.value == {"result": 0, "error": None, "id": 1}


def test_nesting_has_a_limit(client: Client) -> None:
    def nested(depth: int) -> bytes:
        return ('{"method":"getblockcount","id":' + "[" * depth + "]" * depth + "}").encode()

    assert client.post(nested(MAX_DEPTH - 2)).status == 200
    for depth in (MAX_DEPTH + 1, 2_000, 1_000_000):
        assert client.post(nested(depth)).value["error"]["code"] == -32700
    assert client.post("[" * 100_000).value["error"]["code"] == -32700


def test_a_batch_is_answered_one_by_one(client: Client) -> None:
    requests: list[Any] = [
        {"id": 1, "method": "getblockcount"},
        {"id": 2, "method": "nothing"},
        7,
        {"id": 4, "method": "getblockhash", "params": [5]},
        {"id": 5},
        [],
        {"id": 6, "method": "getblockhash", "params": {"height": 0}},
    ]
    told = client.post(json.dumps(requests))
    assert told.status == 200
    codes = [answer["error"] and answer["error"]["code"] for answer in told.value]
    assert codes == [None, -32601, -32600, -8, -32600, -32600, None]
    assert [answer["id"] for answer in told.value] == [1, 2, None, 4, 5, None, 6]
    assert client.post("[]").body == b"[]\n"
    many = client.post(json.dumps([{"id": at, "method": "uptime"} for at in range(5_000)])).value
    assert [answer["id"] for answer in many] == list(range(5_000))


def test_the_real_client_does_batches(client: Client) -> None:
    proxy = client.proxy()
    assert proxy.batch_([["getblockcount"], ["getblockhash", 0]]) == [0, client("getblockhash", 0)]
    with pytest.raises(JSONRPCException):
        proxy.batch_([["getblockcount"], ["nothing"]])
    proxy._AuthServiceProxy__conn.close()


def test_parameters_by_name_leave_holes(client: Client) -> None:
    genesis = client("getblockhash", 0)
    for params in ({"blockhash": genesis, "verbose": 0}, {"verbosity": 0, "blockhash": genesis}):
        told = client.post(json.dumps({"method": "getblock", "params": params}))
        assert told.value["result"].startswith("01000000")
    hole = client.post(json.dumps({"method": "name_pending", "params": {"options": {}}}))
    assert hole.value["result"] == []


def test_help(client: Client) -> None:
    listed = client("help")
    assert "== Names ==" in listed
    assert 'name_show "name" ( options )' in listed
    assert client("help", "getblock") == 'getblock "blockhash" ( verbosity )'
    assert client("help", "scantxoutset") == 'scantxoutset "action" ( [scanobjects,...] )'
    assert client("help", "stop") == "stop"
    assert client("help", "nothing") == "help: unknown command: nothing"
    assert client.error("help", 1)[0] == -1


# ---- hostile HTTP


def request(*headers: str, body: bytes = b"", line: str = "POST / HTTP/1.1") -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode("latin-1") + body


def authorized(client: Client) -> str:
    return f"Authorization: {client.authorization['Authorization']}"


@pytest.mark.parametrize("path", ["/", "/x"])
def test_methods_that_are_refused_on_any_path(client: Client, path: str) -> None:
    told = client.http("DELETE", path, "", client.authorization)
    assert (told.status, told.body) == (405, b"")
    for method in ("OPTIONS", "PATCH", "TRACE"):
        assert client.http(method, path, "", client.authorization).status == 501


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_only_post_is_answered(client: Client, method: str) -> None:
    told = client.http(method, "/", "", client.authorization)
    assert told.status == 405
    assert told.body == (b"" if method == "HEAD" else b"JSONRPC server handles only POST requests")


def test_an_unknown_method_is_refused(client: Client) -> None:
    assert b" 501 " in client.send(request(line="BREW / HTTP/1.1"))


@pytest.mark.parametrize("path", ["/x", "/?a", "/wallet", "/../etc/passwd", "*", "http://x/"])
def test_other_paths_are_not_there(client: Client, path: str) -> None:
    assert client.http("GET", path).status == 404
    assert client.http("POST", path, COUNT, client.authorization).status == 404


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("x", 400),
        ("-1", 400),
        ("+5", 400),
        ("1_0", 400),
        ("\xb2", 400),
        ("9" * 30, 400),
        (str(MAX_BODY + 1), 413),
    ],
)
def test_a_length_that_cannot_be(client: Client, length: str, status: int) -> None:
    told = client.send(request("Host: x", authorized(client), f"Content-Length: {length}"))
    assert f" {status} ".encode() in told.split(b"\r\n")[0]


def test_two_lengths_or_chunks_are_refused(client: Client) -> None:
    both = request("Content-Length: 5", "Content-Length: 6", authorized(client), body=b"xxxxxx")
    assert client.send(both).startswith(b"HTTP/1.1 400 ")
    chunked = request("Transfer-Encoding: chunked", authorized(client), body=b"5\r\nxxxxx\r\n0\r\n\r\n")
    answer = client.send(chunked)
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert answer.count(b"HTTP/1.1") == 1  # what followed was not taken for a request


def test_a_body_cut_short_is_no_request(client: Client) -> None:
    assert client.send(request(authorized(client), "Content-Length: 500", body=COUNT.encode())) == b""


def test_nothing_and_noise(client: Client) -> None:
    for data in (
        b"",
        b"\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET",
        b"\x00" * 10_000,
        b"A" * 70_000,
        b"POST / HTTP/9.9\r\n\r\n",
    ):
        client.send(data)
    many_headers = request(*[f"X-{at}: y" for at in range(500)])
    assert b" 431 " in client.send(many_headers)
    assert b" 431 " in client.send(request("X: " + "y" * 70_000))


@settings(max_examples=40)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_leave_it_standing(node: tuple[Client, Server], data: bytes, as_body: bool) -> None:
    client = node[0]
    if as_body:
        assert client.post(data).status in (400, 404, 500, 200)
    else:
        client.send(data)
    assert client("getblockcount") == 0


def test_changed_requests_leave_it_standing(client: Client) -> None:
    chance = random.Random(5)
    good = (
        b'[{"id":1,"method":"name_scan","params":["a",5,{"prefix":"b","minConf":1}]},'
        b'{"method":"getblock","params":["00",1]}]'
    )
    for _ in range(300):
        changed = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        assert client.post(bytes(changed)).status in (200, 400, 404, 500)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=15)
@given(st.lists(JSON, max_size=4))
def test_no_parameters_make_a_method_fail_as_a_bug_does(
    node: tuple[Client, Server], params: list[Any]
) -> None:
    client = node[0]
    methods = [line.split()[0] for line in client("help").splitlines() if line and not line.startswith("=")]
    batch = [{"id": m, "method": m, "params": params} for m in methods if m != "stop"]
    for answer in client.post(json.dumps(batch)).value:
        assert answer["error"] is None or answer["error"]["code"] != -32603


# ---- time and number


def test_a_slow_request_is_given_up(client: Client) -> None:
    """Also one that sends a byte now and then."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", client.port), timeout=0.2) as connection:
        while time.monotonic() - start < 10:
            try:
                connection.sendall(b"P")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert 1 < time.monotonic() - start < 10


def test_an_idle_connection_is_closed(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        assert connection.recv(1) == b""


def test_too_many_connections_are_refused_and_later_ones_served(client: Client) -> None:
    held = [socket.create_connection(("127.0.0.1", client.port), timeout=20) for _ in range(MAX_CONNECTIONS)]
    try:
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 503 ")
    finally:
        for connection in held:
            connection.close()
    until = time.monotonic() + 10
    while client.post(COUNT).status == 503 and time.monotonic() < until:
        time.sleep(0.05)


def test_a_connection_is_kept_for_more_requests(client: Client) -> None:
    one = request(authorized(client), f"Content-Length: {len(COUNT)}", body=COUNT.encode())
    answers = client.send(one * 3)
    assert answers.count(b'{"result":0') == 3


def test_several_at_once_see_one_chain(tmp_path: Path) -> None:
    world = World(tmp_path)
    sent = [world.pay(Output(10**8, ALICE.p2wpkh), coins=[world.coin(index=at)]) for at in range(8)]
    with served(tmp_path) as (client, _):
        threads = [threading.Thread(target=client, args=("sendrawtransaction", tx.raw.hex())) for tx in sent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client("getblockcount") == 118
        assert {client("getrawtransaction", tx.txid, True)["confirmations"] for tx in sent} == set(
            range(1, 9)
        )
    world.devnet.close()


def test_a_bug_is_told_and_survived(
    client: Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(server_module, "answer", broken)
        told = client.post(COUNT)
    assert (told.status, told.value["error"]["code"]) == (500, -32603)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_damaged_devnet_is_an_error_of_the_database(tmp_path: Path) -> None:
    with served(tmp_path) as (client, _):
        assert client("getblockcount") == 0
        (tmp_path / "chain.sqlite").write_bytes(b"no database at all")
        code, message = client.error("getblockcount")
        assert code == -20
        assert "not a database" in message or "damaged" in message


# ---- the cookie and the lock


def test_the_cookie_is_for_its_owner_and_goes_with_the_server(tmp_path: Path) -> None:
    file = tmp_path / ".cookie"
    file.write_text("left behind")
    file.chmod(0o644)
    with cookie(tmp_path) as secret:
        assert file.read_text() == secret
        assert file.stat().st_mode & 0o777 == 0o600
        user, _, password = secret.partition(":")
        assert (user, len(bytes.fromhex(password))) == ("__cookie__", 32)
    assert list(tmp_path.iterdir()) == []
    with cookie(tmp_path) as again:
        assert again != secret
        file.write_text("somebody else's")
    assert file.read_text() == "somebody else's"


def test_a_link_in_the_way_gets_no_secret(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("")
    (tmp_path / ".cookie.tmp").symlink_to(target)
    (tmp_path / ".cookie").symlink_to(target)
    with cookie(tmp_path):
        assert target.read_text() == ""


def test_a_devnet_is_served_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Unavailable, match="served already"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with running(tmp_path, 0, SECRET) as first:
        port = first.server_address[1]
        with pytest.raises(Unavailable, match=str(port)), running(tmp_path, port, SECRET):
            pass
    Devnet(tmp_path).close()

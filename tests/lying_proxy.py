"""A proxy before a served devnet that changes what the node answers, as somebody on the line would."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Changes one answer: method, parameters, result; returns the result that is told.
Lie = Callable[[str, list[Any], Any], Any]


def honest(_method: str, _params: list[Any], result: Any) -> Any:
    """No change."""
    return result


class Proxy:
    """Where it listens, and what it does to answers now."""

    def __init__(self, port: int, behind: int) -> None:
        self.port = port
        self.behind = behind
        self.lie: Lie = honest
        #: Methods that were asked for, in order.
        self.asked: list[str] = []


@contextmanager
def lying(behind: int) -> Iterator[Proxy]:
    """Stand before the node at port `behind`."""
    proxy = Proxy(0, behind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that http.server gives it
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            line = HTTPConnection("127.0.0.1", proxy.behind, timeout=30)
            try:
                line.request("POST", self.path, body, {"Authorization": self.headers["Authorization"]})
                answer = line.getresponse()
                told, status = json.loads(answer.read()), answer.status
            finally:
                line.close()
            asked = json.loads(body)
            for one, reply in zip(asked, told, strict=True) if isinstance(asked, list) else [(asked, told)]:
                proxy.asked.append(one["method"])
                if reply["error"] is None:
                    reply["result"] = proxy.lie(one["method"], one["params"], reply["result"])
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()

"""A web server for tests of downloads, on a free port of this machine."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def serves(content: bytes) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def breaks_off(content: bytes) -> Answer:
    """Announce all of it, send half."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])

    return answer


def refuses(code: int) -> Answer:
    return lambda request: request.send_error(code)


class Server:
    """Answers the requests for one path in the given order; the last answer is repeated."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                answers = server.answers.get(self.path, [refuses(404)])
                (answers.pop(0) if len(answers) > 1 else answers[0])(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server until the end of the block."""
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        served.http.shutdown()
        thread.join()
        served.http.server_close()

"""A small store that speaks like S3, on this machine, which can answer wrongly, slowly or not at all."""

from __future__ import annotations

import io
import re
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, cycle
from threading import Lock, Thread
from typing import BinaryIO, Literal, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

Fault = Literal["error", "reset", "cut", "slow", "refused", "unanswered"]
"""`unanswered` does what was asked, and then resets the connection."""


class Object(NamedTuple):
    """What is stored under a key; `modified` are seconds since 1970, `writes` how often it was written."""

    content: bytes
    modified: int
    writes: int = 1


class Store:
    """The objects of one bucket, `photos`. `fault` is asked about each request, by its method and key."""

    def __init__(self, page: int = 3) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], Fault | None] = lambda method, key: None
        self.url = ""
        self.slow_seconds = 1.0
        self.uploads: dict[str, dict[int, bytes]] = {}
        self._page = page
        self._lock = Lock()

    def put(self, key: str, content: bytes, modified: int = 1_700_000_000) -> None:
        with self._lock:
            before = self.objects.get(key)
            self.objects[key] = Object(content, modified, before.writes + 1 if before else 1)

    def empty(self) -> None:
        """Forget all objects, requests and faults."""
        self.objects.clear()
        self.requests.clear()
        self.fault = lambda method, key: None

    @staticmethod
    def each(number: int, *faults: Fault) -> Callable[[str, str], Fault | None]:
        """Return what lets one of so many requests fail, with each of the faults in turn."""
        requests, turn = count(1), cycle(faults)
        return lambda method, key: next(turn) if next(requests) % number == 0 else None

    def address(self, prefix: str) -> str:
        """The address of all below a prefix."""
        return f"s3://photos/{prefix}?endpoint={self.url}"

    @property
    def source(self) -> str:
        """The source whose photos are those below `pets`."""
        return self.address("pets")

    def asked(self, method: str, key: str) -> Fault | None:
        with self._lock:
            self.requests.append((method, key))
            return self.fault(method, key)

    def listing(self, prefix: str, delimiter: str, after: str, most: int) -> str:
        """Return a page of ListObjectsV2."""
        found: dict[str, str] = {}
        for key, stored in sorted(self.objects.copy().items()):
            if key.startswith(prefix):
                head, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                name = f"{prefix}{head}{slash}" if slash else key
                found[name] = _folder(name) if slash else _contents(key, stored)
        names = [name for name in found if name > after][: min(most, self._page)]
        rest = [name for name in found if names and name > names[-1]]
        more = f"<NextContinuationToken>{escape(names[-1])}</NextContinuationToken>" if rest else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>photos</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(names)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{'true' if rest else 'false'}</IsTruncated>{more}"
            f"{''.join(found[name] for name in names)}</ListBucketResult>"
        )


def _folder(name: str) -> str:
    return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"


def _contents(key: str, stored: Object) -> str:
    # MinIO gives milliseconds here, and whole seconds in headers.
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stored.modified)) + ".789Z"
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{moment}</LastModified>"
        f"<ETag>&quot;{quote(key)}&quot;</ETag><Size>{len(stored.content)}</Size></Contents>"
    )


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the pieces of a body in pieces, each of which begins with a line that has its length."""
    while length := int(file.readline().split(b";")[0] or b"0", 16):
        yield file.read(length)
        file.readline()


def _changed(store: Store, method: str, key: str, asked: dict[str, str], body: bytes) -> bytes:
    """Store or remove an object, or a piece of one that comes in several; return the answer."""
    upload = asked.get("uploadId", "")
    if "uploads" in asked:
        upload = str(len(store.uploads))
        store.uploads[upload] = {}
        return (
            f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>"
            "</InitiateMultipartUploadResult>".encode()
        )
    if "partNumber" in asked:
        store.uploads[upload][int(asked["partNumber"])] = body
    elif method == "POST":
        pieces = store.uploads.pop(upload)
        store.put(key, b"".join(pieces[int(n)] for n in re.findall(rb"<PartNumber>(\d+)<", body)))
        return b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"
    elif method == "PUT":
        store.put(key, body)
    else:
        store.objects.pop(key, None)
    return b""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # a connection that finds the queue full is tried again after a second

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def s3_server(store: Store) -> Iterator[Store]:
    """Serve a store until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 2.0  # of a connection that a client keeps open without a request
        disable_nagle_algorithm = True  # or each answer waits 40 ms for its second half

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            address = urlsplit(self.path)
            key = unquote(address.path).removeprefix("/photos").lstrip("/")
            asked = {
                name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()
            }
            fault = store.asked(
                "LIST" if "list-type" in asked else self.command, key or asked.get("prefix", "")
            )
            if fault == "reset" or (fault == "cut" and self.command != "GET"):
                self._reset()
                return
            if fault == "slow":
                time.sleep(store.slow_seconds)
            body = self._body()
            if body is None:
                self._send(400, b"<Error><Code>IncompleteBody</Code><Message>cut off</Message></Error>")
            elif fault == "error":
                self._send(503, b"<Error><Code>SlowDown</Code><Message>try later</Message></Error>")
            elif fault == "refused":
                self._send(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
            elif not address.path.startswith("/photos"):
                self._send(404, b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>")
            elif self.command in ("PUT", "POST", "DELETE"):
                answer = _changed(store, self.command, key, asked, body)
                if fault == "unanswered":
                    self._reset()
                else:
                    self._send(204 if self.command == "DELETE" else 200, answer, {"ETag": '"0"'})
            elif "list-type" in asked:
                most = int(asked.get("max-keys", "1000"))
                after = asked.get("continuation-token", "")
                listed = store.listing(asked.get("prefix", ""), asked.get("delimiter", ""), after, most)
                self._send(200, listed.encode(), {"Content-Type": "application/xml"})
            elif (stored := store.objects.get(key)) is None:
                self._send(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
            else:
                self._object(stored, cut=fault == "cut")

        def _reset(self) -> None:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()

        def _body(self) -> bytes | None:
            """Return the content that is sent, None if its end is missing."""
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                length = int(self.headers.get("Content-Length", "0"))
                content = self.rfile.read(length)
                return content if len(content) == length else None
            sent = b"".join(_chunks(self.rfile))
            while self.rfile.readline().strip():
                pass
            content = b"".join(_chunks(io.BytesIO(sent)))
            return content if len(content) == int(self.headers["x-amz-decoded-content-length"]) else None

        def _object(self, stored: Object, cut: bool) -> None:
            headers = {"Last-Modified": formatdate(stored.modified, usegmt=True), "ETag": '"0"'}
            if self.command == "HEAD":
                self._send(200, stored.content, headers)
                return
            content = stored.content
            if span := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
                content = content[int(span[1]) : int(span[2]) + 1]
            self._send(206 if span else 200, content, headers, cut)

        def _send(
            self, code: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False
        ) -> None:
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._answer)
    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # waited for when it is closed, so that no thread is left
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

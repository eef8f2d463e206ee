# -*- coding: utf-8 -*-
"""The Runtime API over one raw connection.

It never interprets what it carries. An outcome and the question for the next
invocation leave in one write.
"""
import sys

import _socket

PY2 = sys.version_info[0] == 2


class Gone(Exception):
    """The Runtime API closed the connection: the environment is over."""


class Answer(object):
    __slots__ = ("status", "headers", "body")


def native(raw):
    """Gives header bytes as the interpreter's plain string."""
    if PY2:
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def header_safe(text):
    """Gives text as it may stand in a header line."""
    if PY2 and isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return u"".join(c if u" " <= c <= u"~" else u"?" for c in text[:256])


class RuntimeAPI(object):
    """One connection, kept for the life of the environment."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
        self.host = address
        self.socket = _socket.socket(family, _socket.SOCK_STREAM)
        self.socket.connect((host, int(port)))
        if PY2:  # since 3.4 no program that the function starts gets the connection
            import fcntl

            fcntl.fcntl(self.socket.fileno(), fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.rest = b""
        self.owed = 0
        self.ask = self._request("GET", "/invocation/next", None, ())

    def _request(self, method, path, body, headers):
        lines = [method + " /2018-06-01/runtime" + path + " HTTP/1.1", "Host: " + self.host]
        lines.extend(headers)
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        head = "\r\n".join(lines) + "\r\n\r\n"
        if not isinstance(head, bytes):
            head = head.encode("latin-1", "replace")
        return head + body if body else head

    def _send(self, data):
        view = memoryview(data)
        while len(view):
            try:
                view = view[self.socket.send(view) :]
            except _socket.error as error:
                if getattr(error, "errno", None) != 4 and error.args[:1] != (4,):  # EINTR
                    raise Gone(str(error))

    def _receive(self, call, *arguments):
        """Reads until something came; a signal in between is no error."""
        while True:
            try:
                got = call(*arguments)
            except _socket.error as error:
                if getattr(error, "errno", None) == 4 or error.args[:1] == (4,):
                    continue
                raise Gone(str(error))
            if not got:
                raise Gone("end of stream")
            return got

    def _line_block(self, end):
        """Takes everything up to end off the stream."""
        data = self.rest
        start = 0
        while True:
            at = data.find(end, start)
            if at >= 0:
                self.rest = data[at + len(end) :]
                return data[:at]
            start = max(0, len(data) - len(end))
            data += self._receive(self.socket.recv, 65536)

    def _exactly(self, size):
        """Takes size bytes off the stream."""
        have = self.rest
        if len(have) >= size:
            self.rest = have[size:]
            return have[:size]
        data = bytearray(size)
        data[: len(have)] = have
        view = memoryview(data)
        at = len(have)
        self.rest = b""
        while at < size:
            at += self._receive(self.socket.recv_into, view[at:])
        return data

    def _chunks(self):
        """Takes a body in chunks off the stream."""
        pieces = []
        while True:
            size = int(self._line_block(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self._line_block(b"\r\n"):
                    pass
                return b"".join(pieces)
            pieces.append(bytes(self._exactly(size)))
            self._exactly(2)

    def _answer(self):
        """Reads one whole answer."""
        answer = Answer()
        while True:
            lines = self._line_block(b"\r\n\r\n").split(b"\r\n")
            answer.status = int(lines[0].split(None, 2)[1])
            if answer.status >= 200:
                break
        headers = answer.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            answer.body = self._chunks()
        else:
            answer.body = self._exactly(int(headers.get(b"content-length", 0)))
        return answer

    def next(self):
        """Waits for the next invocation. When an answer is still on its way, both
        leave in one write, and the API's word on the answer changes nothing here:
        what it refused it has made into an error for the caller."""
        if self.owed == 0:
            self._send(self.ask)
        while self.owed:
            self.owed = 0
            self._answer()
        answer = self._answer()
        if answer.status != 200:
            raise Gone("status %d" % answer.status)
        return answer

    def post(self, path, body, headers):
        """Posts the outcome of an invocation and asks for the next one."""
        self._send(self._request("POST", path, body, headers) + self.ask)
        self.owed = 1

    def post_alone(self, path, body, headers):
        """Posts and waits for the answer."""
        self._send(self._request("POST", path, body, headers))
        self._answer()

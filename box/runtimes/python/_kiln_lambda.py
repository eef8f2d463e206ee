# -*- coding: utf-8 -*-
"""The Runtime API client of kiln for Python 2.7 and 3.6 and later.

It loads the handler, asks for invocations, calls the handler and posts what it
returned or raised. It uses the standard library only, and of that only what is
built into the interpreter: every module imported here is paid for by each cold
start of each function, so json, socket, logging and traceback are left to the
moment when they are needed.
"""
import os
import sys
import time

import _json
import _socket

PY2 = sys.version_info[0] == 2
# AWS's own client took over with 3.8; what came before used the plain json module.
MODERN = sys.version_info >= (3, 8)

HERE = os.path.dirname(os.path.abspath(__file__))
NO_BREAK_SPACE = u"\u00a0"

# Frame types of the telemetry descriptor: text, with the level in bits 2 to 4.
FRAME = 0xA55A0003
LEVEL_BITS = {"DEBUG": 0x08, "INFO": 0x0C, "WARNING": 0x10, "ERROR": 0x14, "CRITICAL": 0x18}


class Fault(Exception):
    """An error of the runtime itself, with the type that AWS gives it."""

    def __init__(self, kind, message, trace=None):
        Exception.__init__(self, message)
        self.kind = kind
        self.message = message
        self.trace = trace or []


class Invocation(object):
    """The invocation under way, for log lines; empty during init."""

    request_id = ""
    tenant_id = None


current = Invocation()


# --- JSON ---------------------------------------------------------------------


def _constant(name):
    return {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}[name]


class _ScannerSettings(object):
    strict = True
    encoding = "utf-8"
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_constant)
    memo = {}


_BLANK = u" \t\n\r"


def _scanner():
    """Gives the function that reads one JSON text. The json module's own door to
    the same C code costs the import of the regular expressions."""
    try:
        scan = _json.make_scanner(_ScannerSettings())
    except Exception:
        import json

        return json.loads

    def load(text):
        trimmed = text.strip(_BLANK)
        try:
            value, end = scan(trimmed, 0)
            if end == len(trimmed):
                return value
        except (StopIteration, ValueError):
            pass
        import json

        return json.loads(text)  # raises the text that everybody knows

    return load


_loads = _scanner()

_RAW = "kiln-" + "".join("%02x" % b for b in bytearray(os.urandom(12))) + ":"


def _foreign(value):
    """Converts what JSON has no word for, as AWS's encoder does."""
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        if not MODERN:
            return float(value)
        return float("nan") if value.is_nan() else _RAW + str(value)
    if MODERN and isinstance(value, bytes):
        return value.decode("utf-8")
    if PY2:
        raise TypeError(repr(value) + " is not JSON serializable")
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


_SCALARS = frozenset([int, float, bool, type(None), type(u""), type("")])


def _has_records(value):
    """Reports whether a named tuple is somewhere in value."""
    kind = type(value)
    if kind in _SCALARS:
        return False
    if isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, (list, tuple)):
        if kind is not tuple and kind is not list and hasattr(value, "_asdict"):
            return True
        inside = value
    else:
        return False
    if _SCALARS.issuperset(map(type, inside)):
        return False
    return any(_has_records(item) for item in inside)


def _records_as_objects(value):
    """Copies value with each named tuple as the object of its fields."""
    if isinstance(value, dict):
        return dict((key, _records_as_objects(item)) for key, item in value.items())
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _records_as_objects(dict(value._asdict()))
    if isinstance(value, (list, tuple)):
        return [_records_as_objects(item) for item in value]
    return value


def _encoder(ascii_only):
    """Gives the function that writes one value as JSON text."""
    if ascii_only:
        quote = _json.encode_basestring_ascii
    else:
        quote = getattr(_json, "encode_basestring", None)
    try:
        if quote is None:
            raise AttributeError("encode_basestring")
        _json.make_encoder(None, _foreign, quote, None, ": ", ", ", False, False, True)(0, 0)
    except Exception:
        import json

        encode = json.JSONEncoder(ensure_ascii=ascii_only, default=_foreign).encode
    else:

        def encode(value):
            # The markers find circles, so each text needs its own.
            make = _json.make_encoder({}, _foreign, quote, None, ": ", ", ", False, False, True)
            return "".join(make(value, 0))

    def dump(value):
        if MODERN and _has_records(value):
            value = _records_as_objects(value)
        text = encode(value)
        if _RAW in text:
            pieces = text.split('"' + _RAW)
            text = pieces[0] + "".join(piece.replace('"', "", 1) for piece in pieces[1:])
        return text

    return dump


# Since 3.12 AWS's encoder leaves characters as they are.
_dumps = _encoder(sys.version_info < (3, 12))


def to_bytes(value):
    """Gives value as JSON in UTF-8, whatever its strings hold."""
    text = _dumps(value)
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return _encoder(True)(value).encode("utf-8")


# --- Runtime API --------------------------------------------------------------


class Gone(Exception):
    """The Runtime API closed the connection: the environment is over."""


class Answer(object):
    __slots__ = ("status", "headers", "body")


def _native(raw):
    """Gives header bytes as the interpreter's plain string."""
    if PY2:
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _header_safe(text):
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


# --- Log ----------------------------------------------------------------------


class OutputSink(object):
    """Writes log lines to the standard output: lines of one message are joined
    by a carriage return, so that they stay one record."""

    def log(self, message, level=None):
        sys.stdout.write(message)

    def log_error(self, lines):
        sys.stdout.write(u"\r".join(lines) + u"\n")


class FrameSink(object):
    """Writes log messages with their boundaries to the telemetry descriptor."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def log(self, message, level=None):
        import struct

        if not isinstance(message, bytes):
            message = message.encode("utf-8", "replace")
        kind = FRAME | LEVEL_BITS.get(level, 0)
        frame = struct.pack(">IIQ", kind, len(message), int(time.time() * 1e6)) + message
        while frame:
            frame = frame[os.write(self.descriptor, frame) :]

    def log_error(self, lines):
        self.log(u"\n".join(lines), "ERROR")


def _sink():
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", "")
    return FrameSink(int(descriptor)) if descriptor.isdigit() else OutputSink()


sink = _sink()


def log_error(error):
    """Writes an error as AWS's runtime writes it: type and message, then the
    trace, indented with no-break spaces so that no viewer trims them."""
    lines = [u"[ERROR]"]
    if error["errorType"]:
        lines[0] += u" " + _unicode(error["errorType"])
    if error["errorMessage"]:
        lines[0] += (u": " if error["errorType"] else u" ") + _unicode(error["errorMessage"])
    lines.append(u"Traceback (most recent call last):")
    for entry in error["stackTrace"]:
        for line in _unicode(entry).splitlines() or [u""]:
            bare = line.lstrip(u" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(bare)) + bare)
    sink.log_error(lines)


def _unicode(text):
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


class _UTF8Stream(object):
    """Python 2's standard streams, taking text as well as bytes."""

    def __init__(self, stream):
        self._stream = stream

    encoding = "UTF-8"

    def write(self, text):
        self._stream.write(text.encode("utf-8") if not isinstance(text, bytes) else text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def _open_streams():
    """Makes both standard streams UTF-8 and flushes them with each line, so that a
    line is one write and is in the pipe before anything that follows."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            continue
        if PY2:
            setattr(sys, name, _UTF8Stream(os.fdopen(stream.fileno(), "w", 1)))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        else:
            import io

            wrapped = io.TextIOWrapper(
                stream.detach(), encoding="utf-8", errors="backslashreplace", line_buffering=True
            )
            wrapped.mode = "w"
            setattr(sys, name, wrapped)


def _flush():
    """Empties both streams; a function may have closed or replaced them."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def _install_logging(logging):
    """Gives the root logger the handler that functions expect to find there."""

    class LambdaLoggerHandler(logging.Handler):
        def __init__(self):
            logging.Handler.__init__(self)
            self.log_sink = sink

        def emit(self, record):
            self.log_sink.log(self.format(record), record.levelname)

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = current.request_id
            record.tenant_id = current.tenant_id
            return True

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    handler.setFormatter(
        logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
            "%Y-%m-%dT%H:%M:%S",
        )
    )
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    if level in LEVEL_BITS:
        root.setLevel(getattr(logging, level))


class _LoggingHook(object):
    """Waits in the import system for the first import of logging, and costs
    nothing where it never comes."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                spec.loader = _LoggingLoader(spec.loader)
                return spec
        return None

    def find_module(self, name, path=None):  # Python 2
        if name != "logging":
            return None
        return self

    def load_module(self, name):  # Python 2
        sys.meta_path.remove(self)
        module = __import__(name)
        _install_logging(module)
        return module

    if not PY2:
        del find_module, load_module


class _LoggingLoader(object):
    """Lets the true loader run, then installs the handler and steps aside."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _install_logging(module)


# --- Context ------------------------------------------------------------------


class _Fields(object):
    """An object with a fixed list of fields, None where nothing is known."""

    names = ()

    def __init__(self, values):
        for name, key in self.names:
            setattr(self, name, values.get(key))

    def __repr__(self):
        fields = ",".join("%s=%s" % (name, getattr(self, name)) for name, _ in self.names)
        return "%s([%s])" % (type(self).__name__, fields)


class CognitoIdentity(_Fields):
    names = (
        ("cognito_identity_id", "cognitoIdentityId"),
        ("cognito_identity_pool_id", "cognitoIdentityPoolId"),
    )


class Client(_Fields):
    names = tuple(
        (name, name)
        for name in (
            "installation_id",
            "app_title",
            "app_version_name",
            "app_version_code",
            "app_package_name",
        )
    )


class ClientContext(_Fields):
    names = (("custom", "custom"), ("env", "env"), ("client", "client"))


class LambdaContext(object):
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        known = os.environ.get
        self.aws_request_id = current.request_id
        self.log_group_name = known("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = known("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = known("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = known("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = known("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = _header(headers, b"lambda-runtime-invoked-function-arn")
        self.tenant_id = current.tenant_id
        self.client_context = None
        sent = _json_header(headers, b"lambda-runtime-client-context", "Client Context")
        if sent is not None:
            self.client_context = ClientContext(sent)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        self.identity = CognitoIdentity(
            _json_header(headers, b"lambda-runtime-cognito-identity", "Cognito Identity") or {}
        )
        self._epoch_deadline_time_in_ms = int(headers.get(b"lambda-runtime-deadline-ms") or 0)

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        sink.log(message if isinstance(message, (str, type(u""))) else str(message))

    def __repr__(self):
        names = (
            "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb "
            "function_version invoked_function_arn client_context identity tenant_id"
        ).split()
        fields = ",".join("%s=%s" % (name, getattr(self, name)) for name in names)
        return "LambdaContext([%s])" % fields


def _header(headers, name):
    value = headers.get(name)
    return _native(bytes(value)) if value is not None else None


def _json_header(headers, name, what):
    text = _header(headers, name)
    if not text:
        return None
    try:
        return _loads(_unicode(text))
    except Exception as error:
        raise Fault(
            "Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (what, error)
        )


# --- Handler ------------------------------------------------------------------


def _search_paths():
    """Puts the function and its layers where AWS puts them: the function first,
    then layers, then the interpreter's own, then the layers once more."""
    minor = "python%d.%d" % sys.version_info[:2]
    layers = ["/opt/python/lib/%s/site-packages" % minor, "/opt/python"]
    own = []
    for entry in sys.path:
        if entry not in own:
            own.append(entry)
    task = os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd()
    sys.path[:] = [task] + layers + [entry for entry in own if entry != task] + layers


def load_handler(name):
    """Finds the function that name stands for, or says in AWS's words why not."""
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, error))
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module %s as a handler module" % module_name,
        )
    try:
        dotted = module_name.replace("/", ".")
        __import__(dotted)
        module = sys.modules[dotted]
    except ImportError as error:
        raise Fault(
            "Runtime.ImportModuleError",
            "Unable to import module '%s': %s" % (module_name, error),
        )
    except SyntaxError as error:
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module '%s': %s" % (module_name, error),
            ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)],
        )
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault(
            "Runtime.HandlerNotFound",
            "Handler '%s' missing on module '%s'" % (function_name, module_name),
        )


def _message(error):
    """Gives the text of an exception; one whose text cannot be made has its name."""
    try:
        return str(error)
    except UnicodeError:
        try:
            return type(u"")(error)
        except Exception:
            return type(error).__name__
    except Exception:
        return type(error).__name__


def describe(request_id):
    """Gives the exception that is being handled as the error object that AWS's
    runtime posts: without this file's own frames at its head."""
    kind, error, trace = sys.exc_info()
    if isinstance(error, Fault):
        return {
            "errorMessage": error.message,
            "errorType": error.kind,
            "requestId": request_id,
            "stackTrace": error.trace,
        }
    import traceback

    frames = traceback.extract_tb(trace)
    first = 0
    while first < len(frames) - 1 and os.path.dirname(frames[first][0]) == HERE:
        first += 1
    frames = [tuple(frame)[:4] for frame in frames[first:]]
    if frames and os.path.dirname(frames[0][0]) == HERE:
        frames = []
    return {
        "errorMessage": _message(error),
        "errorType": kind.__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_list(frames),
    }


def _event(body):
    try:
        return _loads(body.decode("utf-8"))
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % _message(error))


def _marshal(response):
    """Gives the bytes of an answer and their type."""
    if isinstance(response, bytes) and not PY2:
        return response, "application/unknown"
    try:
        return to_bytes(response), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % _message(error))


def serve(api, handler):
    """Serves invocations until the environment is over."""
    while True:
        work = api.next()
        headers = work.headers
        current.request_id = request_id = _header(headers, b"lambda-runtime-aws-request-id")
        current.tenant_id = _header(headers, b"lambda-runtime-aws-tenant-id")
        trace = _header(headers, b"lambda-runtime-trace-id")
        if trace is not None:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        echo = []
        attempt = _header(headers, b"lambda-runtime-invocation-id")
        if attempt:
            echo.append("Lambda-Runtime-Invocation-Id: " + attempt)

        failure = None
        try:
            body, kind = _marshal(handler(_event(work.body), LambdaContext(headers)))
        except Exception:
            failure = describe(request_id)
        work = None
        if failure is None:
            echo.append("Content-Type: " + kind)
            path = "/response"
        else:
            log_error(failure)
            body = to_bytes(failure)
            echo.append("Content-Type: application/json")
            echo.append(
                "Lambda-Runtime-Function-Error-Type: " + str(_header_safe(failure["errorType"]))
            )
            path = "/error"
        _flush()
        api.post("/invocation/" + request_id + path, body, echo)
        body = failure = None


class _Quitter(object):
    """The exit and quit that the interpreter's site module would have made."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "Use %s() to exit" % self.name

    def __call__(self, code=None):
        raise SystemExit(code)


def main(arguments):
    """Runs the environment's only program; it returns never."""
    sys.argv = arguments[:1]
    builtins = sys.modules["__builtin__" if PY2 else "builtins"]
    for name in ("exit", "quit"):
        if not hasattr(builtins, name):
            setattr(builtins, name, _Quitter(name))
    _open_streams()
    _search_paths()
    if "logging" in sys.modules:
        _install_logging(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, _LoggingHook())
    api = RuntimeAPI(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        try:
            handler = load_handler(os.environ.get("_HANDLER", ""))
        except Exception:
            failure = describe("")
            log_error(failure)
            _flush()
            kind = "Lambda-Runtime-Function-Error-Type: " + str(_header_safe(failure["errorType"]))
            api.post_alone("/init/error", to_bytes(failure), ["Content-Type: application/json", kind])
            sys.exit(1)
        serve(api, handler)
    except Gone as error:
        sys.stderr.write("the Runtime API is gone: %s\n" % error)
        sys.exit(1)

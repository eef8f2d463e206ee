# -*- coding: utf-8 -*-
"""Where the lines of a function's log go, and the logging module's part in it."""
import errno
import os
import sys
import time

PY2 = sys.version_info[0] == 2
NO_BREAK_SPACE = u"\u00a0"

# Frame types of the telemetry descriptor: text or JSON, with the level in bits 2 to 4.
FRAME = 0xA55A0003
JSON_FRAME = 0xA55A0002
LEVEL_BITS = {"DEBUG": 0x08, "INFO": 0x0C, "WARNING": 0x10, "ERROR": 0x14, "CRITICAL": 0x18}


class Invocation(object):
    """The invocation under way, for log lines; empty during init."""

    request_id = ""
    tenant_id = None


current = Invocation()

# AWS has structured logs since Python 3.8.
STRUCTURED = sys.version_info >= (3, 8) and os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


class OutputSink(object):
    """Writes log lines to the standard output: lines of one message are joined
    by a carriage return, so that they stay one record."""

    def log(self, message, level=None):
        sys.stdout.write(message)

    def log_error(self, lines):
        sys.stdout.write(u"\r".join(lines).replace(u"\n", u"\r") + u"\n")

    def log_object(self, text):
        sys.stdout.write(text + "\n")


class FrameSink(object):
    """Writes log messages with their boundaries to the telemetry descriptor."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def log(self, message, level=None, frame=JSON_FRAME if STRUCTURED else FRAME):
        import struct

        if not isinstance(message, bytes):
            message = message.encode("utf-8", "replace")
        kind = frame | LEVEL_BITS.get(level, 0)
        frame = struct.pack(">IIQ", kind, len(message), int(time.time() * 1e6)) + message
        while frame:
            try:
                frame = frame[os.write(self.descriptor, frame) :]
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                import select

                # A child of the function has made the pipe one that does not wait.
                select.select([], [self.descriptor], [])

    def log_error(self, lines):
        self.log(u"\n".join(lines), "ERROR", FRAME)

    def log_object(self, text):
        self.log(text, "ERROR")


def _sink():
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", "")
    return FrameSink(int(descriptor)) if descriptor.isdigit() else OutputSink()


sink = _sink()


def log_error(error):
    """Writes an error as AWS's runtime writes it: type and message, then the
    trace, indented with no-break spaces so that no viewer trims them; or the error
    itself as an object."""
    if STRUCTURED:
        import json

        sink.log_object(json.dumps(dict({"timestamp": _stamp(time.time()), "log_level": "ERROR"}, **error)))
        return
    lines = [u"[ERROR]"]
    if error["errorType"]:
        lines[0] += u" " + to_text(error["errorType"])
    if error["errorMessage"]:
        lines[0] += (u": " if error["errorType"] else u" ") + to_text(error["errorMessage"])
    lines.append(u"Traceback (most recent call last):")
    for entry in error["stackTrace"]:
        for line in to_text(entry).splitlines() or [u""]:
            bare = line.lstrip(u" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(bare)) + bare)
    sink.log_error(lines)


def _stamp(seconds):
    """Gives a time with milliseconds, as RFC 3339 writes it."""
    whole = int(seconds)
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)), int((seconds - whole) * 1000))


# What every record of the logging module has; anything else came in by extra.
_OWN = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName"
    " created msecs relativeCreated thread threadName processName process taskName aws_request_id tenant_id"
    " message asctime".split()
)


def _object(record):
    """Gives a record of the logging module as AWS's object of JSON."""
    import json

    entry = {
        "timestamp": _stamp(record.created),
        "level": record.levelname,
        "message": record.getMessage(),
        "logger": record.name,
        "requestId": current.request_id or None,
        "tenantId": current.tenant_id,
    }
    if record.exc_info and record.exc_info[0]:
        import traceback

        kind, error, trace = record.exc_info
        entry["errorType"] = kind.__name__
        entry["errorMessage"] = str(error)
        entry["stackTrace"] = traceback.format_tb(trace)
        entry["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
    for name, value in record.__dict__.items():
        if name not in _OWN and name not in entry:
            entry[name] = value
    return json.dumps({k: v for k, v in entry.items() if v is not None}, default=str) + "\n"


def to_text(text):
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


def open_streams():
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


def flush():
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

    class LambdaJSONFormatter(logging.Formatter):
        def format(self, record):
            return _object(record)

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = current.request_id
            record.tenant_id = current.tenant_id
            return True

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    handler.setFormatter(
        LambdaJSONFormatter()
        if STRUCTURED
        else logging.Formatter(
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


def install_hook():
    """Sees to it that logging has the handler, now or when it is imported."""
    if "logging" in sys.modules:
        _install_logging(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, _LoggingHook())

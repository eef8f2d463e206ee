# -*- coding: utf-8 -*-
"""The Runtime API client of kiln for Python 2.7 and 3.6 and later.

It loads the handler, asks for invocations, calls the handler and posts what it
returned or raised. It and its neighbours use the standard library only, and of
that only what is built into the interpreter: every module imported here is paid
for by each cold start of each function, so json, socket, logging and traceback
are left to the moment when they are needed.
"""
import os
import sys

from _kiln_context import Fault, LambdaContext, header
from _kiln_json import loads, to_bytes
from _kiln_log import current, flush, install_hook, log_error, open_streams
from _kiln_wire import Gone, RuntimeAPI, header_safe

PY2 = sys.version_info[0] == 2
# Since 3.9 an error names the request that it ended.
NAMES_REQUEST = sys.version_info >= (3, 9)
HERE = os.path.dirname(os.path.abspath(__file__))


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
    if issubclass(kind, ImportError) or isinstance(error, Fault):
        _hint(_message(error))
    if isinstance(error, Fault):
        return _error(error.message, error.kind, error.trace, request_id)
    import traceback

    frames = traceback.extract_tb(trace)
    first = 0
    while first < len(frames) - 1 and os.path.dirname(frames[first][0]) == HERE:
        first += 1
    frames = [tuple(frame)[:4] for frame in frames[first:]]
    if frames and os.path.dirname(frames[0][0]) == HERE:
        frames = []
    return _error(_message(error), kind.__name__, traceback.format_list(frames), request_id)


def _hint(message):
    """Tells in the log how to get the SDK that AWS has in its runtimes, when it is
    what a function misses; the error itself stays AWS's."""
    for name in ("boto3", "botocore"):
        if "No module named '%s'" % name in message or message.endswith("No module named " + name):
            version = "%d.%d" % sys.version_info[:2]
            advice = "put it into the function's package"
            if sys.version_info >= (3, 8):
                advice = "`kiln runtime add python%s-sdk` adds it, or %s" % (version, advice)
            sys.stderr.write("kiln: %s is not in this runtime: %s\n" % (name, advice))


def _error(message, kind, trace, request_id):
    error = {"errorMessage": message, "errorType": kind}
    if NAMES_REQUEST:
        error["requestId"] = request_id
    error["stackTrace"] = trace
    return error


def _event(body):
    try:
        return loads(body.decode("utf-8"))
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
        current.request_id = request_id = header(headers, b"lambda-runtime-aws-request-id")
        current.tenant_id = header(headers, b"lambda-runtime-aws-tenant-id")
        trace = header(headers, b"lambda-runtime-trace-id")
        if trace is not None:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        echo = []
        attempt = header(headers, b"lambda-runtime-invocation-id")
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
                "Lambda-Runtime-Function-Error-Type: " + str(header_safe(failure["errorType"]))
            )
            path = "/error"
        flush()
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
    open_streams()
    _search_paths()
    install_hook()
    api = RuntimeAPI(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        try:
            handler = load_handler(os.environ.get("_HANDLER", ""))
        except Exception:
            failure = describe("")
            log_error(failure)
            flush()
            kind = "Lambda-Runtime-Function-Error-Type: " + str(header_safe(failure["errorType"]))
            api.post_alone("/init/error", to_bytes(failure), ["Content-Type: application/json", kind])
            sys.exit(1)
        serve(api, handler)
    except Gone as error:
        sys.stderr.write("the Runtime API is gone: %s\n" % error)
        sys.exit(1)

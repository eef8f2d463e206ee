# -*- coding: utf-8 -*-
"""What a handler gets as its second argument."""
import os
import time

from _kiln_json import loads
from _kiln_log import current, sink, to_text
from _kiln_wire import native


class Fault(Exception):
    """An error of the runtime itself, with the type that AWS gives it."""

    def __init__(self, kind, message, trace=None):
        Exception.__init__(self, message)
        self.kind = kind
        self.message = message
        self.trace = trace or []


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
        self.invoked_function_arn = header(headers, b"lambda-runtime-invoked-function-arn")
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


def header(headers, name):
    value = headers.get(name)
    return native(bytes(value)) if value is not None else None


def _json_header(headers, name, what):
    text = header(headers, name)
    if not text:
        return None
    try:
        return loads(to_text(text))
    except Exception as error:
        raise Fault(
            "Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (what, error)
        )

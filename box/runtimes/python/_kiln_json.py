# -*- coding: utf-8 -*-
"""JSON as AWS's Python runtime reads and writes it.

The json module is a thin door to C code that is built in; but behind the door
stand the regular expressions, whose import costs more than all else that a cold
start does. So the C code is called directly, and the module only when something
is wrong and its words are needed.
"""
import os
import sys

import _json

PY2 = sys.version_info[0] == 2
# AWS's own client took over with 3.8; what came before used the plain json module.
MODERN = sys.version_info >= (3, 8)


def _constant(name):
    return {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}[name]


class _ScannerSettings(object):
    strict = True
    encoding = "utf-8"
    object_hook = None
    object_pairs_hook = None
    array_hook = None
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


loads = _scanner()

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
        try:
            if MODERN and _has_records(value):
                value = _records_as_objects(value)
        except RuntimeError:
            pass  # too deep, or a circle: the encoder says which
        text = encode(value)
        if _RAW in text:
            pieces = text.split('"' + _RAW)
            text = pieces[0] + "".join(piece.replace('"', "", 1) for piece in pieces[1:])
        return text

    return dump


# Since 3.12 AWS's encoder leaves characters as they are.
dumps = _encoder(sys.version_info < (3, 12))


def to_bytes(value):
    """Gives value as JSON in UTF-8, whatever its strings hold."""
    text = dumps(value)
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return _encoder(True)(value).encode("utf-8")

"""Any result as one JSON document for programs."""

import json
from typing import Any


def as_json(result: Any, verb: str) -> str:
    """One JSON document for ``result``, with ``"schema": 1``; what is not finite becomes null.

    A result that is a list is put under the verb's own name: ``{"schema": 1, "models": [...]}``.
    """
    from pydantic_core import to_jsonable_python

    value = _finite(to_jsonable_python(result, by_alias=True))
    document = value if isinstance(value, dict) else {verb: value}
    return json.dumps({"schema": 1, **document}, indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    """``value`` with None in the place of NaN and infinities, which JSON has no words for."""
    if isinstance(value, float):
        return value if float("-inf") < value < float("inf") else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value

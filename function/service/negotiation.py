"""Choose the output format of an answer (RFC 9110, 12.5.1)."""

import re

from paragraph_ocr.errors import MalformedRequest, NotAcceptable
from paragraph_ocr.formats import FORMATS

_WEIGHT = re.compile(r"q *= *(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def choose(accept: str, wanted: str | None) -> str:
    """Return the format of an answer, a key of `FORMATS`.

    Parameters
    ----------
    accept : str
        The Accept header of the request; of formats with the same weight, the first of `FORMATS` is chosen.
    wanted : str or None
        The format in the query, which has precedence over the header.

    Raises
    ------
    MalformedRequest
        The query names no output format.
    NotAcceptable
        The header allows none of the formats.
    """
    if wanted is not None:
        if wanted not in FORMATS:
            raise MalformedRequest(f"format must be one of {', '.join(FORMATS)}.")
        return wanted
    weights = {}
    for entry in accept.lower().split(",") if accept.strip() else ["*/*"]:
        kind, *parameters = (part.strip() for part in entry.split(";"))
        found = [match for parameter in parameters if (match := _WEIGHT.fullmatch(parameter))]
        weights[kind] = float(found[0][1]) if found else 1.0

    def weight(form: str) -> float:
        kind = FORMATS[form].content_type.partition(";")[0]
        patterns = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        return next((weights[pattern] for pattern in patterns if pattern in weights), 0.0)

    form = max(FORMATS, key=weight)
    if not weight(form):
        kinds = ", ".join(form.content_type.partition(";")[0] for form in FORMATS.values())
        raise NotAcceptable(f"Accept one of {kinds}, or name a form: ?format={'|'.join(FORMATS)}.")
    return form

"""The faults that msgspec finds in rules and limits, as sentences for operators."""

import re
from typing import get_args, get_type_hints

from exchange.domain.rules import Rules

_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*)`$")
_CHOICE = re.compile(r"Invalid enum value (.*)$")
_TYPE = re.compile(r"Expected `(\w+)(?: \| null)?`(?P<bounds>.*?)(?:, got `(?P<found>\w+)`)?$")
_NOUNS = {
    "int": "a whole number",
    "float": "a number with decimals",
    "str": "a text",
    "bool": "true or false",
    "object": "an object such as {}",
    "array": "a list such as []",
    "null": "null",
}
# Assets are the only texts of the rules with a pattern.
_PATTERN = re.compile(" matching regex .*")
_ASSET = " of up to 10 capital letters and digits, such as SOL"
_BOUNDS = ((" >= ", " of at least "), (" <= ", " of at most "), ("of length of", "with a length of"))


def sentence_of(fault: str) -> str:
    """The text of a msgspec.ValidationError in words: `market.fees must be an object such as {}, not a text`."""
    place = _PLACE.search(fault)
    fault, name = (fault, "the rules") if place is None else (fault[: place.start()], place[1] or "the rules")
    if found := _FIELD.fullmatch(fault):
        where = "" if place is None else f"{name} has "
        return f"{where}unknown field {found[2]!r}" if "unknown" in found[1] else f"{name} must have {found[2]}"
    if found := _CHOICE.fullmatch(fault):
        return f"{name} must be {' or '.join(get_args(get_type_hints(Rules).get(name)))}, not {found[1]}"
    if found := _TYPE.fullmatch(fault):
        bounds = _PATTERN.sub(_ASSET, found["bounds"])
        for sign, words in _BOUNDS:
            bounds = bounds.replace(sign, words)
        other = f", not {_NOUNS.get(found['found'], found['found'])}" if found["found"] else ""
        return f"{name} must be {_NOUNS.get(found[1], found[1])}{bounds}{other}"
    return f"{name}: {fault}"

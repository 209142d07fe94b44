"""Personal data replaced by placeholders: e-mail addresses, public IPs, phone and card numbers."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from rlenv.common.settings import Settings
from rlenv.data.pipeline.document import Document
from rlenv.data.pipeline.steps.step import TextFilter

# every pattern is bounded, or begins at the beginning of a run: a megabyte of letters costs no more
_EMAIL = re.compile(
    r"(?<![\w.+%'-])[\w.+%'-]{1,64}@"  # RFC 5321 allows 64 and, below, 63 a label
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,9}[A-Za-z]{2,24}\b"
)
# not a release ("Firefox/2.0.0.11"), a longer number with points, or a network ("192.0.3.0/24")
_IPV4 = re.compile(r"(?<![\d.])(?<![A-Za-z]/)(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d|/\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:.]*\w|/\d)")
_FEWEST_GROUPS = 3  # of an IPv6 address: "it can be::" is none
_CARD = re.compile(
    r"(?<![\w.-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{5})(?![\w-]*\w)"
)
# with a country code, or in the North American form of 3, 3 and 4 digits with marks between
_PHONE = re.compile(
    r"(?<![\w+.-])(?:"
    r"\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
    r"|(?:\([2-9]\d{2}\) ?|[2-9]\d{2}([.-]))[2-9]\d{2}(?(1)\1|[ .-])\d{4}"
    r")(?![\w-]*\w)"
)
# a superset of both
_NUMBER = re.compile(r"\d[\d .()-]{6,}\d")
_FEWEST_DIGITS = 8


class PersonalSettings(Settings):
    """What takes the place of personal data; an empty string leaves that kind alone.

    Attributes:
        email: of addresses.
        ip: of public IP addresses; those of private networks, and of documentation, stay.
        phone: of numbers in international or North American form.
        card: of numbers of 13 to 19 digits whose check digit is right.
    """

    email: str = "<email>"
    ip: str = "<ip>"
    phone: str = "<phone>"
    card: str = "<card>"


class Personal(TextFilter[PersonalSettings]):
    """Replace personal data.

    Patterns find what is written in the usual forms. Names and street addresses are not found.
    """

    Settings = PersonalSettings

    def edit(self, document: Document, counts: Counter[str]) -> Document:
        """See `TextFilter.edit`."""
        s, text = self.settings, document.text
        # few documents hold any: a look at the different words is cheaper than at the text
        words = document.words.counts
        if any(_EMAIL.search(word) for word in words if "@" in word):
            text = _replace(_EMAIL, s.email, text, counts, "e-mail addresses")
        if any(word.count(":") > 1 for word in words):
            text = _replace(_IPV6, s.ip, text, counts, "IP addresses", _is_public)
        if any(word.count(".") > 2 and _IPV4.search(word) for word in words if "." in word):
            text = _replace(_IPV4, s.ip, text, counts, "IP addresses", _is_public)
        if any(_digits(found) >= _FEWEST_DIGITS for found in _NUMBER.findall(text)):
            text = _replace(_CARD, s.card, text, counts, "card numbers", is_card)
            text = _replace(_PHONE, s.phone, text, counts, "phone numbers", _is_phone)
        return document.with_text(text)


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _replace(
    pattern: re.Pattern[str],
    placeholder: str,
    text: str,
    counts: Counter[str],
    name: str,
    confirm: Callable[[str], bool] = lambda found: True,
) -> str:
    if not placeholder:
        return text

    def replacement(match: re.Match[str]) -> Any:
        if not confirm(match[0]):
            return match[0]
        counts[f"{name} replaced"] += 1
        return placeholder

    return pattern.sub(replacement, text)


def _is_public(text: str) -> bool:
    if ":" in text and len([group for group in text.split(":") if group]) < _FEWEST_GROUPS:
        return False
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_phone(text: str) -> bool:
    return _FEWEST_DIGITS <= _digits(text) <= 15  # ITU-T E.164 allows 15


def is_card(text: str) -> bool:
    """Return whether a number can be that of a card: an issuer's prefix and a right check digit.

    The check is the one of ISO/IEC 7812-1, annex B (Luhn): from the right, every second digit is
    doubled, and the sum of all digits must be a multiple of ten.
    """
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6):
        return False
    if len(digits) == 14 and digits[0] != 3:  # Diners Club alone; others are moments of time
        return False
    doubled = (sum(divmod(2 * d, 10)) for d in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0

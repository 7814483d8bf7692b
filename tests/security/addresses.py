"""Where a browser goes: a Location read as the URL standard has it (WHATWG, §4.4), and addresses that lead astray."""

from __future__ import annotations

import re

ELSEWHERE = "evil.example"
_SPECIAL = ("http", "https", "ws", "wss", "ftp")


def origin_of(location: str, base: str) -> str:
    """The origin that a browser at *base*, an http or https URL, goes to; for a URL of another kind its scheme."""
    scheme, _, rest = base.partition("://")
    here = f"{scheme}://{re.split(r'[/?#]', rest, maxsplit=1)[0].lower()}"
    text = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(33)))))
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", text, re.DOTALL)
    if found:
        given, text = found.group(1).lower(), found.group(2)
        if given not in _SPECIAL:
            return f"{given}:"
        if given == scheme and not re.match(r"[/\\]{2}", text):
            return origin_of(text, base) if text else here
        scheme = given
        text = "//" + text.lstrip("/\\")
    if not re.match(r"[/\\]{2}", text):
        return here
    authority = re.split(r"[/\\?#]", text.lstrip("/\\"), maxsplit=1)[0]
    return f"{scheme}://{authority.rpartition('@')[2].lower()}"


ASTRAY = (
    *(
        f"//{ELSEWHERE}/x",
        f"///{ELSEWHERE}",
        f"////{ELSEWHERE}",
        f"/\\{ELSEWHERE}",
        f"\\\\{ELSEWHERE}",
        f"\\/{ELSEWHERE}",
    ),
    *(
        f"/\t/{ELSEWHERE}",
        f"/\t\\{ELSEWHERE}",
        f"\t//{ELSEWHERE}",
        f"/\n/{ELSEWHERE}",
        f"/\r/{ELSEWHERE}",
        f" //{ELSEWHERE}",
    ),
    *(f"/%5c{ELSEWHERE}", f"/%5C{ELSEWHERE}", f"/%2f/{ELSEWHERE}", f"/%2f%2f{ELSEWHERE}", f"/%09/{ELSEWHERE}"),
    *(
        f"%2f%2f{ELSEWHERE}",
        f"/%252f%252f{ELSEWHERE}",
        f"/.//{ELSEWHERE}",
        f"/..//{ELSEWHERE}",
        f"/%2e%2e//{ELSEWHERE}",
    ),
    *(
        f"/x/..//{ELSEWHERE}",
        f"/./\\{ELSEWHERE}",
        f"/;//{ELSEWHERE}",
        f"//user@{ELSEWHERE}/",
        f"@{ELSEWHERE}",
        f".{ELSEWHERE}",
    ),
    *(
        f"https://{ELSEWHERE}/",
        f"https:{ELSEWHERE}",
        f"http:{ELSEWHERE}",
        f"http:/{ELSEWHERE}",
        f"http:\\\\{ELSEWHERE}",
    ),
    *("javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "JaVaScRiPt:alert(1)"),
    *(
        f"/\r\nLocation: https://{ELSEWHERE}",
        f"/%0d%0aLocation:%20https://{ELSEWHERE}",
        f"//{ELSEWHERE}\\@x/",
        "//[::1]/",
    ),
    *(f"?//{ELSEWHERE}", f"#//{ELSEWHERE}", f"/\x00/{ELSEWHERE}", f"/\xa0/{ELSEWHERE}", f"//{ELSEWHERE}:80/", "//"),
)

CLAIMS = {
    "X-Forwarded-Host": ELSEWHERE,
    "X-Host": ELSEWHERE,
    "Forwarded": f"host={ELSEWHERE};proto=https",
    "X-Original-URL": f"//{ELSEWHERE}/",
    "X-Rewrite-URL": f"//{ELSEWHERE}/",
    "X-Forwarded-Prefix": f"//{ELSEWHERE}",
}
"""Headers by which a framework is led to believe that it has another name."""

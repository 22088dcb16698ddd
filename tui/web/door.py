"""Who may come in: the address that was printed, the hosts it names, and pages that came from them.

A port on one's own machine is open to every page that its browser shows. Three things keep them out:

- the **Host** of each request has to be one that this server goes by, so that a foreign name made to
  resolve to this machine (DNS rebinding) gets nothing;
- a **token**, random for each start, stands in the address that is printed. The first visit turns it into
  a cookie that scripts cannot read and other sites cannot send (HttpOnly, SameSite=Strict), and the
  address loses it;
- a websocket has to come from a page of this server: its **Origin** says so, and a browser never lies there.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LOCAL = ("localhost", "127.0.0.1", "::1")
ANYWHERE = ("0.0.0.0", "::")
TOKEN = "token"  # in the address that is printed

# Nothing from elsewhere, no frame around it. The terminal's renderer writes style elements of its own.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What a request must bring to be let in. The token is this start's own."""

    host: str  # address that the server listens on
    port: int
    token: str

    @property
    def cookie(self) -> str:
        """Its name. Cookies know no ports, so that the port is in it."""
        return f"ratematch-{self.port}"

    @property
    def browser(self) -> str:
        """The cookie that tells one browser from another, so that a page loaded again finds its session."""
        return f"{self.cookie}-browser"

    @property
    def address(self) -> str:
        """What to open in a browser."""
        name = "localhost" if self.host in (*LOCAL, *ANYWHERE) else self.host
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/?{TOKEN}={self.token}"

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this server.

        On another address than this machine's own, a literal address does too: none can be rebound.

        >>> door = Door(host="localhost", port=8000, token="t")
        >>> [door.knows_host(host) for host in ("localhost:8000", "evil.example:8000", "[::1]:8000")]
        [True, False, True]
        """
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port:
            return False
        return name in (*LOCAL, self.host) or (self.host in ANYWHERE and _is_address(name))

    def knows_origin(self, origin: str | None, host: str) -> bool:
        """Whether a websocket was opened by a page of this server.

        >>> door = Door(host="localhost", port=8000, token="t")
        >>> door.knows_origin("http://localhost:8000", "localhost:8000"), door.knows_origin(None, "x:8000")
        (True, False)
        """
        return origin is not None and origin.lower() == f"http://{host.lower()}"

    def knows_token(self, token: str | None) -> bool:
        """Whether it is this start's. Takes as long whatever differs."""
        return token is not None and hmac.compare_digest(token.encode(), self.token.encode())


def new(host: str, port: int) -> Door:
    """A door with a fresh token."""
    return Door(host=host, port=port, token=secrets.token_urlsafe(32))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""Bearer tokens: from a file that somebody else renews, or from a token endpoint (OAuth 2.0 client credentials).

Used by the sending threads of one sink; a lock keeps them from renewing twice.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import ConfigError, SinkUnavailable

EARLY_S = 30.0  # renew this long before the token runs out
DEFAULT_LIFE_S = 300.0  # where the endpoint does not say
TIMEOUT_S = 15.0


class Bearer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[destination.NAME.dicomweb.bearer]: either `file`, or `endpoint` with `client` and `secret_file`."""

    file: str = ""
    endpoint: str = ""
    client: str = ""
    secret_file: str = ""
    scope: str = ""


class Tokens:
    def __init__(
        self, options: Bearer, where: str, tls: ssl.SSLContext | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        if bool(options.file) == bool(options.endpoint):
            raise ConfigError(f"[{where}] needs either file or endpoint")
        if options.endpoint and not (options.client and options.secret_file):
            raise ConfigError(f"[{where}] endpoint needs client and secret_file")
        if options.endpoint and not options.endpoint.startswith(("https://", "http://")):
            raise ConfigError(f"[{where}] endpoint is not an http(s):// address")
        self._options = options
        self._tls = tls
        self._now = now
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def get(self) -> str:
        """One that is good for a while yet."""
        if self._options.file:  # read every time: whoever renews it just replaces the file
            return _read(self._options.file)
        with self._lock:
            if not self._token or self._now() > self._until - EARLY_S:
                self._renew()
            return self._token

    def refused(self, token: str) -> None:
        """The archive did not like this one: the next `get` asks for a new one."""
        with self._lock:
            if token == self._token:
                self._token = ""

    def _renew(self) -> None:
        facts = self._ask()
        token, life = facts.get("access_token"), facts.get("expires_in", DEFAULT_LIFE_S)
        if not isinstance(token, str) or not token or not isinstance(life, (int, float, str)):
            raise SinkUnavailable("the token endpoint's answer holds no access_token")
        self._token = token
        # A life shorter than the margin would mean a new token for every object.
        self._until = self._now() + max(float(life), EARLY_S + 1.0)

    def _ask(self) -> dict[str, Any]:
        options = self._options
        secret = _read(options.secret_file)
        form = {"grant_type": "client_credentials", **({"scope": options.scope} if options.scope else {})}
        pair = f"{urllib.parse.quote(options.client, '')}:{urllib.parse.quote(secret, '')}"
        request = urllib.request.Request(
            options.endpoint,
            urllib.parse.urlencode(form).encode(),
            {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=self._tls) as answer:
                facts = json.loads(answer.read(1 << 20))
        except urllib.error.HTTPError as error:
            error.close()
            raise SinkUnavailable(f"the token endpoint answered {error.code}") from None
        except (OSError, ValueError) as error:
            raise SinkUnavailable(f"the token endpoint cannot be used: {type(error).__name__}") from error
        if not isinstance(facts, dict):
            raise SinkUnavailable("the token endpoint's answer is not a JSON object")
        return facts


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SinkUnavailable(f"the token or secret in {path} cannot be read") from error

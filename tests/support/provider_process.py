"""An OpenID provider in a process of its own: oidc-provider-mock, made to hold PKCE, rotate its keys, and sign what a
test wants signed.

Run as `python -m tests.support.provider_process PORT`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class HoldsPkce:
    """Gives out a token for a code only to whoever has the verifier of the challenge that the code was asked with."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self._challenges: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "POST", "/oauth2/authorize":
                return self._app(environ, self._noting(environ, start_response))
            case "POST", "/oauth2/token":
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                environ["wsgi.input"] = BytesIO(body)
                form = parse_qs(body.decode())
                challenge = self._challenges.pop(form.get("code", [""])[0], None)
                verifier = hashlib.sha256(form.get("code_verifier", [""])[0].encode()).digest()
                if challenge != base64.urlsafe_b64encode(verifier).rstrip(b"=").decode():
                    start_response("400 Bad Request", [("Content-Type", "application/json")])
                    return [b'{"error": "invalid_grant"}']
        return self._app(environ, start_response)

    def _noting(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Callable[..., Any]:
        asked = parse_qs(environ.get("QUERY_STRING", ""))

        def noting(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            location = dict(headers).get("Location", "")
            for code in parse_qs(urlsplit(location).query).get("code", ()):
                assert asked["code_challenge_method"] == ["S256"]
                (self._challenges[code],) = asked["code_challenge"]
            return start_response(status, headers, *rest)

        return noting


def main(port: int) -> None:
    """Serve until the process is ended."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    import flask
    from joserfc import jws, jwt
    from joserfc.jwk import RSAKey
    from oidc_provider_mock import app as provider  # type: ignore[import-untyped]  # as it comes
    from oidc_provider_mock._app import AuthorizationCodeGrant  # type: ignore[import-untyped]  # as above
    from werkzeug.serving import make_server

    AuthorizationCodeGrant.TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "none"]
    app: Any = provider()

    def storage() -> Any:
        return flask.g.oidc_provider_mock_storage

    def rotate() -> tuple[str, int]:
        storage().jwk = type(storage().jwk).generate_key(is_private=True)
        return "", 204

    def sign() -> str:
        asked = flask.request.get_json()
        key = RSAKey.import_key(storage().jwk.as_dict(is_private=True))
        registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
        return jwt.encode(
            {"alg": "RS256", **asked["header"]}, asked["claims"], key, registry=registry, default_type=None
        )

    app.add_url_rule("/test/rotate", view_func=rotate, methods=["POST"])
    app.add_url_rule("/test/sign", view_func=sign, methods=["POST"])
    app.debug = False
    make_server("127.0.0.1", port, HoldsPkce(app.wsgi_app), threaded=True).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""TLS over TCP: `tls://host:port`, encrypted, and each end sure of the other."""

from __future__ import annotations

import ssl
from typing import ClassVar

from sig.carriers.address import Address, parse, split
from sig.carriers.contexts import URL_OPTIONS, Given, client_context, server_context
from sig.carriers.tcp import TCPClient, TCPServer
from sig.constants import Limits
from sig.protocol.layers import Layer
from sig.protocol.tls import TLSLayer


class TLSServer(TCPServer):
    """Listens on a TCP port, and speaks TLS there: `sig.serve("tls://0.0.0.0:3000", tls=sig.TLS(cert=..., key=...))`.

    With `ca`, clients must show a certificate of that authority (mutual TLS). Then other machines may be served
    without `insecure_public`, and a client is known by the name in its certificate.
    """

    scheme = "tls"
    options: ClassVar[tuple[str, ...]] = ("tls",)

    def __init__(self, url: str, *, tls: Given = None) -> None:
        address, self._url_options = _read(url)
        super().__init__(address)
        self._tls = tls
        self._context: ssl.SSLContext | None = None

    def bind(self, *, public: bool) -> str:
        self._context = server_context(self._tls, self._url_options)
        return super().bind(public=public or self._context.verify_mode is ssl.CERT_REQUIRED)

    async def reload(self) -> None:
        self._context = server_context(self._tls, self._url_options)

    def _layer(self, limits: Limits) -> Layer:
        assert self._context is not None  # `bind` came before
        return TLSLayer(self._context, server_side=True)


class TLSClient(TCPClient):
    """Connects to a server that speaks TLS: `sig.connect("tls://host:3000", tls=sig.TLS(ca="ca.pem"))`.

    The server's certificate is always checked, and that it is for this host.
    """

    scheme = "tls"
    options: ClassVar[tuple[str, ...]] = ("tls",)

    def __init__(self, url: str, *, tls: Given = None) -> None:
        address, self._url_options = _read(url)
        super().__init__(address)
        self._tls = tls

    def _layer(self, limits: Limits) -> Layer:
        context = client_context(self._tls, self._url_options)
        return TLSLayer(context, server_side=False, server_hostname=self._place().host)


def _read(url: str) -> tuple[Address, dict[str, str]]:
    """Where that is, and what the URL says of certificates; only `wss://` has a path."""
    return parse(url, path=url.startswith("wss"), known=URL_OPTIONS), split(url, URL_OPTIONS)[1]

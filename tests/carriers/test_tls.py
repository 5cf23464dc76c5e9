"""TLS carriers: options in URLs, who a client is known to be, and who may be served without being asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from cryptography import x509

import sig
import sig.aio
from sig import certs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> certs.Made:
    return certs.make(tmp_path_factory.mktemp("certs"), ["localhost", "127.0.0.1"], ["lab-1"], days=1)


@pytest.fixture
def server(made: certs.Made) -> Iterator[sig.ServerRouter]:
    """One that wants certificates of its clients."""
    assert made.server is not None
    tls = {"cert": made.server.cert, "key": made.server.key, "ca": made.authority.cert}
    with sig.serve("tls://127.0.0.1:0", tls=tls) as router:
        yield router


def client_tls(made: certs.Made) -> sig.TLS:
    (lab,) = made.clients
    return sig.TLS(cert=lab.cert, key=lab.key, ca=made.authority.cert)


def test_a_client_is_known_by_its_certificate(server: sig.ServerRouter, made: certs.Made) -> None:
    with sig.connect(server.urls[0], tls=client_tls(made)):
        assert server._server is not None
        (client,) = (link for link in server._server.core.connections.values() if link.address != "local")
        assert client.identity is not None
        assert client.identity.name == "cert:lab-1"
        # Its link ends when its certificate does.
        (lab,) = made.clients
        until = x509.load_pem_x509_certificate(lab.cert.read_bytes()).not_valid_after_utc
        assert client.identity.expires == until.timestamp()
        assert client.address.startswith("tls://127.0.0.1:")


def test_all_of_it_may_stand_in_the_url(server: sig.ServerRouter, made: certs.Made) -> None:
    (lab,) = made.clients
    url = f"{server.urls[0]}?ca={made.authority.cert}&cert={lab.cert}&key={lab.key}"
    with sig.connect(url) as client:
        assert client.senders() == []

    async def main() -> None:
        async with sig.aio.connect(url) as client:
            assert await client.senders() == []

    asyncio.run(main())


def test_who_has_no_certificate_is_told_so(server: sig.ServerRouter, made: certs.Made) -> None:
    with pytest.raises(sig.HandshakeRefused, match="wants a certificate of this side: set `cert` and `key`"):
        sig.connect(server.urls[0], tls=sig.TLS(ca=made.authority.cert))

    async def main() -> None:
        with pytest.raises(sig.HandshakeRefused, match="was signed by an authority that is not trusted here"):
            await sig.aio.connect(server.urls[0])

    asyncio.run(main())


def test_other_machines_may_be_served_where_clients_show_certificates(made: certs.Made) -> None:
    assert made.server is not None
    files = f"cert={made.server.cert}&key={made.server.key}"
    with pytest.raises(sig.InvalidArgument, match="insecure_public=True"):
        sig.serve(f"tls://0.0.0.0:0?{files}")
    with sig.serve(f"tls://0.0.0.0:0?{files}&ca={made.authority.cert}") as router:
        port = router.urls[0].rpartition(":")[2]
        with sig.connect(f"tls://localhost:{port}", tls=client_tls(made)) as client:
            assert client.senders() == []


@pytest.mark.parametrize(
    ("here", "there"), [("tcp", "tls"), ("tls", "tcp"), ("ws", "tcp"), ("tcp", "ws"), ("ws", "tls")]
)
def test_both_ends_must_speak_alike(here: str, there: str, made: certs.Made) -> None:
    assert made.server is not None
    options = {"tls": {"cert": made.server.cert, "key": made.server.key}} if there == "tls" else {}
    mine = {"tls": client_tls(made)} if here == "tls" else {}
    with (
        sig.serve(f"{there}://127.0.0.1:0", **options) as router,
        pytest.raises(sig.HandshakeRefused, match=r"tls://|ws://|wss://"),
    ):
        sig.connect(router.urls[0].replace(f"{there}://", f"{here}://"), **mine)


def test_a_server_without_a_certificate_does_not_start(made: certs.Made) -> None:
    with pytest.raises(sig.InvalidArgument, match="a server needs a certificate"):
        sig.serve("tls://127.0.0.1:0")
    with pytest.raises(sig.InvalidArgument, match="unknown option 'colour': the options of tls:// are ca, cert"):
        sig.serve("tls://127.0.0.1:0?colour=red")


def test_a_large_payload_both_ways(server: sig.ServerRouter, made: certs.Made) -> None:
    with sig.connect(server.urls[0], tls=client_tls(made)) as client:
        server.add_sender("here", requests={"echo": lambda text: text})
        text = "x" * 5_000_000
        assert client.request("here", "echo", text) == text

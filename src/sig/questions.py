"""What a request is given and what comes back, in the codecs of those whom it goes to."""

from __future__ import annotations

from sig.codecs import Codec
from sig.errors import InvalidData
from sig.protocol.asking import Coded, Payloads, Whom
from sig.protocol.client import ClientCore


def encoded(core: ClientCore, whom: Whom, params: object) -> bytes | Payloads:
    """Parameters in the sender's codec; in each that it may have, as long as nobody has asked it anything.

    On the thread that asks, with no lock held: what is large takes its time. Raises `InvalidData`.
    """
    own = core.codec
    codec = own if len(core.codecs) == 1 else core.asking.codec_of(whom)
    if codec is own:
        try:
            return own.quick(params)
        except Exception:
            return own.encode(params)  # raises what is wrong, in a sentence
    if codec is not None:
        return {codec.name: codec.encode(params)}
    payloads = {name: _encoded_or_not(each, params) for name, each in core.codecs.items()}
    if not any(isinstance(payload, bytes) for payload in payloads.values()):
        own.encode(params)  # raises what is wrong
    return payloads


def decoded(own: Codec, answer: bytes | Coded) -> object:
    """An answer, in this client's own codec unless it says otherwise. Raises `InvalidData`."""
    if not isinstance(answer, bytes):
        return answer.codec.decode(answer.payload)
    try:
        return own.read(answer)
    except Exception:
        return own.decode(answer)  # raises what is wrong, in a sentence


def _encoded_or_not(codec: Codec, params: object) -> bytes | InvalidData:
    try:
        return codec.encode(params)
    except InvalidData as error:
        return error

"""Two peers of Autobahn's WebSocket library, for a tunnel between them: `server`, and `client URL [CA]`.

The client runs the cases of Autobahn's test suite by their groups: what is right comes back as it was sent, what is wrong ends the
connection with the code of RFC 6455 section 7.4.1. After each case both sides compare all bytes of frames that they sent and received.
"""

import asyncio
import hashlib
import json
import ssl
import struct
import sys
from urllib.parse import urlsplit

from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)

TIMEOUT = 20  # seconds; only a case that fails takes so long
TEXT, BINARY = False, True


class Counted:
    """Hashes the bytes of all frames, in both directions."""

    def start_counting(self):
        self.taken, self.given = hashlib.sha256(), hashlib.sha256()

    def _dataReceived(self, data):
        if self.state == self.STATE_OPEN:
            self.taken.update(data)
        super()._dataReceived(data)

    def sendData(self, data, sync=False, chopsize=None):
        if self.state == self.STATE_OPEN:
            self.given.update(data)
        super().sendData(data, sync, chopsize)


class Server(Counted, WebSocketServerProtocol):
    """Returns each message, and obeys some."""

    def onOpen(self):
        self.start_counting()

    def onMessage(self, payload, isBinary):
        command, _, rest = payload[:64].partition(b":")
        if isBinary or command not in (b"digests", b"fragments", b"ping", b"close"):
            self.sendMessage(payload, isBinary)
        elif command == b"digests":
            digests = [self.taken.hexdigest(), self.given.hexdigest()]
            self.sendMessage(json.dumps(digests).encode())
        elif command == b"fragments":
            size, many = map(int, rest.split(b","))
            self.sendMessage(bytes(range(256)) * many, True, fragmentSize=size)
        elif command == b"ping":
            self.sendPing(b"p" * int(rest))
        elif command == b"close":
            self.sendClose(int(rest), "as you asked")

    def onPong(self, payload):
        if payload != b"unasked":
            self.sendMessage(b"pong:%d" % len(payload))


class Client(Counted, WebSocketClientProtocol):
    """Puts into a queue what comes."""

    def __init__(self):
        super().__init__()
        self.events = asyncio.Queue()
        self.close_frame = None

    def onOpen(self):
        self.start_counting()
        self.events.put_nowait("open")

    def onMessage(self, payload, isBinary):
        self.events.put_nowait((isBinary, payload))

    def onPong(self, payload):
        self.events.put_nowait(("pong", payload))

    def onCloseFrame(self, code, reasonRaw):
        self.close_frame = (code, (reasonRaw or b"").decode())
        return super().onCloseFrame(code, reasonRaw)

    def onClose(self, wasClean, code, reason):
        self.events.put_nowait("end")

    async def next(self):
        return await asyncio.wait_for(self.events.get(), TIMEOUT)

    async def expect(self, wanted):
        event = await self.next()
        assert event == wanted, f"{short(event)} instead of {short(wanted)}"

    async def ended(self, *codes):
        """The server has ended the connection, and said one of these codes."""
        while await self.next() != "end":
            pass
        code = self.close_frame and self.close_frame[0]
        assert code in codes, f"ended with {self.close_frame} instead of {codes}"

    async def echo(self, payload, is_binary=BINARY, **how):
        self.sendMessage(payload, is_binary, **how)
        await self.expect((is_binary, payload))

    async def compare(self):
        """All bytes have come as they were sent, in both directions."""
        before = self.taken.hexdigest()
        self.sendMessage(b"digests:")
        sent = self.given.hexdigest()
        _, digests = await self.next()
        assert json.loads(digests) == [sent, before], "other bytes than were sent"


def short(event):
    return repr(event)[:100]


# The cases: a name, and what the client does. Those that end the connection say so by `ended`.
CASES = []


def case(name, ends=False):
    def add(function):
        CASES.append((name, function, ends))
        return function

    return add


def framing(length, is_binary):
    async def run(client):
        await client.echo(b"*" * length, is_binary)

    return run


for at, length in enumerate([0, 125, 126, 127, 128, 65535, 65536], 1):
    case(f"1.1.{at} text of {length}")(framing(length, TEXT))
    case(f"1.2.{at} binary of {length}")(framing(length, BINARY))


@case("1.2.8 binary in pieces of 997 bytes")
async def chopped(client):
    payload = b"\xfe" * 65536
    client.sendFrame(opcode=2, payload=payload, chopsize=997)
    await client.expect((BINARY, payload))


def ping(payload):
    async def run(client):
        client.sendPing(payload)
        await client.expect(("pong", payload))

    return run


for at, payload in enumerate([b"", b"Hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125], 1):
    case(f"2.{at} ping with {len(payload)} bytes")(ping(payload))


@case("2.5 ping with 126 bytes", ends=True)
async def long_ping(client):
    client.sendFrame(opcode=9, payload=b"\xfe" * 126)
    await client.ended(1002)


@case("2.6 ping in pieces of one byte")
async def chopped_ping(client):
    client.sendFrame(opcode=9, payload=b"\xfe" * 125, chopsize=1)
    await client.expect(("pong", b"\xfe" * 125))


@case("2.8 a pong that nobody asked for, then a ping")
async def unasked_pong(client):
    client.sendPong(b"unasked")
    await ping(b"asked")(client)


@case("2.10 ten pings")
async def ten_pings(client):
    for number in range(10):
        client.sendPing(b"%d" % number)
    for number in range(10):
        await client.expect(("pong", b"%d" % number))


@case("2.12 pings of the server, 0 to 125 bytes")
async def pings_of_the_server(client):
    for length in [1, 5, 125]:
        client.sendMessage(b"ping:%d" % length)
        await client.expect((TEXT, b"pong:%d" % length))


def wrong(**frame):
    async def run(client):
        client.sendFrame(**frame)
        await client.ended(1002)

    return run


for rsv in range(1, 8):
    case(f"3.{rsv} reserved bits {rsv}", ends=True)(wrong(opcode=1, payload=b"x", rsv=rsv))
for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]:
    case(f"4.{opcode} reserved opcode {opcode}", ends=True)(wrong(opcode=opcode, payload=b"x"))
case("5.1 a fragmented ping", ends=True)(wrong(opcode=9, payload=b"x", fin=False))
case("5.2 a fragmented pong", ends=True)(wrong(opcode=10, payload=b"x", fin=False))
case("5.9 a continuation of nothing", ends=True)(wrong(opcode=0, payload=b"x"))


@case("5.3 text in two fragments")
async def two_fragments(client):
    client.sendFrame(opcode=1, payload=b"fragment1", fin=False)
    client.sendFrame(opcode=0, payload=b"fragment2")
    await client.expect((TEXT, b"fragment1fragment2"))


@case("5.6 text in two fragments, a ping between them")
async def ping_between(client):
    client.sendFrame(opcode=1, payload=b"fragment1", fin=False)
    client.sendPing(b"between")
    client.sendFrame(opcode=0, payload=b"fragment2")
    await client.expect(("pong", b"between"))
    await client.expect((TEXT, b"fragment1fragment2"))


@case("5.17 a second text within a fragmented one", ends=True)
async def two_at_once(client):
    client.sendFrame(opcode=1, payload=b"fragment1", fin=False)
    client.sendFrame(opcode=1, payload=b"fragment2")
    await client.ended(1002)


@case("5.19 five fragments and two pings")
async def five_fragments(client):
    for number in range(5):
        opcode = 1 if number == 0 else 0
        client.sendFrame(opcode=opcode, payload=b"fragment%d" % number, fin=number == 4)
        if number in (1, 3):
            client.sendPing(b"%d" % number)
    await client.expect(("pong", b"1"))
    await client.expect(("pong", b"3"))
    await client.expect((TEXT, b"".join(b"fragment%d" % number for number in range(5))))


def text(payload):
    async def run(client):
        await client.echo(payload, TEXT)
        # And byte by byte.
        await client.echo(payload, TEXT, fragmentSize=1)

    return run


def not_text(payload):
    async def run(client):
        client.sendFrame(opcode=1, payload=payload)
        await client.ended(1007)

    return run


for at, payload in enumerate(["Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\U0001d11e\uffff\U0010ffff"], 1):
    case(f"6.2.{at} valid UTF-8")(text(payload.encode()))
for at, payload in enumerate([b"\xce\xba\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xff", b"a\x80"], 1):
    case(f"6.3.{at} invalid UTF-8", ends=True)(not_text(payload))


def close(code, reason):
    async def run(client):
        client.sendClose(code, reason)
        await client.ended(code)

    return run


for code in [1000, 3000, 3999, 4000, 4999]:
    case(f"7.7.{code} close with {code}", ends=True)(close(code, "ok"))
case("7.3.5 close with a reason of 123 bytes", ends=True)(close(1000, "*" * 123))


def raw_close(payload, *codes):
    async def run(client):
        client.sendFrame(opcode=8, payload=payload)
        await client.ended(*codes)

    return run


for code in [1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011]:
    case(f"7.7.{code} close with {code}", ends=True)(raw_close(struct.pack("!H", code), code))
for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535]:
    case(f"7.9.{code} close with the invalid {code}", ends=True)(raw_close(struct.pack("!H", code), 1002))
case("7.3.1 close without a code", ends=True)(raw_close(b"", None, 1000))
case("7.3.2 close with half a code", ends=True)(raw_close(b"a", 1002))
case("7.3.6 close with a reason of 124 bytes", ends=True)(raw_close(b"\x03\xe8" + b"*" * 124, 1002))
case("7.5.1 close with a reason that isn't UTF-8", ends=True)(raw_close(b"\x03\xe8\xce\xba\xed\xa0\x80", 1007, 1002))


@case("7.1.3 what follows a close is not read", ends=True)
async def ping_after_close(client):
    client.sendFrame(opcode=8, payload=b"\x03\xe8")
    client.sendFrame(opcode=9, payload=b"late")
    await client.ended(1000)


@case("7.14 the server closes", ends=True)
async def server_closes(client):
    client.sendMessage(b"close:3001")
    await client.ended(3001)
    assert client.close_frame == (3001, "as you asked"), client.close_frame


def long(length, is_binary, fragment):
    async def run(client):
        payload = (b"0123456789abcdef" * (length // 16 + 1))[:length]
        if is_binary:
            payload = hashlib.shake_128(payload[:64]).digest(length)
        await client.echo(payload, is_binary, fragmentSize=fragment)

    return run


MIB = 1 << 20
for at, length in enumerate([1 << 16, 1 << 18, MIB, 4 * MIB, 8 * MIB], 1):
    case(f"9.1.{at} text of {length}")(long(length, TEXT, None))
    case(f"9.2.{at} binary of {length}")(long(length, BINARY, None))
for at, fragment in enumerate([1 << 10, 1 << 12, 1 << 14, 1 << 16, MIB], 1):
    case(f"9.3.{at} text of 4 MiB in fragments of {fragment}")(long(4 * MIB, TEXT, fragment))
    case(f"9.4.{at} binary of 4 MiB in fragments of {fragment}")(long(4 * MIB, BINARY, fragment))


@case("9.7 500 messages, one after another")
async def one_by_one(client):
    for number in range(500):
        await client.echo(b"%d" % number * 20, BINARY)


@case("9.8 2000 messages at once")
async def at_once(client):
    for number in range(2000):
        client.sendMessage(b"%d" % number * 20, True)
    for number in range(2000):
        await client.expect((BINARY, b"%d" % number * 20))


@case("10.1 fragments of the server")
async def fragments_of_the_server(client):
    for size, many in [(1, 4), (1300, 256), (65536, 4096)]:
        client.sendMessage(b"fragments:%d,%d" % (size, many))
        await client.expect((BINARY, bytes(range(256)) * many))


# Which of the cases are run again with permessage-deflate, as groups 12 and 13 do with messages of their own.
COMPRESSED = ("1.", "5.3", "5.6", "6.2", "9.2.3", "9.4.4", "9.8", "10.1")


def accept_offer(offers):
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer)
    return None


def accept_response(response):
    if isinstance(response, PerMessageDeflateResponse):
        return PerMessageDeflateResponseAccept(response)
    return None


async def serve():
    factory = WebSocketServerFactory()
    factory.protocol = Server
    factory.setProtocolOptions(failByDrop=False, echoCloseCodeReason=True, perMessageCompressionAccept=accept_offer)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def connect(url, ca, compress):
    parts = urlsplit(url)
    factory = WebSocketClientFactory(url)
    factory.protocol = Client
    factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=TIMEOUT)
    if compress:
        factory.setProtocolOptions(
            perMessageCompressionOffers=[PerMessageDeflateOffer()],
            perMessageCompressionAccept=accept_response,
        )
    context = None
    if ca:
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(factory, "127.0.0.1", parts.port, ssl=context, server_hostname=ca and parts.hostname)
    await client.expect("open")
    assert bool(client.websocket_extensions_in_use) == compress, "compression is not as it was asked for"
    return client


async def run_one(url, ca, function, ends, compress):
    client = await connect(url, ca, compress)
    await function(client)
    if not ends:
        await client.compare()
        client.sendClose(1000)
        await client.ended(1000)


async def run_all(url, ca=None):
    cases = [(name, function, ends, False) for name, function, ends in CASES]
    for name, function, ends in CASES:
        if name.startswith(COMPRESSED):
            cases.append((f"{name}, compressed", function, ends, True))
    failed = 0
    for name, *how in cases:
        try:
            await run_one(url, ca, *how)
        except Exception as error:
            failed += 1
            print(f"{name}: {error or type(error).__name__}")
    print(f"{len(cases)} cases, {failed} failed")
    return failed


if sys.argv[1] == "server":
    asyncio.run(serve())
else:
    sys.exit(asyncio.run(run_all(*sys.argv[2:])) > 0)

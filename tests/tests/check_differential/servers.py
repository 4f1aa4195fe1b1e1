"""The little servers of check_differential: one line each on standard input, `KIND PORT REPLY,REPLY*N,…`.

Connection after connection gets the next reply of its list, the last one again and again, so that what a checker
sees does not depend on when it asks. `tcp` has no replies: it listens while there is no file down.PORT.
`PORT` may be `ADDRESS/PORT`. TLS servers take cert.pem and key.pem of the working directory and write the name
their clients ask for to `sni.PORT`; HTTP servers append request heads to `requests.PORT`.
"""
import os, select, socket, ssl, struct, sys, threading, time

ENDLESS = 60 # seconds until a reply without end ends


def plan(text):
    replies = []
    for word in text.split(","):
        name, _, count = word.partition("*")
        replies += [name] * int(count or 1)
    return replies


class Turns:
    def __init__(self, text):
        self.replies, self.at, self.lock = plan(text), 0, threading.Lock()

    def next(self):
        with self.lock:
            reply = self.replies[min(self.at, len(self.replies) - 1)]
            self.at += 1
            return reply


def bound(kind, where, reuse=True):
    address, _, port = where.rpartition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address or "127.0.0.1", int(port)))
    return s


def trickle(c, data, pause=1.0):
    for byte in data:
        c.sendall(bytes([byte]))
        time.sleep(pause)


def flood(c, data):
    until = time.monotonic() + ENDLESS
    while time.monotonic() < until:
        c.sendall(data)


BODY = b"hello keepalived\nsecond line\n"
HEAD = b"HTTP/1.0 %s\r\nServer: x\r\nContent-Length: %d\r\n\r\n"


def answer_http(c, reply):
    status = reply.encode()
    if reply == "hang":
        time.sleep(ENDLESS)
    elif reply == "close":
        return
    elif reply == "reset":
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif reply == "garbage":
        c.sendall(b"what is this?\r\n\r\n")
    elif reply == "slow":
        trickle(c, HEAD % (b"200 OK", 5) + b"hello")
    elif reply == "slowbody":
        c.sendall(HEAD % (b"200 OK", 60))
        trickle(c, b"x" * 60)
    elif reply == "endless":
        c.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        flood(c, b"x" * 4096)
    elif reply == "endlesshead":
        c.sendall(b"HTTP/1.0 200 OK\r\n")
        flood(c, b"X-Header: " + b"y" * 4000 + b"\r\n")
    elif reply == "oneline":
        flood(c, b"z" * 4096)
    elif reply == "nul":
        c.sendall(b"HTTP/1.0 200 OK\r\nX: a\0b\r\n\r\nhe\0llo")
    elif reply == "nolength":
        c.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)
    elif reply == "chunked":
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    elif reply == "short":
        c.sendall(HEAD % (b"200 OK", 500) + BODY)
    elif reply == "empty":
        c.sendall(HEAD % (b"200 OK", 0))
    elif reply == "split":
        for piece in (HEAD % (b"200 OK", len(BODY)), BODY[:20], BODY[20:]):
            c.sendall(piece)
            time.sleep(0.1)
    elif reply == "other":
        c.sendall(HEAD % (b"200 OK", 5) + b"other")
    elif reply == "continue":
        c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD % (b"200 OK", len(BODY)) + BODY)
    elif reply == "nostatus":
        c.sendall(b"HTTP/1.0\r\n\r\n")
    else:
        c.sendall(HEAD % (status + b" X", len(BODY)) + BODY)


def http_connection(c, reply, port):
    c.settimeout(ENDLESS)
    if reply == "mute":
        time.sleep(ENDLESS)
        return
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65536:
        piece = c.recv(4096)
        if not piece:
            return
        head += piece
    with open("requests.%s" % port, "ab") as f:
        f.write(head)
    answer_http(c, reply)


def smtp_connection(c, reply, port):
    c.settimeout(ENDLESS)
    if reply == "hang":
        time.sleep(ENDLESS)
    if reply == "close":
        return
    if reply == "oneline":
        flood(c, b"z" * 4096)
    if reply == "endless":
        flood(c, b"220-" + b"z" * 60 + b"\r\n")
    if reply == "slow":
        trickle(c, b"220 mail.example ready\r\n")
    elif reply == "multi":
        c.sendall(b"220-mail.example\r\n220-hello\r\n220 ready\r\n")
    elif reply == "badbanner":
        c.sendall(b"554 go away\r\n")
        time.sleep(1)
        return
    elif reply == "nul":
        c.sendall(b"220 ma\0il\r\n")
    elif reply == "garbage":
        c.sendall(b"what is this\r\n")
        time.sleep(1)
        return
    else:
        c.sendall(b"220 mail.example ready\r\n")
    f = c.makefile("rb")
    line = f.readline()
    with open("requests.%s" % port, "ab") as out:
        out.write(line)
    if reply == "lines":
        for answer in (b"250-mail\r\n250-PIPE", b"LINING\r\n250-SIZE 1\r\n", b"250 8BITMIME\r\n"):
            c.sendall(answer)
            time.sleep(0.1)
    else:
        answers = {"badhelo": b"500 no\r\n", "multi": b"250-mail\r\n250 ok\r\n", "mixed": b"250-mail\r\n550 no\r\n"}
        c.sendall(answers.get(reply, b"250 ok\r\n"))
    if reply == "closehelo":
        return
    f.readline()
    c.sendall(b"500 no\r\n" if reply == "badquit" else b"221 bye\r\n")


def guarded(function, c, *rest):
    try:
        function(c, *rest)
    except OSError:
        pass
    try:
        c.close()
    except OSError:
        pass


def listener(kind, where, turns, wrap=None):
    port = where.rpartition("/")[2]
    function = {"smtp": smtp_connection}.get(kind, http_connection)
    s = bound(socket.SOCK_STREAM, where)
    s.listen(50)

    def tls(c, reply):
        try:
            c = wrap(c)
        except (OSError, ssl.SSLError):
            c.close()
            return
        guarded(function, c, reply, port)

    while True:
        c, _ = s.accept()
        reply = turns.next()
        target, args = (tls, (c, reply)) if wrap else (guarded, (function, c, reply, port))
        threading.Thread(target=target, args=args, daemon=True).start()


def https(where, turns):
    port = where.rpartition("/")[2]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert.pem", "key.pem")

    def name(_, asked, __):
        with open("sni.%s" % port, "a") as f:
            f.write("%s\n" % asked)

    context.sni_callback = name
    listener("https", where, turns, lambda c: context.wrap_socket(c, server_side=True))


def tcp(where):
    """Open while there is no file down.PORT."""
    mark, s = "down.%s" % where.rpartition("/")[2], None
    while True:
        down = os.path.exists(mark)
        if down and s:
            s.close()
            s = None
        if not down and not s:
            s = bound(socket.SOCK_STREAM, where)
            s.listen(50)
        if s and select.select([s], [], [], 0.02)[0]:
            s.accept()[0].close()
        elif not s:
            time.sleep(0.02)


def udp(where, turns):
    s = bound(socket.SOCK_DGRAM, where)
    while True:
        data, peer = s.recvfrom(65536)
        reply = turns.next()
        if reply == "echo":
            s.sendto(data, peer)
        elif reply.startswith("hex:"):
            s.sendto(bytes.fromhex(reply[4:]), peer)
        elif reply == "big":
            s.sendto(b"x" * 60000, peer)
        elif reply == "empty":
            s.sendto(b"", peer)


def dns(where, turns):
    s = bound(socket.SOCK_DGRAM, where)
    while True:
        data, peer = s.recvfrom(65536)
        with open("requests.%s" % where.rpartition("/")[2], "ab") as f:
            f.write(data[2:] + b"\n")
        reply = turns.next()
        if reply == "silent":
            continue
        head = data[:2]
        if reply == "wrongid":
            head = bytes([data[0] ^ 255, data[1]])
        if reply == "garbage":
            s.sendto(b"xy", peer)
            continue
        if reply == "query":
            s.sendto(data, peer)
            continue
        code = {"ok": 0, "wrongid": 0, "noanswer": 0}.get(reply)
        code = int(reply) if code is None else code
        count = 1 if reply in ("ok", "wrongid") else 0
        answer = b"\xc0\x0c" + data[-4:-2] + b"\0\x01\0\0\0\x05\0\x04\x01\x02\x03\x04" if count else b""
        s.sendto(head + bytes([0x81, 0x80 | code]) + struct.pack("!HHHH", 1, count, 0, 0) + data[12:] + answer, peer)


KINDS = {
    "http": lambda where, text: listener("http", where, Turns(text)),
    "smtp": lambda where, text: listener("smtp", where, Turns(text)),
    "https": lambda where, text: https(where, Turns(text)),
    "udp": lambda where, text: udp(where, Turns(text)),
    "dns": lambda where, text: dns(where, Turns(text)),
    "tcp": lambda where, _: tcp(where),
}
for line in sys.stdin:
    if line.strip():
        kind, where, text = (line.split() + [""])[:3]
        threading.Thread(target=KINDS[kind], args=(where, text), daemon=True).start()
print("ready", flush=True)
while os.getppid() != 1:
    time.sleep(1)

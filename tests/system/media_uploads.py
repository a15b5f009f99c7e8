"""What tools send, large and hostile: the part `uploads` of tests/system/media. In its environment."""
import glob
import http.client
import json
import os
import re
import socket
import subprocess
import urllib.request

from media_calls import (DIR, JPEG, LATE, PHONE, Files, asked, call, customer, decided, env, files_server, graph_posts, hash64, raw, trust,
                         until, upload, verdict, wait)

PID = env["PID"]
MB = 1024 * 1024
SLACK = (512 if "libasan" in open(f"/proc/{PID}/maps").read() else 8) * MB # freed memory is kept there
HEAD = b"--grens\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n"
TYPE = b"--grens\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\n%s\r\n"
FILE = b"--grens\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\nContent-Type: %s\r\n\r\n%s\r\n"
END = b"--grens--\r\n"


def form(content=b"%PDF-1.7 x", mime=b"application/pdf", name=b"x.pdf", head=HEAD, end=END):
    return head + TYPE % mime + FILE % (name, mime, content) + end


def send(body, boundary="grens", **head):
    return call("POST", f"/v24.0/{PHONE}/media", body,
                head={"Content-Type": "multipart/form-data; boundary=" + boundary, **head})


def connect():
    plain = socket.create_connection(("localhost", int(env["PORT_TOOLS"])))
    return trust.wrap_socket(plain, server_hostname="localhost")


def begin(length=None):
    """A connection on which an upload's head was sent."""
    link = connect()
    framing = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    link.sendall(f"POST /v24.0/{PHONE}/media HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {env['TOKEN']}\r\n"
                 f"Content-Type: multipart/form-data; boundary=grens\r\n{framing}\r\n\r\n".encode())
    return link


def answer_of(link):
    link.settimeout(20)
    out = b""
    try:
        while b"\r\n\r\n" not in out:
            more = link.recv(65536)
            if not more:
                break
            out += more
    except OSError:
        pass
    return out


def memory():
    """The gateway's own memory now, and its largest, in bytes."""
    status = open(f"/proc/{PID}/status").read()
    return [int(re.search(rf"^{name}:\s+(\d+)", status, re.M).group(1)) * 1024 for name in ("RssAnon", "VmHWM")]


def spools():
    """Unnamed files of the gateway: what lies on the disk under no name."""
    out = []
    for fd in glob.glob(f"/proc/{PID}/fd/*"):
        try:
            if re.search(r"/store/media/.*\(deleted\)$", os.readlink(fd)):
                out.append(fd)
        except OSError:
            pass
    return out


def large():
    print("large files")
    before = memory()[0]
    content = b"%PDF-1.7 " + os.urandom(17 * MB)
    answer = upload(content, "application/pdf", b"groot.pdf")
    got = graph_posts("media")[-1]
    sent = raw(got["body"])
    verdict(answer.status == 200 and content in sent, "17 MB of a document arrive whole", (answer.status, answer.body[:200], len(sent)))
    verdict(b"groot.pdf" not in sent and sent.count(b"form-data") == 3, "in a form of our own, without its name", sent[:600])
    grown = memory()[0] - before
    verdict(grown < SLACK, "and are never in the gateway's memory", grown)
    verdict(not spools(), "nothing of them is kept", spools())

    link = begin(len(form(content)))
    marker = b"BAKEN-IN-DE-SPOEL-4711 " * 50000
    link.sendall(form(b"%PDF-1.7 " + marker + content)[:8 * MB])
    verdict(until(lambda: spools() and sum(os.stat(f).st_size for f in spools()) > 7 * MB), "while it comes it lies on the disk", spools())
    lies = b"".join(open(f, "rb").read() for f in spools())
    verdict(len(lies) > 7 * MB and b"BAKEN-IN-DE-SPOEL" not in lies, "under no name, and not in clear", len(lies))
    verdict(not [n for n in os.listdir(f"{DIR}/store/media") if n.startswith("spool")], "not in the folder either")
    link.close()
    verdict(until(lambda: not spools()), "cut off: it is gone", spools())
    posts = len(graph_posts("media"))

    half = form(content[:3 * MB])
    link = begin()
    for at in range(0, len(half), 100000):
        piece = half[at:at + 100000]
        link.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    link.sendall(b"0\r\n\r\n")
    verdict(b"200 OK" in answer_of(link)[:20] and len(graph_posts("media")) == posts + 1, "chunked")
    posts += 1

    for name, content, mime in [
        ("a picture of more than 5 MB", JPEG + os.urandom(5 * MB), "image/jpeg"),
        ("a sticker of more than 500 kB", b"RIFF\0\0\0\0WEBPVP8 " + os.urandom(500 * 1024), "image/webp"),
        ("sound of more than 16 MB", b"OggS" + bytes(16 * MB), "audio/ogg"),
        ("and called a document", b"OggS" + bytes(16 * MB), "application/pdf"),
    ]:
        answer = upload(content, mime)
        verdict(answer.code == 900013 and answer.status == 413, name, (answer.status, answer.body))
    link = begin(90 * MB)
    link.sendall(form(b"OggS" + bytes(17 * MB))[:17 * MB])
    verdict(b" 413 " in answer_of(link)[:20], "refused while the rest still comes")
    link = begin(101 * MB)
    verdict(b" 413 " in answer_of(link)[:20], "more than 100 MB: refused on the head")
    verdict(len(graph_posts("media")) == posts, "none of it reached Meta", len(graph_posts("media")) - posts)
    audio = b"OggS" + os.urandom(6 * MB)
    answer = upload(audio, "audio/ogg; codecs=opus")
    verdict(answer.status == 200 and audio in raw(graph_posts("media")[-1]["body"]), "6 MB of sound go", answer.body[:200])


def forms():
    print("forms that lie")
    posts = len(graph_posts("media"))
    pdf = b"%PDF-1.7 tekst"
    part = FILE % (b"a.pdf", b"application/pdf", pdf)
    kind = TYPE % b"application/pdf"
    many = b"".join(b"X-%d: y\r\n" % k for k in range(2000))
    for name, body, boundary in [
        ("another boundary", form(pdf), "anders"),
        ("no end", form(pdf, end=b""), "grens"),
        ("cut in its last boundary", form(pdf)[:-6], "grens"),
        ("two files", HEAD + kind + part + part + END, "grens"),
        ("two types", HEAD + kind + kind + part + END, "grens"),
        ("no file", HEAD + kind + END, "grens"),
        ("no product", kind + part + END, "grens"),
        ("another product", HEAD.replace(b"whatsapp", b"telegram") + kind + part + END, "grens"),
        ("an unknown part", HEAD + kind + part + HEAD.replace(b"messaging_product", b"access_token") + END, "grens"),
        ("a nested form", HEAD + kind + FILE % (b"a", b"multipart/mixed; boundary=x", b"--x\r\n\r\ny\r\n--x--") + END, "grens"),
        ("bytes before", b"x\r\n" + form(pdf), "grens"),
        ("bytes behind", form(pdf) + b"--grens\r\n", "grens"),
        ("a part's head of 20 kB", HEAD + kind + part.replace(b"Content-Type", many + b"Content-Type") + END, "grens"),
        ("a line end in its type", HEAD + TYPE % b"application/pdf\r\nX-Evil: 1" + part + END, "grens"),
        ("base64", HEAD + kind + part.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1) + END, "grens"),
        ("seventeen parts", (HEAD * 17) + kind + part + END, "grens"),
        ("nothing", b"", "grens"),
    ]:
        answer = send(body, boundary)
        verdict(400 <= answer.status < 500 and answer.code == 900005, name, (answer.status, answer.body))
    answer = send(form(pdf), **{"Content-Encoding": "gzip"})
    verdict(answer.status == 415, "Content-Encoding", (answer.status, answer.body))
    verdict(len(graph_posts("media")) == posts, "none of it reached Meta")
    answer = send(form(pdf, name=b"../../etc/passwd"))
    verdict(answer.status == 200 and b"passwd" not in raw(graph_posts("media")[-1]["body"]), "a name that climbs is not kept", answer.body)
    tricky = b"%PDF-1.7 \r\n--grens\r\n--gren\r\n--" + b"\r\n-" * 70000
    body = HEAD + TYPE % b"application/pdf" + FILE % (b"x", b"application/pdf", tricky.replace(b"\r\n--grens\r\n", b"\r\n--grenS\r\n")) + END
    answer = send(body)
    verdict(answer.status == 200 and tricky.replace(b"\r\n--grens\r\n", b"\r\n--grenS\r\n") in raw(graph_posts("media")[-1]["body"]),
            "what only looks like a boundary is content", answer.body)
    answer = send(FILE % (b"x", b"application/pdf", pdf) + HEAD + TYPE % b"application/pdf" + END)
    verdict(answer.status == 200, "parts in another order", answer.body)
    links = [begin(50 * MB) for _ in range(80)]
    [l.sendall(HEAD) for l in links]
    verdict(until(lambda: upload(pdf, "application/pdf").status == 503), "more at once than there are places: come back")
    [l.close() for l in links]
    verdict(until(lambda: upload(pdf, "application/pdf").status == 200), "which are free when those have gone")


def links():
    print("large attachments by link")
    big = b"%PDF-1.7 " + os.urandom(17 * MB)
    Files.more = {"/big.pdf": ("application/pdf", big), "/big.jpg": ("image/jpeg", JPEG + os.urandom(6 * MB)),
                  "/endless.pdf": ("application/pdf", None)}
    files_server()
    before = memory()[0]
    message = {"messaging_product": "whatsapp", "to": "31633333333", "type": "document"}
    base = f"https://localhost:{env['PORT_FILES']}"
    answer = call("POST", f"/v24.0/{PHONE}/messages", {**message, "document": {"link": base + "/big.pdf", "filename": "x.pdf"}})
    verdict(answer.status == 200 and big in raw(graph_posts("media")[-1]["body"]), "17 MB by link", (answer.status, answer.body))
    verdict(memory()[0] - before < SLACK, "are never in memory", memory()[0] - before)
    posts = len(graph_posts("media"))
    answer = call("POST", f"/v24.0/{PHONE}/messages", {**message, "document": {"link": base + "/big.jpg"}})
    verdict(answer.code == 900058, "a picture of 6 MB", answer.body)
    answer = call("POST", f"/v24.0/{PHONE}/messages", {**message, "document": {"link": base + "/endless.pdf"}})
    verdict(answer.code in (900057, 900058), "one without an end", answer.body)
    verdict(len(graph_posts("media")) == posts and until(lambda: not spools()), "nothing of it is kept or sent", spools())


def restrict(*options):
    return subprocess.run([env["BIN"] + "/sluis", "subject", "restrict", "-c", "sluis.yaml", "31655500001", *options], cwd=DIR,
                          capture_output=True).returncode == 0


def rest_of(link):
    """How many bytes come until the end, however it ends."""
    got = 0
    try:
        while more := link.recv(1 << 20):
            got += len(more)
    except OSError:
        pass
    return got


def downloads():
    print("large files of customers")
    before = memory()[0]
    sound = b"OggS" + os.urandom(20 * MB + 12345)
    customer("7801", sound, kind="audio", mime="audio/ogg", phone="31655500001")
    audio = wait("7801").get("audio", {})
    verdict(audio.get("sha256") == hash64(sound) or LATE in audio.get("caption", ""), "20 MB are delivered", audio)
    verdict(decided("7801") is None, "when they are fetched")
    answer = call("GET", "/sluis/media/7801")
    verdict(answer.status == 200 and answer.body == sound and answer.head["Content-Length"] == str(len(sound)), "served whole",
            (answer.status, len(answer.body)))
    verdict(memory()[0] - before < SLACK, "and never in memory", memory()[0] - before)
    n = len(sound)
    for name, head, status, body, content_range in [
        ("a range over pieces", {"Range": "bytes=262000-900000"}, 206, sound[262000:900001], f"bytes 262000-900000/{n}"),
        ("one byte", {"Range": f"bytes={n - 1}-"}, 206, sound[-1:], f"bytes {n - 1}-{n - 1}/{n}"),
        ("the last million", {"Range": "bytes=-1000000"}, 206, sound[-1000000:], f"bytes {n - 1000000}-{n - 1}/{n}"),
        ("all of it as a range", {"Range": f"bytes=0-{n - 1}"}, 206, sound, f"bytes 0-{n - 1}/{n}"),
        ("beyond the end", {"Range": f"bytes={n}-"}, 416, b"", f"bytes */{n}"),
        ("more than there is", {"Range": f"bytes=5-{n * 9}"}, 206, sound[5:], f"bytes 5-{n - 1}/{n}"),
        ("two ranges: the whole", {"Range": "bytes=0-1,4-5"}, 200, sound, None),
        ("none of its form", {"Range": "bytes=9-2"}, 200, sound, None),
    ]:
        answer = call("GET", "/sluis/media/7801", head=head)
        verdict(answer.status == status and answer.body == body and answer.head["Content-Range"] == content_range, name,
                (answer.status, len(answer.body), answer.head["Content-Range"]))
    answer = call("HEAD", "/sluis/media/7801")
    verdict(answer.status == 200 and answer.head["Content-Length"] == str(n), "HEAD", answer.head)
    link = connect()
    link.sendall(f"GET /sluis/media/7801 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {env['TOKEN']}\r\n\r\n".encode())
    verdict(link.recv(15) == b"HTTP/1.1 200 OK", "begun")
    link.close()
    verdict(call("GET", "/sluis/media/7801", head={"Range": "bytes=0-3"}).body == b"OggS", "left halfway: the next is served")
    link = connect()
    link.sendall(f"GET /sluis/media/7801 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {env['TOKEN']}\r\n\r\n".encode())
    verdict(link.recv(15) == b"HTTP/1.1 200 OK", "begun again")
    verdict(restrict(), "the person is restricted meanwhile")
    got = rest_of(link)
    verdict(got < n, "cut off: what had not gone stays here", got)
    verdict(restrict("--lift"), "lifted")
    name = max(glob.glob(f"{DIR}/store/media/*"), key=os.path.getsize)
    with open(name, "r+b") as f:
        f.seek(9 * MB)
        byte = f.read(1)
        f.seek(9 * MB)
        f.write(bytes([byte[0] ^ 1]))
    link = connect()
    link.sendall(f"GET /sluis/media/7801 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {env['TOKEN']}\r\n\r\n".encode())
    got = rest_of(link)
    verdict(MB < got < 9.1 * MB, "a file that was changed: cut off before that place", got)
    answer = call("GET", "/sluis/media/7801", head={"Range": f"bytes={9 * MB - 70000}-{9 * MB + 10}"})
    verdict(answer.status == 503 and answer.code, "and not a byte of that part", (answer.status, answer.body[:200]))
    with open(name, "r+b") as f:
        f.seek(9 * MB)
        f.write(byte)
    verdict(call("GET", "/sluis/media/7801").body == sound, "as it was, it is served")
    movie = b"\0\0\0\x18ftypmp42" + bytes(3 * MB) + b"hdlr\0\0\0\0\0\0\0\0vide" + bytes(100)
    customer("7802", movie, kind="audio", mime="audio/mp4", phone="31655500002")
    verdict(wait("7802").get("text", {}).get("body") == "[audio: niet doorgegeven]", "a film that is called sound, by its end",
            wait("7802"))
    customer("7803", JPEG + b"card" + bytes(17 * MB), kind="document", mime="application/pdf", phone="31655500003")
    verdict("niet doorgegeven" in str(wait("7803")), "17 MB of a picture", wait("7803"))
    customer("7804", sound, announce=b"else", kind="audio", mime="audio/ogg", phone="31655500004")
    files = len(os.listdir(f"{DIR}/store/media"))
    verdict(until(lambda: call("GET", "/v24.0/7804").code == 900052) and len(os.listdir(f"{DIR}/store/media")) <= files,
            "other bytes than were announced: withheld, and no file of them", os.listdir(f"{DIR}/store/media"))


def faults(**how):
    urllib.request.urlopen(urllib.request.Request(env["URL_CONTROL"] + "/graph/faults", json.dumps(how).encode()))


BYTES = "/whatsapp_business/attachments"


def get(path):
    """A connection on which a file was asked for."""
    link = connect()
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {env['TOKEN']}\r\n\r\n".encode())
    return link


def own():
    print("a tool's own uploads, fetched back")
    content = b"%PDF-1.7 " + os.urandom(17 * MB)
    answer = upload(content, "application/pdf")
    path = "/sluis/media/" + (answer.json or {}).get("id", "0")
    before = memory()[0]
    answer = call("GET", path)
    verdict(answer.status == 200 and answer.body == content and answer.head["Content-Length"] == str(len(content)), "17 MB come back whole",
            (answer.status, len(answer.body)))
    verdict(answer.head["X-Content-Type-Options"] == "nosniff" and answer.head["Content-Disposition"] == "attachment", "for no browser", answer.head)
    verdict(memory()[0] - before < SLACK, "and are never in memory", memory()[0] - before)
    answer = call("HEAD", path)
    verdict(answer.status == 200 and not answer.body, "HEAD", (answer.status, answer.head))
    links = [get(path) for _ in range(20)]
    verdict(all(l.recv(15) == b"HTTP/1.1 200 OK" for l in links), "twenty tools that do not read on")
    verdict(memory()[0] - before < 20 * 3 * MB + SLACK, "hold what a few pieces take", memory()[0] - before)
    verdict(call("GET", path).body == content, "and another is served beside them")
    verdict(15 + rest_of(links[0]) > len(content), "one reads on, and gets all")
    heads = []
    while b"HTTP/1.1 503" not in heads and len(links) < 24 * 64: # places of a thread, threads at most
        more = [get(path) for _ in range(64)] # asked for together: none is cut off for slowness before the last has come
        heads += [l.recv(12) for l in more]
        links += more
    verdict(set(heads) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}, "so many that they would take all connections to Meta: come back",
            (len(links), set(heads)))
    verdict(upload(PDF, "application/pdf").status == 200, "and what others ask of Meta goes on")
    for l in links[1:]:
        l.close()
    again = lambda: all(call("GET", "/sluis/media/" + SMALL).status == 200 for _ in range(20))
    verdict(until(again), "places that are free when those have gone")
    for kind in ("flip", "cut"):
        faults(kind=kind, path=BYTES, count=1)
        link = get(path)
        got = rest_of(link)
        verdict(got < len(content), f"Meta's side: {kind}: cut off, never to be taken for the whole", got)
    for kind, status in (("extra", 200), ("chunks", 200)):
        faults(kind=kind, path=BYTES, count=1)
        small = call("GET", "/sluis/media/" + SMALL)
        verdict(small.status == status and small.body == PDF, f"Meta's side: {kind}: no more than was announced", (small.status, small.body[:80]))
    faults(kind="flip", path=BYTES, count=1)
    try:
        answer = call("GET", "/sluis/media/" + SMALL)
        verdict(False, "a small one with another byte: no answer that looks whole", (answer.status, answer.body))
    except http.client.IncompleteRead as e:
        verdict(len(e.partial) < len(PDF), "a small one with another byte: no answer that looks whole", e.partial)
    for code in (404, 500):
        faults(kind="status", status=code, path=BYTES, count=1)
        answer = call("GET", "/sluis/media/" + SMALL)
        verdict(answer.status in (404, 502, 503, 504) and answer.code, f"Meta's side: {code}: refused with a reason", (answer.status, answer.body))
    faults()
    verdict(call("GET", "/sluis/media/" + SMALL).body == PDF, "and as ever afterwards")


def lies():
    print("Meta's side, broken off or lying")
    sound = b"OggS" + os.urandom(300000)
    for k, how in enumerate([dict(kind="cut"), dict(kind="flip"), dict(kind="extra"), dict(kind="chunks"), dict(kind="reset"),
                             dict(kind="status", status=404)]):
        ident = f"781{k}"
        faults(path=BYTES, count=1, **how)
        customer(ident, sound, kind="audio", mime="audio/ogg", phone=f"3165550010{k}")
        verdict(until(lambda: call("GET", f"/sluis/media/{ident}").body == sound, 30),
                f"{how}: asked again, and served as announced", call("GET", f"/sluis/media/{ident}").body[:80])
        if how["kind"] in ("cut", "flip", "status"): # a connection that breaks before a byte came is tried again as it is
            verdict(len([t for t in asked(ident) if BYTES not in t]) >= 2, "with a new address of Meta's", asked(ident))
    faults()


if __name__ == "__main__":
    PDF = b"%PDF-1.7 klein bestand"
    SMALL = (upload(PDF, "application/pdf").json or {}).get("id", "0")
    for part in (large, forms, links, downloads, own, lies):
        part()

"""The calls of tests/system/contact, a part at a time: contact_calls.py PART."""
import hashlib
import hmac
import http.client
import json
import os
import ssl
import subprocess
import sys
import time

env = os.environ
DIR, CA, PHONE, WABA = env["STACK_DIR"], env["CA"], env["PHONE_ID"], env["WABA_ID"]
TOKEN = env["TOKEN"]
SECRET = open(f"{DIR}/credentials/app-secret").read().strip().encode()
trust = ssl.create_default_context(cafile=CA)
serial = int(time.time() * 1000) % 10**9


def verdict(good, text, detail=""):
    print(f"  {'ok   ' if good else 'FAIL '} {text}" + (f"   {detail}" if not good else ""), flush=True)


def https(port, method, path, body, head):
    link = http.client.HTTPSConnection("localhost", int(env[port]), timeout=60, context=trust)
    pieces = []  # head and body in one write: who refuses the head may have closed before a body that comes later
    link.connect()
    link.send = pieces.append
    link.request(method, path, body, head)
    link.sock.sendall(b"".join(pieces))
    answer = link.getresponse()
    text = answer.read()
    link.close()
    return answer.status, text


class Answer:
    def __init__(self, status, text):
        self.status, self.text = status, text
        self.json = json.loads(text) if text[:1] in (b"{", b"[") else None
        self.error = (self.json or {}).get("error", {}) if isinstance(self.json, dict) else {}
        self.code = self.error.get("code")


def call(method, path, body=None, token=TOKEN):
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return Answer(*https("PORT_TOOLS", method, path, json.dumps(body) if body is not None else None, head))


def webhook(value, field="messages"):
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [
        {"field": field, "value": {"messaging_product": "whatsapp", "metadata": {
            "display_phone_number": "31201234567", "phone_number_id": PHONE}, **value}}]}]})
    sign = "sha256=" + hmac.new(SECRET, body.encode(), hashlib.sha256).hexdigest()
    status, _ = https("PORT_META", "POST", "/webhook/gemeente", body.encode(),
                      {"Content-Type": "application/json", "X-Hub-Signature-256": sign})
    assert status == 200, status


def writes(who, text, hours_ago=0, **more):
    """A message of a customer."""
    global serial
    serial += 1
    webhook({"contacts": [{"wa_id": who, "profile": {"name": "Klant"}}], "messages": [
        {"from": who, "id": f"wamid.{serial}", "timestamp": str(int(time.time() - hours_ago * 3600)),
         "type": "text", "text": {"body": text}, **more}]})


def to(who, **message):
    return call("POST", f"/v24.0/{PHONE}/messages", {"messaging_product": "whatsapp", "to": who, **message})


def text(who, body="Goedemiddag."):
    return to(who, type="text", text={"body": body})


def template(who, name):
    return to(who, type="template", template={"name": name, "language": {"code": "nl"}})


def sent():
    """What reached WhatsApp: the bodies of its messages."""
    try:
        lines = [json.loads(line) for line in open(f"{DIR}/graph.jsonl")]
    except OSError:
        return []
    return [json.loads(m["body"]) for m in lines if m["target"].endswith("/messages")]


def to_user(user):
    """A template to a user id."""
    return call("POST", f"/v24.0/{PHONE}/messages", {"messaging_product": "whatsapp", "recipient": user, "type": "template",
                                                     "template": {"name": "code", "language": {"code": "nl"}}})


def says(who, text, hours_ago):
    """A message by a number, a user id, or both."""
    global serial
    serial += 1
    webhook({"messages": [{**who, "id": f"wamid.{serial}", "timestamp": str(int(time.time() - hours_ago * 3600)),
                           "type": "text", "text": {"body": text}}]})


def refused_recipient(what, who, **more):
    a = to(who, type="template", template={"name": "code", "language": {"code": "nl"}}, **more)
    verdict(a.code == 900017 and a.status == 400 and ("another person" in a.error["message"]) == bool(more), what, a.text)


def notices(who, count, settle=0.6):
    """The texts that the contact was sent: waits for `count`, then whether more come."""
    end = time.time() + 60
    while True:
        got = [m["text"]["body"] for m in sent() if m.get("to") == who and m["type"] == "text"]
        if len(got) >= count or time.time() > end:
            break
        time.sleep(0.05)
    time.sleep(settle)
    return [m["text"]["body"] for m in sent() if m.get("to") == who and m["type"] == "text"]


def sluis(*args, data=None):
    return subprocess.run([f"{env['BIN']}/sluis", *args[:2], "-c", "sluis.yaml", *args[2:]], cwd=DIR, input=data,
                          capture_output=True, text=True, timeout=60)


def leaves(action):
    out = sluis("audit", "list", "--json", "--action", action)
    found = []
    for line in out.stdout.splitlines():
        try:
            page = json.loads(line)
        except ValueError:
            continue
        for leaf in page.get("leaves", [page]):
            leaf = leaf.get("leaf", leaf)
            if leaf.get("action") == action:
                found.append(leaf)
    return found


def refused(what, answer, code, word):
    verdict(answer.code == code and answer.status >= 400 and answer.error["message"].startswith(f"(#{code}) ")
            and answer.error["error_data"]["details"], what, answer.text)
    verdict(any(x.get("code") == code and x.get("outcome") == word for x in leaves("refuse")), f"  on record: {word}")


def goes(what, answer):
    verdict(answer.status == 200 and answer.json["messages"], what, answer.text)


def outbound():
    before = len(sent())
    print("the window")
    goes("a contact nobody knows, a new gateway: Meta decides", text("31687650001"))
    writes("31687650002", "Hallo", hours_ago=25)
    refused("last wrote 25 hours ago", text("31687650002"), 900030, "window")
    refused("called a group, with the number of a person",
            to("31687650002", recipient_type="group", type="text", text={"body": "Goedemiddag."}), 900030, "window")
    refused("a picture too", to("31687650002", type="image", image={"id": "1"}), 900007, "media")
    writes("31687650002", "Hallo weer")
    goes("wrote again", text("31687650002"))
    writes("31687650003", "Hallo", hours_ago=23)
    goes("23 hours ago", text("31687650003"))
    goes("a template, the window closed", template("31687650001", "code"))

    print("grounds")
    refused("utility without a ground", template("31687650001", "afspraak"), 900032, "basis")
    refused("marketing without consent, in an open window", template("31687650002", "aanbieding"), 900032, "basis")
    goes("utility in an open window", template("31687650002", "afspraak"))
    refused("a template of no category: the strictest", template("31687650001", "kaal"), 900032, "basis")
    refused("another template", template("31687650001", "anders"), 900021, "template")

    print("opting out")
    goes("authentication without a ground", template("31687650004", "code"))
    writes("31687650004", "Stop.")
    goes("an answer to STOP may go", text("31687650004"))
    refused("marketing after STOP", template("31687650004", "aanbieding"), 900031, "opted_out")
    writes("31687650005", "hallo", hours_ago=30)
    writes("31687650005", "Stop", hours_ago=29)
    refused("anything begun by us after STOP", template("31687650005", "code"), 900031, "opted_out")
    writes("31687650006", "hallo", hours_ago=30)
    webhook({"user_preferences": [{"wa_id": "31687650006", "category": "marketing_messages", "value": "stop",
                                   "timestamp": str(int(time.time()))}]}, "user_preferences")
    refused("Meta's user_preferences", template("31687650006", "code"), 900031, "opted_out")
    webhook({"user_preferences": [{"wa_id": "31687650006", "category": "marketing_messages", "value": "resume",
                                   "timestamp": str(int(time.time()) + 1)}]}, "user_preferences")
    goes("and resumed", template("31687650006", "code"))
    writes("31687650007", "hallo", hours_ago=30)
    writes("31687650007", "Stop met die onzin", hours_ago=29)
    goes("STOP in a sentence is none", template("31687650007", "code"))
    for spelled in ["+31 6 8765 0005", "06-87650005", "0031687650005", "+31 (6) 8765.0005"]:
        refused(f"STOP, spelled {spelled}", template(spelled, "code"), 900031, "opted_out")
    refused("STOP, and called a group", to("+31-687650005", recipient_type="group", type="template", template={
        "name": "code", "language": {"code": "nl"}}), 900031, "opted_out")
    refused_recipient("a number with more in it", "31687650005;x")

    print("a number and a user id")
    says({"from_user_id": "NL.87650008"}, "hallo", hours_ago=30)
    refused_recipient("STOP, with another person's user id", "31687650005", recipient="NL.87650008")
    refused_recipient("a number nobody wrote from, with a person's user id", "31687650018", recipient="NL.87650008")
    both = {"type": "template", "template": {"name": "code", "language": {"code": "nl"}}}
    refused("STOP, with a user id that nobody has", to("31687650005", recipient="NL.87650009", **both), 900031, "opted_out")
    says({"from_user_id": "NL.87650009"}, "hallo", hours_ago=30)
    goes("whoever has it is not the number's person", to_user("NL.87650009"))
    writes("31687650008", "hallo", hours_ago=30)
    writes("31687650008", "Stop", hours_ago=29)
    goes("seen apart, they are two", to_user("NL.87650008"))
    says({"from": "31687650008", "from_user_id": "NL.87650008"}, "weer ik", hours_ago=28)
    refused("seen together: STOP by the number holds for the user id", to_user("NL.87650008"), 900031, "opted_out")
    refused("and for the number", template("31687650008", "code"), 900031, "opted_out")
    says({"from_user_id": "NL.87650010"}, "Stop", hours_ago=30)
    writes("31687650010", "hallo", hours_ago=29)
    goes("and by the user id: apart", template("31687650010", "code"))
    says({"from": "31687650010", "from_user_id": "NL.87650010"}, "weer ik", hours_ago=28)
    refused("STOP by the user id holds for the number", template("31687650010", "code"), 900031, "opted_out")
    consent = leaves("consent")
    verdict([x["outcome"] for x in consent].count("stopped") == 5
            and [x["outcome"] for x in consent].count("resumed") == 1, "each on record", consent)
    verdict(len(sent()) - before == 12, "what was refused did not reach WhatsApp", len(sent()) - before)


def roles():
    print("departments")
    a = call("GET", f"/v24.0/{WABA}/phone_numbers")
    verdict([n["id"] for n in a.json["data"]] == [PHONE], "of one account a tool sees its own numbers only", a.text)
    print("roles")
    if not env["TOKEN_BELLER"]:
        return
    who = "31687650040"
    writes(who, "Hallo")
    mail = {"type": "text", "text": {"body": "Mail naar piet@elders.example"}}
    goes("a mail address: masked for one role", to(who, **mail))
    message = {"messaging_product": "whatsapp", "to": who, **mail}
    goes("and not for another", call("POST", f"/v24.0/{PHONE}/messages", message, env["TOKEN_BELLER"]))
    got = [m["text"]["body"] for m in sent() if m.get("to") == who]
    verdict("piet@" not in got[0] and "piet@elders.example" in got[1], "as WhatsApp got them", got)
    place = {"messaging_product": "whatsapp", "to": who, "type": "location",
             "location": {"latitude": 52.1, "longitude": 5.1}}
    refused("a kind of attachment that the role may not send",
            call("POST", f"/v24.0/{PHONE}/messages", place, env["TOKEN_BELLER"]), 900034, "attachment")
    verdict(call("POST", f"/v24.0/{PHONE}/messages", place).status == 200, "and another role may")


def consent_of_tools():
    print("the registry: tools")
    who, crm = "31687650050", env["TOKEN_CRM"]
    entry = {"contact": "06 8765 0050", "basis": "task", "purpose": "afspraken", "source": "zaak 12", "time": "2026-01-02"}
    verdict(call("POST", "/sluis/v1/consent", entry).code == 900040, "a tool without the right")
    refused("no ground on record", template(who, "afspraak"), 900032, "basis")
    a = call("POST", "/sluis/v1/consent", entry, crm)
    verdict(a.status == 200, "recorded", a.text)
    goes("now it goes", template(who, "afspraak"))
    refused("for that purpose only", template(who, "aanbieding"), 900032, "basis")
    a = call("POST", "/sluis/v1/consent/list", {"contact": "+31687650050"}, crm)
    verdict(a.status == 200 and a.json["consents"][0]["source"] == "zaak 12", "listed", a.text)
    for what, bad in [("another channel", {**entry, "channel": "zorg"}), ("no time", {k: entry[k] for k in entry if k != "time"}),
                      ("a time to come", {**entry, "time": "2090-01-01"}), ("no basis", {**entry, "basis": "zomaar"}),
                      ("no number", {**entry, "contact": "piet"}), ("another member", {**entry, "x": 1}),
                      ("no source", {k: entry[k] for k in entry if k != "source"}), ("too long", {**entry, "purpose": "x" * 97})]:
        a = call("POST", "/sluis/v1/consent", bad, crm)
        verdict(a.code == (900035 if a.status == 400 else a.code) and a.status in (400, 403) and a.code, "refused: " + what, a.text)
    writes(who, "stop")
    a = call("POST", "/sluis/v1/consent", {**entry, "basis": "consent", "purpose": "aanbiedingen"}, crm)
    verdict(a.code == 900037, "an older consent does not undo STOP", a.text)


def consent():
    if env["TOKEN_CRM"]:
        consent_of_tools()
    print("the registry: commands")
    who = "31687650051"
    r = sluis("consent", "add", who, "--basis", "consent", "--purpose", "aanbiedingen", "--source", "balie", "--reference", "KL-51")
    verdict(r.returncode == 0 and "recorded" in r.stdout, "add", r.stderr)
    goes("marketing goes", template(who, "aanbieding"))
    writes("31687650052", "mijn mail is klant52@elders.example")
    writes("31687650053", "goedemorgen")
    sluis("consent", "add", "31687650053", "--basis", "consent", "--source", "balie")
    writes("31687650053", "mijn mail is klant53@elders.example")
    end = time.time() + 60
    while True:
        inbox = open(f"{DIR}/inbox.jsonl").read()
        if "klant53@elders.example" in inbox and "[EMAIL]" in inbox or time.time() > end:
            break
        time.sleep(0.05)
    verdict("klant53@elders.example" in inbox and "klant52@" not in inbox and "[EMAIL]" in inbox,
            "a profile's condition on consent: kept for who gave it, masked for who did not")
    export = sluis("subject", "export", who)
    verdict(export.returncode == 0 and json.loads(export.stdout)["contacts"][0]["kept"]["reference"] == "KL-51",
            "what is kept of a contact is in their export", export.stdout[-400:] + export.stderr)
    r = sluis("consent", "list", "--reference", "KL-51")
    verdict(r.returncode == 0 and json.loads(r.stdout)["consents"][0]["purpose"] == "aanbiedingen", "list by reference", r.stdout)
    verdict(sluis("consent", "withdraw", who, "--basis", "consent", "--purpose", "aanbiedingen").returncode == 0, "withdraw")
    refused("and it goes no more", template(who, "aanbieding"), 900032, "basis")
    r = sluis("consent", "add", who, "--basis", "consent", "--purpose", "aanbiedingen", "--source", "x", "--time", "2026-01-01")
    verdict(r.returncode == 1 and "unchanged" in r.stdout, "an older one changes nothing", r.stdout + r.stderr)
    verdict(sluis("consent", "withdraw", who, "--all").returncode == 0, "withdraw all")
    refused("nothing begun by us", template(who, "code"), 900031, "opted_out")
    verdict(sluis("consent", "list", "31699999999").returncode == 1, "nobody")
    verdict(sluis("consent", "add", who, "--basis", "zomaar", "--source", "x").returncode == 1, "no such basis")
    verdict(sluis("consent", "add").returncode == 2, "usage")

    print("the registry: import")
    lines = "contact;basis;purpose;source;time;reference\n" + "".join(
        f"+3168766{i:04};contract;afspraken;\"lijst \"\"A\"\"\";2026-02-01;KL-{i}\n" for i in range(250))
    open(f"{DIR}/lijst.csv", "w").write(lines)
    before = len(leaves("consent"))
    r = sluis("consent", "import", "lijst.csv", "--dry-run", "--json")
    verdict(r.returncode == 0 and json.loads(r.stdout)["recorded"] == 250 and len(leaves("consent")) == before,
            "dry: every line looked at, nothing recorded", r.stdout + r.stderr)
    r = sluis("consent", "import", "lijst.csv", "--json")
    verdict(r.returncode == 0 and json.loads(r.stdout)["recorded"] == 250, "imported", r.stdout + r.stderr)
    goes("of the last line", template("31687660249", "afspraak"))
    r = sluis("consent", "list", "--reference", "KL-7")
    verdict(r.returncode == 0 and json.loads(r.stdout)["consents"][0]["source"] == 'lijst "A"', "quotes are read", r.stdout)
    open(f"{DIR}/fout.jsonl", "w").write('{"contact":"31687670001","basis":"task","source":"x","time":"2026-01-01"}\n'
                                        '{"contact":"31687670002","basis":"taak","source":"x","time":"2026-01-01"}\n\n'
                                        '{"contact":"31687670003","basis":"task","source":"x"}\n{"contact":\n')
    r = sluis("consent", "import", "fout.jsonl")
    verdict(r.returncode == 1 and all(f"fout.jsonl:{n}: " in r.stderr for n in (2, 4, 5)) and "fout.jsonl:1:" not in r.stderr,
            "wrong lines are told by number", r.stderr)
    verdict(sluis("consent", "list", "31687670001").returncode == 1, "and nothing of that file is recorded")
    done = [{k: x[k] for k in x if k != "salt"} for x in leaves("consent")]
    verdict({"added", "withdrawn", "stopped", "reference_set", "listed"} <= {x["outcome"] for x in done}
            and not any("aanbiedingen" in json.dumps(x) or "KL-" in json.dumps(x) for x in done),
            "every change on record, without what was written", [x["outcome"] for x in done][:20])


def pace():
    writes("31687650010", "Hallo")
    for i in range(3):
        goes(f"message {i + 1} of 3 a minute", text("31687650010"))
    refused("the fourth", text("31687650010"), 900033, "pace")
    goes("another contact", text("31687650001"))




def notices_part():
    print("notices")
    who = "31687650020"
    writes(who, "Goedemorgen, mijn bsn is 111222333")
    got = notices(who, 2)
    verdict(sorted(x.split(".")[0] for x in got) == ["Stuur uw burgerservicenummer niet", "Welkom"],
            "a first message with a BSN: both notices", got)
    verdict(any(x.endswith("\nhttps://gemeente.example/veilig") for x in got), "with the safe channel", got)
    writes(who, "mijn bsn is 111222333")
    writes(who, "dus bsn 111222333")
    verdict(len(notices(who, 0)) == 2, "and not again in their period", notices(who, 0, 0))
    who = "447911123456"
    writes(who, "Hello, can you help me? My bsn is 111222333")
    got = notices(who, 2)
    verdict(sorted(x.split(".")[0] for x in got) == ["Do not send your BSN", "Welcome"], "in English", got)
    who = "31687650021"
    writes(who, "STOP")
    verdict(notices(who, 1) == ["U krijgt van ons geen berichten meer."], "opting out is confirmed, by that alone",
            notices(who, 0, 0))
    writes(who, "mijn bsn is 111222333")
    writes(who, "stop")
    writes(who, "afmelden")
    verdict(len(notices(who, 0)) == 1, "and who opted out is told nothing more, nor of stopping again", notices(who, 0, 0))
    who = "31687650025"  # both are judged before the first is committed
    webhook({"contacts": [{"wa_id": who, "profile": {"name": "Klant"}}], "messages": [
        {"from": who, "id": f"wamid.stop{i}", "timestamp": str(int(time.time())), "type": "text", "text": {"body": body}}
        for i, body in enumerate(["stop", "STOP", "afmelden"])]})
    verdict(notices(who, 1) == ["U krijgt van ons geen berichten meer."], "STOP three times in one delivery: told once",
            notices(who, 0, 0))
    writes("447911123457", "stop")
    verdict(notices("447911123457", 1) == ["You will get no more messages from us."], "in English",
            notices("447911123457", 0, 0))
    webhook({"user_preferences": [{"wa_id": "31687650023", "category": "marketing_messages", "value": "stop",
                                   "detail": "x", "timestamp": int(time.time())}]}, "user_preferences")
    writes("31687650023", "stop")  # had opted out already
    writes("31687650024", "stop", hours_ago=25)
    verdict(notices("31687650023", 0, 0) == [] and notices("31687650024", 0) == [],
            "not to WhatsApp's own preferences, who had opted out already, nor a day late", (notices("31687650023", 0, 0), notices("31687650024", 0, 0)))
    who = "31687650022"
    webhook({"message_echoes": [{"from": "31201234567", "to": who, "id": "wamid.e1", "timestamp": str(int(time.time())),
                                 "type": "text", "text": {"body": "uw bsn is 111222333"}}]}, "smb_message_echoes")
    webhook({"statuses": [{"id": "wamid.e1", "status": "read", "timestamp": str(int(time.time())),
                           "recipient_id": who}]})
    writes(who, "", type="reaction", reaction={"message_id": "wamid.e1", "emoji": "👍"})
    writes(who, "mijn bsn is 111222333", group_id="groep1")
    writes(who, "mijn bsn is 111222333", hours_ago=25)
    verdict(notices(who, 0, 0.9) == [], "not to echoes, statuses, reactions, groups and what came a day late",
            notices(who, 0, 0))
    sends = [x for x in leaves("send") if x["actor"] == "gateway"]
    intents = [x for x in leaves("send_intent") if x["actor"] == "gateway"]
    verdict(len(intents) == 7 and {x["purpose"] for x in intents} == {"notice: bsn", "notice: first", "notice: stop"}
            and [x["outcome"] for x in sends] == ["sent"] * 7, "each on record, before and after", (intents, sends))


def again():
    print("after a kill")
    who = "31687650020"
    writes(who, "nog eens: bsn 111222333")
    verdict(len(notices(who, 0)) == 2, "still in their period", notices(who, 0, 0))
    writes("31687650021", "stop")
    verdict(len(notices("31687650021", 0)) == 1, "nor is stopping again confirmed", notices("31687650021", 0, 0))
    refused("the window is known", text("31687650005"), 900030, "window")
    refused("and who opted out", template("31687650005", "code"), 900031, "opted_out")


def closed():
    print("outside opening hours")
    who = "31687650030"
    writes(who, "Hallo, bent u er?")
    got = notices(who, 2)
    verdict(len(got) == 2 and "Wij zijn nu gesloten." in got, "the notice", got)
    writes(who, "hallo?")
    verdict(len(notices(who, 0)) == 2, "once", notices(who, 0, 0))


def observing():
    print("while the policy observes")
    goes("outside the window", text("31687650005"))
    goes("to who opted out", template("31687650005", "code"))
    writes("31687650060", "mijn bsn is 111222333")
    goes("a BSN", text("31687650060", "uw bsn is 111222333"))
    would = [x for x in leaves("refuse") if x["outcome"] == "would_refuse"]
    verdict({900030, 900031, 900006} <= {x["code"] for x in would}, "on record as what it would refuse", would)
    verdict([m for m in notices("31687650060", 0) if "bsn is" not in m] == [], "no notice", notices("31687650060", 0, 0))


if __name__ == "__main__":
    {"outbound": outbound, "roles": roles, "consent": consent, "pace": pace, "notices": notices_part, "again": again, "closed": closed, "observing": observing}[sys.argv[1]]()

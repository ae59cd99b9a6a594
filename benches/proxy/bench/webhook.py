"""The request that every measurement sends, and the documents that the app answers with."""

MESSAGE = (
    "ToCountry=US&ToState=CA&SmsMessageSid=SM0123456789abcdef0123456789abcdef&NumMedia=0&ToCity=SAN+FRANCISCO"
    "&FromZip=94105&SmsSid=SM0123456789abcdef0123456789abcdef&FromState=CA&SmsStatus=received&FromCity=SAN+FRANCISCO"
    "&Body=Hello+there%2C+is+the+shop+open+today%3F&FromCountry=US&To=%2B14155550100&ToZip=94105&NumSegments=1"
    "&MessageSid=SM0123456789abcdef0123456789abcdef&AccountSid=AC0123456789abcdef0123456789abcdef"
    "&From=%2B14155550123&ApiVersion=2010-04-01"
)

HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    "User-Agent": "TwilioProxy/1.1",
    "Accept": "*/*",
    "X-Twilio-Signature": "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
    "I-Twilio-Idempotency-Token": "a1b2c3d4-0000-4000-8000-000000000000",
}

VOICE = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Gather input="dtmf speech" timeout="5" numDigits="1" '
    'action="/menu" method="POST"><Say voice="Polly.Joanna" language="en-US">Thanks for calling. Press 1 for sales, '
    "2 for support.</Say></Gather><Say>We did not receive any input. Goodbye!</Say><Hangup/></Response>"
)

# The same, but no two are alike: nginx fills in a number of 32 digits.
NEW_VOICE = VOICE.replace("Thanks for calling.", "Your number is $request_id.")

FALLBACK = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Say>We are currently experiencing difficulties. '
    "Please call again.</Say></Response>"
)

# 64 KiB, nearly the most that Twilio takes.
BIG = "<Response>%s</Response>" % (
    860 * '<Say voice="Polly.Joanna">The quick brown fox jumps over the lazy dog.</Say>'
)


def raw_request(path):
    """The request as it is sent over HTTP/1.1."""
    headers = {"Host": "127.0.0.1", "Content-Length": len(MESSAGE), **HEADERS}
    lines = ["POST %s HTTP/1.1" % path] + ["%s: %s" % header for header in headers.items()]
    return "\r\n".join(lines) + "\r\n\r\n" + MESSAGE

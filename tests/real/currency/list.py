"""Lists what Twilio's package for Python can write, as one small TwiML document each: every element on every path, and
every attribute of it.

The package's own builders make the documents, and their signatures say which there are; so of a newer package it lists
what is new. Prints an object a line: {"kind": "voice", "name": "Response/Start/Stream@url", "document": "<?xml …"}.
"""

import inspect
import json
import re
from collections import deque

from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import VoiceResponse

HEX = "0123456789abcdef" * 2

# What a parameter gets: the first line that matches its builder and its name.
VALUES = [
    (r"task\.body", '{"a": 1}'),
    (r"\.(message|words|name)$", "Hello"),
    (r"(stream|conversation_relay)\.url", "wss://example.com/a"),
    (r"\.sip_url", "sip:a@example.com"),
    (r"\.(phone_number|number|to|from_)$", "+12025550101"),
    (r"(url|callback|action)$", "https://example.com/a"),
    (r"\.payment_method", "credit-card"),
    (r"method$", "POST"),
    (r"conference\.status_callback_event", "start"),
    (r"conversation\.status_callback_event", "call-completed"),
    (r"callback_event", "completed"),
    (r"(language|lang)$", "en-US"),
    (r"(timeout|limit|loop|length|attempts?|priority|digits|key|speech(_end)?_threshold)$|\.max_", "1"),
    (r"\.workflow_sid", f"WW{HEX}"),
    (r"\.reservation_sid", f"WR{HEX}"),
    (r"\.coach", f"CA{HEX}"),
    (r"\.charge_amount", "1.00"),
    (r"\.time$", "1s"),
    (r"eot_threshold", "0.5"),
    (r"\.sample_rate", "16000"),
    (r"\.tts_text_normalization", "auto"),
    (r"\.include_in_prompt", "turn-state"),
    (r"\.interrupt_sensitivity", "high"),
    (r"say\.voice", "Polly.Joanna"),
    (r"recording\.track|\.recording_track", "both"),
    (r"\.track", "inbound_track"),
    (r"\.trim", "trim-silence"),
    (r"\.channels", "dual"),
    (r"\.events", "call-progress-event"),
    (r"\.ring_tone", "us"),
    (r"\.region", "us1"),
    (r"\.jitter_buffer_size", "small"),
    (r"\.input", "dtmf"),
    (r"\.reason", "busy"),
    (r"\.bank_account_type", "consumer-checking"),
    (r"\.token_type", "one-time"),
    (r"card_types?$", "visa"),
    (r"\.for_", "security-code"),
    (r"\.error_type", "timeout"),
    (r"\.filter_type", "noise"),
    (r"\.strength", "weak"),
    (r"\.level", "strong"),
    (r"\.alphabet", "ipa"),
    (r"\.interpret_as", "date"),
    (r"\.format", "mdy"),
    ("", "true"),  # booleans, and whatever takes any text
]


def documents(root):
    """Each name with its document, from the root to the leaves. An element is gone into once below each parent."""
    yield "Response", str(root())
    entered = set()
    open_paths = deque([("Response", root, [])])
    while open_paths:
        path, parent, steps = open_paths.popleft()
        for builder, parameters in builders(parent):
            bare = {name: value for name, value, needed in parameters if needed}
            attributes, text = {}, {}
            for name, value, _ in parameters:
                written = set(built(root, steps, builder, bare | {name: value})[1].attrs)
                written -= set(built(root, steps, builder, bare)[1].attrs)
                if written:
                    attributes[written.pop()] = {name: value}
                else:
                    text[name] = value
            response, element = built(root, steps, builder, text)
            here = f"{path}/{element.name}"
            yield here, str(response)
            for attribute, argument in attributes.items():
                yield f"{here}@{attribute}", str(built(root, steps, builder, text | argument)[0])
            if (parent, type(element)) not in entered:
                entered.add((parent, type(element)))
                open_paths.append((here, type(element), [*steps, (builder, text)]))


def builders(parent):
    """The methods that put an element into this one, each with the names and values of its parameters, and whether it
    must have them."""
    for builder, function in vars(parent).items():
        if inspect.isfunction(function) and not builder.startswith("_"):
            _, *parameters = inspect.signature(function).parameters.values()
            named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
            yield builder, [(p.name, value(builder, p.name), p.default is p.empty) for p in named]


def value(builder, parameter):
    return next(value for form, value in VALUES if re.search(form, f"{builder}.{parameter}"))


def built(root, steps, builder, arguments):
    """A response with an element at the end of these steps, and that element."""
    response = element = root()
    for method, given in [*steps, (builder, arguments)]:
        element = getattr(element, method)(**given)
    return response, element


for kind, root in [("voice", VoiceResponse), ("messaging", MessagingResponse)]:
    for name, document in documents(root):
        print(json.dumps({"kind": kind, "name": name, "document": document}, ensure_ascii=False))

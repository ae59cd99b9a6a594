"""A webhook app as Twilio's tutorials build it: Flask, and Twilio's own package for signatures and TwiML.

The tests put understudy before it. It refuses whatever Twilio's RequestValidator refuses, so that an answer other than
403 proves that URL, parameters, Host and X-Forwarded-Proto crossed as Twilio sent them.

Usage: TWILIO_AUTH_TOKEN=… TWILIO_SHARED_KEY_SECRET=… flask_app.py PORT [USER:PASSWORD]; port 0 takes any. With a login, every call must carry it.
"""

import os
import sys

from flask import Flask, Response, abort, request
from flask_sock import Sock
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import Gather, VoiceResponse
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)
sock = Sock(app)
token_validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
shared_key_validator = RequestValidator(os.environ["TWILIO_SHARED_KEY_SECRET"])
login = sys.argv[2] if len(sys.argv) > 2 else None


@app.before_request
def ask_for_the_login():
    given = request.authorization
    if login and (given is None or f"{given.username}:{given.password}" != login):
        return Response("Who calls?", 401, {"WWW-Authenticate": 'Basic realm="hooks"'})


@app.before_request
def refuse_strangers():
    signature = request.headers.get("X-Twilio-Signature", "")
    settings = request.headers.get("X-Twilio-Webhooks-Signature-Settings", "")
    validator = shared_key_validator if settings else token_validator
    algorithm = get_signature_algorithm(settings)
    if request.path not in ("/voice/fatal", "/worker") and not validator.validate(signed_url(), request.form, signature, algorithm):
        abort(403)


def signed_url():
    """The URL that Twilio signed, out of what crossed the proxies, not re-encoded."""
    scheme = request.scheme
    if request.headers.get("Upgrade") == "websocket":
        scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    environ = request.environ
    uri = environ.get("REQUEST_URI") or environ["RAW_URI"]  # gunicorn calls it so
    return f"{scheme}://{request.host}{uri}"


def xml(twiml):
    return Response(str(twiml), mimetype="text/xml")


@app.route("/voice/incoming", methods=["GET", "POST"])
def incoming_call():
    answer = VoiceResponse()
    gather = Gather(action="/voice/menu?step=1", num_digits=1)
    place = request.values.get("CallerState") or "somewhere"
    gather.say(f"Hello caller from {place}. Press 1 for Köln & 2 for anything else.")
    answer.append(gather)
    return xml(answer)


@app.post("/voice/outbound")
def outbound_call():
    answer = VoiceResponse()
    answer.dial(request.form["To"], caller_id="+14155550123")
    return xml(answer)


@app.post("/voice/menu")
def menu():
    answer = VoiceResponse()
    answer.say(f"You pressed {request.form['Digits'] or 'nothing'} in step {request.args['step']}.")
    answer.hangup()
    return xml(answer)


@app.post("/voice/voicemail-done")
def voicemail():
    answer = VoiceResponse()
    answer.play(request.form["RecordingUrl"])
    return xml(answer)


@app.post("/voice/fallback")
def own_fallback():
    answer = VoiceResponse()
    answer.say(f"We had error {request.form['ErrorCode']}. Please hold.")
    answer.redirect(request.form["ErrorUrl"])
    return xml(answer)


@app.post("/voice/fatal")
def fatal():
    return xml(VoiceResponse().say("text of the day"))["first"]


@app.route("/sms/incoming", methods=["GET", "POST"])
def incoming_message():
    if "OptOutType" in request.values:
        return xml(MessagingResponse())
    answer = MessagingResponse()
    answer.message(f"You said: {request.values['Body']}")
    response = xml(answer)
    if "step" in request.cookies:
        response.set_cookie("step", str(int(request.cookies["step"]) + 1))
        response.set_cookie("sid", request.cookies["sid"], path="/sms", httponly=True)
    return response


@app.post("/voice/status")
@app.post("/voice/recording")
@app.post("/sms/status")
def status():
    return "", 204


@app.get("/worker")
def worker():
    return str(os.getpid())


@sock.route("/media")
def media(stream):
    while True:
        stream.send(stream.receive())


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

// A webhook app in the style of Twilio's tutorials for Node: Express, and Twilio's own package for signatures and TwiML.
//
// The tests put understudy before it. It keeps its connections open, sends ETags, streams one page in pieces, and
// refuses whatever `twilio.webhook()` refuses.
//
// Usage: TWILIO_AUTH_TOKEN=… TWILIO_SHARED_KEY_SECRET=… node express_app.js PORT [USER:PASSWORD]; port 0 takes any. With a
// login, every call must carry it.

"use strict";

const http = require("node:http");
const express = require("express");
const twilio = require("twilio");
const { WebSocketServer } = require("ws");

const [port, login] = process.argv.slice(2);
const { VoiceResponse, MessagingResponse } = twilio.twiml;

const app = express();
app.set("trust proxy", "loopback");
app.use(askForTheLogin);
app.post("/voice/fatal", (request, response) => response.send(undefined.textOfTheDay));
app.use(express.urlencoded({ extended: false }));
app.use(twilio.webhook({ sharedKeySecret: process.env.TWILIO_SHARED_KEY_SECRET }));

app.all("/voice/incoming", (request, response) => {
  const answer = new VoiceResponse();
  const { CallerState } = { ...request.query, ...request.body };
  const gather = answer.gather({ action: "/voice/menu?step=1", numDigits: 1 });
  gather.say(`Hello caller from ${CallerState}. Press 1 for Köln & 2 for anything else.`);
  response.type("text/xml").send(answer.toString());
});

app.post("/voice/outbound", (request, response) => {
  const answer = new VoiceResponse();
  answer.dial({ callerId: "+14155550123" }, request.body.To);
  response.type("text/xml").send(answer.toString());
});

app.post("/voice/menu", (request, response) => {
  const answer = new VoiceResponse();
  answer.say(`You pressed ${request.body.Digits || "nothing"} in step ${request.query.step}.`);
  const page = answer.toString();
  response.type("text/xml");
  response.write(page.slice(0, 20));
  setImmediate(() => response.end(page.slice(20)));
});

app.post("/voice/voicemail-done", (request, response) => {
  const answer = new VoiceResponse();
  answer.play(request.body.RecordingUrl);
  response.type("text/xml").send(answer.toString());
});

app.post("/voice/fallback", (request, response) => {
  const answer = new VoiceResponse();
  answer.say(`We had error ${request.body.ErrorCode}. Please hold.`);
  answer.redirect(request.body.ErrorUrl);
  response.type("text/xml").send(answer.toString());
});

app.all("/sms/incoming", (request, response) => {
  const answer = new MessagingResponse();
  const { Body, OptOutType } = { ...request.query, ...request.body };
  if (!OptOutType) {
    answer.message(`You said: ${Body}`);
  }
  const cookies = Object.fromEntries(new URLSearchParams((request.headers.cookie || "").replaceAll("; ", "&")));
  if (cookies.step) {
    response.cookie("step", String(Number(cookies.step) + 1));
    response.cookie("sid", cookies.sid, { path: "/sms", httpOnly: true });
  }
  response.type("text/xml").send(answer.toString());
});

app.post(["/voice/status", "/voice/recording", "/sms/status"], (request, response) => {
  response.sendStatus(204);
});

function askForTheLogin(request, response, next) {
  const expected = "Basic " + Buffer.from(login || "").toString("base64");
  if (!login || request.headers.authorization === expected) {
    return next();
  }
  response.set("WWW-Authenticate", 'Basic realm="hooks"').status(401).send("Who calls?");
}

const streams = new WebSocketServer({ noServer: true });

function startStream(request, socket, head) {
  const scheme = request.headers["x-forwarded-proto"] === "https" ? "wss" : "ws";
  const url = `${scheme}://${request.headers.host}${request.url}`;
  const signature = request.headers["x-twilio-signature"];
  if (!twilio.validateRequest(process.env.TWILIO_AUTH_TOKEN, signature, url, {})) {
    return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  }
  streams.handleUpgrade(request, socket, head, (stream) => {
    stream.on("message", (data, isBinary) => stream.send(data, { binary: isBinary }));
  });
}

const server = http.createServer(app);
server.on("upgrade", startStream);
server.listen(Number(port), "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});

// The texts of the page, and the formats of times and numbers.

// For each reason: what happened, and what to do. docs/reasons.md says more.
const REASONS = {
  connect: ["the app refused the connection, or its name has no address", "Is the app running, and on that port?"],
  connect_timeout: ["no connection to the app in time, twice", "Look at the app's backlog, and for a firewall between."],
  tls: ["the TLS handshake with the app failed", "Look at its certificate: expired, another name's, not trusted?"],
  deadline: ["no whole response before the deadline", "What makes the app slow? See its response times."],
  reset: ["the connection ended before the response", "Look for crashes, and keep upstream.idle_timeout below the app's keep-alive."],
  truncated: ["the connection ended within the response", "Look for crashes of the app while it responds."],
  protocol: ["the response wasn't HTTP", "Is it the right port?"],
  status_4xx: ["the app responded with a client error", "Look at the app's log. pass_status lets a status through."],
  status_5xx: ["the app responded with a server error", "Look at the app's log."],
  redirect: ["a redirect that Twilio doesn't follow", "Correct the handler: respond with 301, 302, 303 or 307 and a Location, or with the document."],
  empty: ["a successful response without a document", "Correct the handler; <Response/> means “do nothing”."],
  too_large: ["the document is over 64 KiB", "Make the document shorter: Twilio accepts no more."],
  content_type: ["no content type, or one that Twilio doesn't accept", "Send text/xml."],
  encoding: ["bytes that aren't text in the document's charset", "Write the document in the charset that it declares."],
  malformed: ["the document is not well-formed XML", "Correct the document at the position shown."],
  root: ["the document's root element isn't Response", "Write <Response>, with a capital R."],
  schema: ["the document breaks TwiML's grammar", "Correct the document at the position shown."],
  breaker_open: ["the app failed too often, so no request is sent to it", "Look at the failures before these. The app is probed, and gets requests again once it responds."],
  overload: ["more requests at once than max_in_flight", "Why is the app slow? See its response times."],
  drill: ["a drill", "Nothing: it ends by itself."],
  internal: ["a bug in understudy", "Please report it."],
};

// What the app seems to do in a drill.
const FAULTS = {
  status_5xx: "responds with 500",
  deadline: "doesn't respond",
  malformed: "sends a cut document",
  root: "sends another root element",
};

// How far understudy's clock is ahead of the browser's, in seconds.
let clockOffset = 0;

const now = () => Date.now() / 1000 + clockOffset;

const describeReason = (reason) => (REASONS[reason] ?? [reason])[0];

const adviseOn = (reason) => (REASONS[reason] ?? ["", "See docs/reasons.md."])[1];

// "deadline", "breaker open": a reason in a word or two.
const reasonName = (reason) => reason.replace("_", " ");

const plural = (count, one, more = `${one}s`) => `${formatNumber(count)} ${count === 1 ? one : more}`;

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SMALL = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const formatNumber = (value) => NUMBER.format(value);

const formatSmall = (value) => (value < 10 ? SMALL : NUMBER).format(value);

const formatPercent = (part, whole) => {
  const share = (100 * part) / whole;
  if (share > 0 && share < 0.1) return "< 0.1 %";
  // Only all is shown as 100 %.
  return share > 99 && part < whole ? "> 99 %" : `${formatSmall(share)} %`;
};

// As the configuration writes sizes: 1.5 MiB.
function formatBytes(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let [value, at] = [bytes, 0];
  while (value >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1];
  return `${formatSmall(value)} ${units[at]}`;
}

const HOUR = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const MINUTES = new Intl.DateTimeFormat("en", HOUR);
const SECONDS = new Intl.DateTimeFormat("en", { ...HOUR, second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

const sameDay = (one, other) => DAY.format(one) === DAY.format(other);

// A time of day, with its date unless that is today.
function formatTime(seconds, format = MINUTES) {
  const at = new Date((seconds - clockOffset) * 1000);
  return (sameDay(at, new Date()) ? "" : `${DAY.format(at)}, `) + format.format(at);
}

const formatTimeOfDay = (seconds) => formatTime(seconds, SECONDS);

// A duration, as exact as one would say it.
function formatDuration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 && hours < 12 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

// The time that is left: 4:05.
function formatCountdown(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// 5m in words; other forms unchanged.
function spellDuration(time) {
  const units = { s: "second", sec: "second", m: "minute", min: "minute", h: "hour" };
  const [, count, unit] = /^\s*(\d+)\s*([a-z]+)\s*$/.exec(time) ?? [];
  return units[unit] && Number(count) ? plural(Number(count), units[unit]) : time;
}

// What is said, and how times and numbers are written.

// What happened, and what to do about it; docs/reasons.md says more.
const REASONS = {
  connect: ["the app refused the connection, or its name has no address", "Is the app running, and on that port?"],
  connect_timeout: ["no connection to the app in time, twice", "Look at the app's backlog, and for a firewall between."],
  tls: ["the TLS handshake with the app failed", "Look at its certificate: expired, another name's, not trusted?"],
  deadline: ["no whole answer before the deadline", "What makes the app slow? See its response times."],
  reset: ["the connection ended before the answer", "Look for crashes, and keep upstream.idle_timeout below the app's keep-alive."],
  truncated: ["the connection ended within the answer", "Look for crashes of the app while it answers."],
  protocol: ["what came back wasn't HTTP", "Is it the right port?"],
  status_4xx: ["the app answered with a client error", "Look at the app's log. A status may be let through by pass_status."],
  status_5xx: ["the app answered with an error", "Look at the app's log."],
  redirect: ["a redirect that Twilio doesn't follow", "Mend the handler: answer 301, 302, 303 or 307 with a Location, or the page."],
  empty: ["success without a page", "Mend the handler; <Response/> says “do nothing”."],
  too_large: ["the page is over 64 KiB", "Make the page shorter: Twilio takes no longer one."],
  content_type: ["no content type, or none that Twilio takes", "Answer text/xml."],
  encoding: ["bytes that aren't text in the page's charset", "Write the page in the charset that it declares."],
  malformed: ["the document is not well-formed XML", "Mend the page at the place shown."],
  root: ["the page's root isn't Response", "Write <Response>, in this very spelling."],
  schema: ["the page breaks TwiML's grammar", "Mend the page at the place shown."],
  breaker_open: ["the app failed too often, so no try was made", "Look at the failures before these. It is probed, and tried again when it is there."],
  overload: ["more calls at once than max_in_flight", "Why is the app slow? See its response times."],
  drill: ["a drill", "Nothing: it ends by itself."],
  internal: ["a bug of understudy's own", "Please report it."],
};

const FAULTS = {
  status_5xx: "answers 500",
  deadline: "says nothing",
  malformed: "breaks off",
  root: "has another root",
};

// What the clocks of this machine and of understudy's differ by, in seconds.
let ahead = 0;

const now = () => Date.now() / 1000 + ahead;

const inWords = (reason) => (REASONS[reason] ?? [reason])[0];

const toDo = (reason) => (REASONS[reason] ?? ["", "See docs/reasons.md."])[1];

// "deadline", "breaker open": a reason in a word or two.
const inShort = (reason) => reason.replace("_", " ");

const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SMALL = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const number = (value) => NUMBER.format(value);

const small = (value) => (value < 10 ? SMALL : NUMBER).format(value);

const percent = (part, whole) => {
  const share = (100 * part) / whole;
  if (share > 0 && share < 0.1) return "< 0.1 %";
  // What isn't all is never shown as all.
  return share > 99 && part < whole ? "> 99 %" : `${small(share)} %`;
};

const HOUR = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const MINUTES = new Intl.DateTimeFormat("en", HOUR);
const SECONDS = new Intl.DateTimeFormat("en", { ...HOUR, second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

const sameDay = (one, other) => DAY.format(one) === DAY.format(other);

// A time of day; with its date, if that isn't today's.
function clock(seconds, format = MINUTES) {
  const at = new Date((seconds - ahead) * 1000);
  return (sameDay(at, new Date()) ? "" : `${DAY.format(at)}, `) + format.format(at);
}

const toTheSecond = (seconds) => clock(seconds, SECONDS);

// How long something has lasted: as exact as one would say it.
function lasting(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 && hours < 12 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

// How long something still lasts: 4:05.
function left(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// 5m as a person would say it; as it is if it is none of these.
function spelled(time) {
  const units = { s: "second", sec: "second", m: "minute", min: "minute", h: "hour" };
  const [, count, unit] = /^\s*(\d+)\s*([a-z]+)\s*$/.exec(time) ?? [];
  return units[unit] && Number(count) ? many(Number(count), units[unit]) : time;
}

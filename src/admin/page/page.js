// Requests the status again and again, and shows it.

// The last status, and the filter of the request.
let status = null;
const query = { match: "" };

// Never stored: a browser stores on the disk, and this token allows every change. A password manager can fill it in again.
let token = "";

// The most routes that are shown.
const SHOWN = 200;
// In milliseconds.
const PAUSE = { visible: 2000, hidden: 20000, unreachable: 4000 };
const TIMEOUT = 10000;

let timer;
let rounds = 0;
let unreachableSince = null;

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  return fetch(path, { cache: "no-store", redirect: "error", ...options, headers, signal: AbortSignal.timeout(TIMEOUT) });
}

// Sends a request that changes something.
async function sendChange(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const response = await request(path, { method, headers, body: body && JSON.stringify(body) });
  return { ok: response.ok, document: await response.json() };
}

const describeError = (error) => (error.name === "TimeoutError" ? "understudy did not respond in time" : "understudy can't be reached");

async function poll() {
  const round = ++rounds;
  const { code, document: latest } = await fetchStatus();
  if (round !== rounds) return; // A newer request was sent in the meantime.
  clearTimeout(timer);
  try {
    if (code === 401) showLogin();
    else if (latest) showStatus(latest);
    else showUnreachable();
  } finally {
    const pause = document.hidden ? PAUSE.hidden : unreachableSince ? PAUSE.unreachable : PAUSE.visible;
    timer = setTimeout(poll, pause);
  }
}

async function fetchStatus() {
  try {
    const response = await request(`api/status?routes=${SHOWN}&history=yes&match=${encodeURIComponent(query.match)}`);
    return { code: response.status, document: response.ok && (await response.json()) };
  } catch {
    return {};
  }
}

function pollNow() {
  clearTimeout(timer);
  poll();
}

function showStatus(document) {
  status = document;
  clockOffset = status.now_seconds - Date.now() / 1000;
  unreachableSince = null;
  setVisible(byId("login"), false);
  setVisible(byId("status"), true);
  updateRoutes();
  updateQueue();
  updateFailures();
  updateConfig();
  updateProcess();
  updateHeadline();
}

function showUnreachable() {
  unreachableSince ??= status?.now_seconds ?? now();
  updateHeadline();
}

function showLogin() {
  const isWrong = token !== "";
  const wasHidden = byId("login").hidden;
  token = "";
  status = null;
  unreachableSince = null;
  drill.dialog.close();
  setVisible(byId("status"), false);
  setVisible(byId("config-error"), false);
  setVisible(byId("login"), true);
  if (isWrong) setText(byId("login-error"), "This is not the token.");
  setVisible(byId("login-error"), isWrong);
  if (wasHidden || isWrong) byId("token").focus();
  updateHeadline();
}

// The headline: the state, words that screen readers announce when they change, and what changes with time.
function headline() {
  if (unreachableSince) return { state: "unreachable", words: [`No response from understudy since ${formatTimeOfDay(unreachableSince)}`], more: ` (${formatDuration(now() - unreachableSince)})` };
  if (!byId("login").hidden) return { state: "loading", words: ["This understudy asks for its token"] };
  if (!status) return { state: "loading", words: ["Loading…"] };
  const { fallback, down, drill: drills, routes, fallback_since_seconds: since, first } = status.summary;
  const more = since ? ` (${formatDuration(now() - since)})` : "";
  if (fallback === 1) {
    const reason = first[0].last_failure ? `: ${reasonName(first[0].last_failure.reason)}` : "";
    return { state: "fallback", words: ["Serving from fallback on ", [first[0].name], ` since ${formatTime(since)}`], more, end: reason };
  }
  if (fallback) return { state: "fallback", words: ["Serving from fallback on ", ...joinNames(fallback, first), ` since ${formatTime(since)}`], more };
  if (down && down <= first.length && first.slice(0, down).every((route) => route.queues)) return { state: "down", words: ["The app is down, and callbacks are queued on ", ...joinNames(down, first)] };
  if (down) return { state: "down", words: ["The app is down, and there is no fallback on ", ...joinNames(down, first)] };
  if (drills) return { state: "drill", words: ["A drill runs on ", ...joinNames(drills, first)] };
  return { state: "app", words: [`Serving from app${routes > 1 ? ` on all ${formatNumber(routes)} routes` : ""}`] };
}

// The names of the routes, or how many there are if not all names are known.
function joinNames(count, first) {
  if (count > first.length) return [plural(count, "route")];
  const names = first.slice(0, count).map((route) => [route.name]);
  return names.flatMap((name, at) => (at === 0 ? [name] : [at === count - 1 ? " and " : ", ", name]));
}

// What the line below the headline says.
function describeRest(state) {
  if (state === "unreachable") return status ? [`The status below is from then. It is requested again every ${PAUSE.unreachable / 1000} seconds.`] : [];
  if (!status) return [];
  const { down, drill: drills, observed } = status.summary;
  return [
    !status.ready && "understudy is shutting down: requests in flight may finish",
    state !== "down" && down && `the app is down on ${plural(down, "route")} without a fallback`,
    state !== "drill" && drills && `${drills === 1 ? "a drill runs" : "drills run"} on ${plural(drills, "route")}`,
    observed && `${plural(observed, "route is", "routes are")} only observed: nothing is replaced there`,
  ].filter(Boolean);
}

const MARKS = { app: "●", fallback: "▲", down: "▲", drill: "◆", unreachable: "✕", loading: "○" };

function updateHeadline() {
  const { state, words, more = "", end = "" } = headline();
  const top = byId("summary");
  if (top.dataset.state !== state) {
    top.dataset.state = state;
    setAttribute(byId("shape").firstChild, "d", SHAPES[state]);
    setAttribute(byId("icon"), "href", faviconUrl(state));
  }
  setTextWithNames(byId("headline"), [...words, more, end]);
  setText(byId("announcement"), plainText([...words, end]));
  const title = `${MARKS[state]} ${plainText([...words, end])} – understudy`;
  if (document.title !== title) document.title = title;
  const rest = describeRest(state);
  setVisible(byId("subline"), rest.length > 0);
  setText(byId("subline"), rest.length ? toSentence(rest.join("; ")) : "");
}

function updateConfig() {
  const { error } = status.config;
  setVisible(byId("config-error"), Boolean(error));
  if (error) setText(byId("config-error-text"), error);
}

function updateProcess() {
  const facts = [
    ["Configuration", `loaded ${formatTime(status.config.loaded_at_seconds)} (${formatDuration(now() - status.config.loaded_at_seconds)} ago)`],
    ...describeUpstreams(),
    ["Connections of clients", formatNumber(status.client_connections)],
    ...describeSignatures(),
    ["Up", `${formatDuration(status.now_seconds - status.started_at_seconds)}, since ${formatTime(status.started_at_seconds)}`],
    ["Version", status.version + (status.revision === "unknown" ? "" : ` (${status.revision})`)],
  ];
  const create = ([term]) => el("div", {}, el("dt", {}, term), el("dd"));
  updateList(byId("process"), facts, ([term]) => term, create, (node, [, fact]) => setText(node.lastChild, fact));
}

// The address and the connections of each app. Only if there are several they are named.
function describeUpstreams() {
  return status.upstreams.flatMap(({ name, url, connections: { idle, busy, opened } }) => {
    const suffix = status.upstreams.length > 1 ? ` ${name}` : "";
    return [
      [`App${suffix}`, url],
      [`Connections to the app${suffix}`, `${formatNumber(busy)} busy, ${formatNumber(idle)} idle, ${formatNumber(opened)} opened so far`],
    ];
  });
}

// Which secret signed the last valid request; nothing if no route checks signatures.
function describeSignatures() {
  if (!status.signature) return [];
  const { name, last_match_seconds: at } = status.signature.secrets[0];
  return [["Signatures", at ? `last valid one by ${name}, ${formatTime(at)} (${formatDuration(now() - at)} ago)` : "no valid one yet"]];
}

async function reload() {
  const result = byId("reload-result");
  try {
    const { ok, document } = await sendChange("POST", "api/reload");
    setText(result, ok ? `Reloaded at ${formatTimeOfDay(now())}.` : toSentence((document.errors ?? [document.error]).join(" ")));
  } catch (error) {
    setText(result, toSentence(describeError(error)));
  }
  pollNow();
}

// Times go on between two responses.
setInterval(() => {
  if (document.hidden && !unreachableSince) return;
  updateHeadline();
  if (!status || unreachableSince) return;
  for (const row of byId("routes").children) updateTimes(row);
  for (const row of byId("queue").children) updateQueueTimes(row);
  for (const row of byId("failures").children) updateAge(row);
}, 1000);

let typing;
byId("filter").addEventListener("input", (event) => {
  query.match = event.target.value.trim();
  clearTimeout(typing);
  typing = setTimeout(pollNow, 150);
});
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  byId("token").value = "";
  pollNow();
});
byId("reload").addEventListener("click", reload);
document.addEventListener("visibilitychange", () => document.hidden || pollNow());
poll();

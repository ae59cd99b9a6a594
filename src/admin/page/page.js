// Asks for the status again and again, and shows it.

// What understudy has told last, and what it was asked for.
let told = null;
const asked = { match: "" };

// Held by this page alone and never stored: what a browser stores lies on the disk, and this one key opens every change. A
// password manager can fill the field again.
let token = "";

const SHOWN = 200;
const PAUSE = { seen: 2000, hidden: 20000, silent: 4000 };
const PATIENCE = 10000;

let timer;
let rounds = 0;
let silentSince = null;

async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  return fetch(path, { cache: "no-store", redirect: "error", ...options, headers, signal: AbortSignal.timeout(PATIENCE) });
}

// Asks for a change; what is answered.
async function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await ask(path, { method, headers, body: body && JSON.stringify(body) });
  return { ok: answer.ok, document: await answer.json() };
}

const inspect = (error) => (error.name === "TimeoutError" ? "understudy did not answer in time" : "understudy can't be reached");

async function poll() {
  const round = ++rounds;
  const { status, document: heard } = await askForStatus();
  if (round !== rounds) return; // Another has begun meanwhile.
  clearTimeout(timer);
  try {
    if (status === 401) beLocked();
    else if (heard) hear(heard);
    else hearNothing();
  } finally {
    const pause = document.hidden ? PAUSE.hidden : silentSince ? PAUSE.silent : PAUSE.seen;
    timer = setTimeout(poll, pause);
  }
}

async function askForStatus() {
  try {
    const answer = await ask(`api/status?routes=${SHOWN}&history=yes&match=${encodeURIComponent(asked.match)}`);
    return { status: answer.status, document: answer.ok && (await answer.json()) };
  } catch {
    return {};
  }
}

function pollAtOnce() {
  clearTimeout(timer);
  poll();
}

function hear(document) {
  told = document;
  ahead = told.now_seconds - Date.now() / 1000;
  silentSince = null;
  show(byId("entrance"), false);
  show(byId("told"), true);
  patchRoutes();
  patchFailures();
  patchConfig();
  patchProcess();
  patchStage();
}

function hearNothing() {
  silentSince ??= told?.now_seconds ?? now();
  patchStage();
}

function beLocked() {
  const isWrong = token !== "";
  const wasHidden = byId("entrance").hidden;
  token = "";
  told = null;
  silentSince = null;
  drill.dialog.close();
  show(byId("told"), false);
  show(byId("refused"), false);
  show(byId("entrance"), true);
  if (isWrong) say(byId("entrance-error"), "This is not the token.");
  show(byId("entrance-error"), isWrong);
  if (wasHidden || isWrong) byId("token").focus();
  patchStage();
}

// What is to be said at the top: the stage, words that are spoken when they change, and what time adds to them.
function headline() {
  if (silentSince) return { stage: "silent", words: [`No answer from understudy since ${toTheSecond(silentSince)}`], more: ` (${lasting(now() - silentSince)})` };
  if (!byId("entrance").hidden) return { stage: "asking", words: ["This understudy asks for its token"] };
  if (!told) return { stage: "asking", words: ["Asking understudy…"] };
  const { fallback, down, drill: drills, routes, fallback_since_seconds: since, first } = told.stage;
  const more = since ? ` (${lasting(now() - since)})` : "";
  if (fallback === 1) {
    const reason = first[0].last_failure ? `: ${inShort(first[0].last_failure.reason)}` : "";
    return { stage: "fallback", words: ["Serving from fallback on ", [first[0].name], ` since ${clock(since)}`], more, end: reason };
  }
  if (fallback) return { stage: "fallback", words: ["Serving from fallback on ", ...listed(fallback, first), ` since ${clock(since)}`], more };
  if (down) return { stage: "down", words: ["The app is down, and there is no fallback on ", ...listed(down, first)] };
  if (drills) return { stage: "drill", words: ["A drill runs on ", ...listed(drills, first)] };
  return { stage: "app", words: [`Serving from app${routes > 1 ? ` on all ${number(routes)} routes` : ""}`] };
}

// So many routes, by the names of the first ones.
function listed(count, first) {
  if (count > first.length) return [many(count, "route")];
  const names = first.slice(0, count).map((route) => [route.name]);
  return names.flatMap((name, at) => (at === 0 ? [name] : [at === count - 1 ? " and " : ", ", name]));
}

// What else is to be known at once.
function besides(stage) {
  if (stage === "silent") return told ? [`What stands below is what it said then. It is asked again every ${PAUSE.silent / 1000} seconds.`] : [];
  if (!told) return [];
  const { down, drill: drills, observed } = told.stage;
  return [
    !told.ready && "understudy is stopping: calls under way may finish",
    stage !== "down" && down && `the app is down on ${many(down, "route")} without a fallback`,
    stage !== "drill" && drills && `${drills === 1 ? "a drill runs" : "drills run"} on ${many(drills, "route")}`,
    observed && `${many(observed, "route is", "routes are")} only observed: nothing is replaced there`,
  ].filter(Boolean);
}

const MARKS = { app: "●", fallback: "▲", down: "▲", drill: "◆", silent: "✕", asking: "○" };

function patchStage() {
  const { stage, words, more = "", end = "" } = headline();
  const top = byId("stage");
  if (top.dataset.stage !== stage) {
    top.dataset.stage = stage;
    set(byId("shape").firstChild, "d", SHAPES[stage]);
    set(byId("icon"), "href", icon(stage));
  }
  sayWithNames(byId("headline"), [...words, more, end]);
  say(byId("spoken"), plain([...words, end]));
  const title = `${MARKS[stage]} ${plain([...words, end])} – understudy`;
  if (document.title !== title) document.title = title;
  const aside = besides(stage);
  show(byId("subline"), aside.length > 0);
  say(byId("subline"), aside.length ? sentence(aside.join("; ")) : "");
}

function patchConfig() {
  const { error } = told.config;
  show(byId("refused"), Boolean(error));
  if (error) say(byId("refused-error"), error);
}

function patchProcess() {
  const { idle, busy, opened } = told.upstream.connections;
  const facts = [
    ["Configuration", `loaded ${clock(told.config.loaded_at_seconds)} (${lasting(now() - told.config.loaded_at_seconds)} ago)`],
    ["App", told.upstream.url],
    ["Connections to the app", `${number(busy)} busy, ${number(idle)} idle, ${number(opened)} opened so far`],
    ["Connections of clients", number(told.client_connections)],
    ...signatures(),
    ["Up", `${lasting(told.now_seconds - told.started_at_seconds)}, since ${clock(told.started_at_seconds)}`],
    ["Version", told.version + (told.revision === "unknown" ? "" : ` (${told.revision})`)],
  ];
  const make = ([term]) => el("div", {}, el("dt", {}, term), el("dd"));
  keyed(byId("process"), facts, ([term]) => term, make, (node, [, fact]) => say(node.lastChild, fact));
}

// Which secret signed the last valid request; nothing where no route checks signatures.
function signatures() {
  if (!told.signature) return [];
  const { name, last_match_seconds: at } = told.signature.secrets[0];
  return [["Signatures", at ? `last valid one by ${name}, ${clock(at)} (${lasting(now() - at)} ago)` : "no valid one yet"]];
}

async function reload() {
  const result = byId("reload-result");
  try {
    const { ok, document } = await send("POST", "api/reload");
    say(result, ok ? `Reloaded at ${toTheSecond(now())}.` : sentence((document.errors ?? [document.error]).join(" ")));
  } catch (error) {
    say(result, sentence(inspect(error)));
  }
  pollAtOnce();
}

// Clocks go on between two answers.
setInterval(() => {
  if (document.hidden && !silentSince) return;
  patchStage();
  if (!told || silentSince) return;
  for (const row of byId("routes").children) patchTimes(row);
  for (const row of byId("failures").children) patchAge(row);
}, 1000);

let typing;
byId("filter").addEventListener("input", (event) => {
  asked.match = event.target.value.trim();
  clearTimeout(typing);
  typing = setTimeout(pollAtOnce, 150);
});
byId("entrance").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  byId("token").value = "";
  pollAtOnce();
});
byId("reload").addEventListener("click", reload);
document.addEventListener("visibilitychange", () => document.hidden || pollAtOnce());
poll();

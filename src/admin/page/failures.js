// The last failures. Those that are alike share a row: a hundred of one kind say no more than one, and would hide another.

// How many rows are shown.
const ROWS = 25;

// How many of those that share a row are listed in it.
const LISTED = 20;

function alike(failure) {
  const { route, outcome, reason, twilio_code, line, column, upstream_status, error } = failure;
  return JSON.stringify([route, outcome, reason, twilio_code, line, column, upstream_status, error]);
}

// Groups, the one with the newest failure first.
function grouped(failures) {
  const groups = new Map();
  for (const failure of failures) {
    const key = alike(failure);
    const group = groups.get(key) ?? { key, failures: [] };
    group.failures.push(failure);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function makeFailure({ failures: [failure] }) {
  const cell = (className, label, ...children) => el("td", { role: "cell", class: className, "data-label": label }, ...children);
  const row = el("tr", { role: "row" });
  const at = (row.at = {
    clock: el("span", { class: "clock" }),
    ago: el("span", { class: "dim" }),
    sid: el("code", { class: "sid" }),
    took: cell("number", "took"),
    others: el("details", {}, el("summary"), el("ul")),
  });
  at.others.hidden = true;
  row.append(
    cell("when", "", at.clock, at.ago),
    el("th", { role: "rowheader", scope: "row", class: "route" }, name(failure.route)),
    cell("what", "", ...whatHappened(failure), at.others),
    cell("call", "", at.sid),
    cell("number", "app said", failure.upstream_status ?? "–"),
    at.took,
  );
  return row;
}

const HTML = "This is HTML, most often a framework's error page: look at the app's log.";

const OUTCOMES = {
  fallback: "",
  observed: " The answer went back all the same: the route is only observed.",
  error: " The caller got an error: the route has no fallback.",
};

function whatHappened(failure) {
  const { reason, error, twilio_code: code, line, column, excerpt, help } = failure;
  const title = el("p", {}, el("strong", {}, inWords(reason)));
  if (code) {
    const to = { href: `https://www.twilio.com/docs/api/errors/${code}`, rel: "noreferrer", target: "_blank" };
    title.append(" ", el("a", to, `Twilio ${code}`));
  }
  const place = line ? ` Line ${number(line)}, column ${number(column)}.` : "";
  const said = el("p", { class: "detail" }, ...withCode(`${sentence(error)}${place}${OUTCOMES[failure.outcome] ?? ""}`));
  const isHtml = /<!doctype html|<html/i.test(excerpt?.text);
  const advice = isHtml ? HTML : help ? sentence(help) : toDo(reason);
  const doing = el("p", { class: "to-do" }, ...withCode(advice));
  return [title, said, ...(excerpt ? [masked(excerpt, line)] : []), doing];
}

function sentence(words) {
  const whole = /[.!?]$/.test(words) ? words : `${words}.`;
  return whole[0].toUpperCase() + whole.slice(1);
}

// The offending line, with a caret below.
function masked(excerpt, line) {
  const caret = el("span", { class: "caret", "aria-hidden": "true" }, "^".repeat(excerpt.width));
  const label = `Line ${line} of the app's page; letters and digits that aren't markup are masked`;
  const shown = el("pre", { tabindex: "0", role: "group", "aria-label": label },
    el("code", {}, excerpt.text), `\n${" ".repeat(excerpt.column - 1)}`, caret);
  // Where the line is longer than there is room, what it is about is in its midst.
  requestAnimationFrame(() => (shown.scrollLeft = caret.offsetLeft - shown.offsetLeft - shown.clientWidth / 2));
  return shown;
}

function patchFailure(row, { failures }) {
  const [newest, ...others] = failures;
  row.failures = failures;
  const { at } = row;
  say(at.clock, toTheSecond(newest.timestamp_seconds));
  say(at.sid, newest.sid ?? "–");
  say(at.took, `${number(newest.milliseconds)} ms`);
  show(at.others, others.length > 0);
  if (others.length) {
    const [summary, list] = at.others.children;
    say(summary, `${number(others.length)} more like it since ${clock(others.at(-1).timestamp_seconds)}`);
    const key = (failure) => `${failure.timestamp_seconds} ${failure.sid}`;
    keyed(list, others.slice(0, LISTED), key, () => el("li"), (item, failure) => {
      say(item, `${toTheSecond(failure.timestamp_seconds)}  ${failure.sid ?? "–"}  ${number(failure.milliseconds)} ms`);
    });
  }
  patchAge(row);
}

function patchAge(row) {
  say(row.at.ago, `${lasting(now() - row.failures[0].timestamp_seconds)} ago`);
}

function patchFailures() {
  const groups = grouped(told.failures);
  keyed(byId("failures"), groups.slice(0, ROWS), (group) => group.key, makeFailure, patchFailure);
  const [kinds, all] = [Math.min(groups.length, ROWS), told.failures.length];
  say(byId("failures-shown"), all > kinds ? `The last ${number(all)}, in ${many(kinds, "kind")}` : "");
  show(byId("failures-none"), all === 0);
  show(byId("failures").parentElement, all > 0);
}

// The table of the last failures. Equal failures share a row: a hundred of one kind would hide the others.

// The most rows.
const ROWS = 25;

// The most failures that a row lists.
const LISTED = 20;

function groupKey(failure) {
  const { route, outcome, reason, twilio_code, line, column, upstream_status, error } = failure;
  return JSON.stringify([route, outcome, reason, twilio_code, line, column, upstream_status, error]);
}

// Groups of equal failures, the one with the newest failure first.
function groupFailures(failures) {
  const groups = new Map();
  for (const failure of failures) {
    const key = groupKey(failure);
    const group = groups.get(key) ?? { key, failures: [] };
    group.failures.push(failure);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function createFailureRow({ failures: [failure] }) {
  const cell = (className, label, ...children) => el("td", { role: "cell", class: className, "data-label": label }, ...children);
  const row = el("tr", { role: "row" });
  const parts = (row.parts = {
    clock: el("span", { class: "clock" }),
    ago: el("span", { class: "dim" }),
    sid: el("code", { class: "sid" }),
    took: cell("number", "took"),
    others: el("details", {}, el("summary"), el("ul")),
  });
  parts.others.hidden = true;
  row.append(
    cell("when", "", parts.clock, parts.ago),
    el("th", { role: "rowheader", scope: "row", class: "route" }, isolate(failure.route)),
    cell("what", "", ...describeFailure(failure), parts.others),
    cell("call", "", parts.sid),
    cell("number", "app status", failure.upstream_status ?? "–"),
    parts.took,
  );
  return row;
}

const HTML_ADVICE = "This is HTML, most often a framework's error page: look at the app's log.";

const OUTCOMES = {
  fallback: "",
  observed: " The response was sent all the same: the route is only observed.",
  error: " The caller got an error: the route has no fallback.",
};

function describeFailure(failure) {
  const { reason, error, twilio_code: code, line, column, excerpt, help } = failure;
  const title = el("p", {}, el("strong", {}, describeReason(reason)));
  if (code) {
    const to = { href: `https://www.twilio.com/docs/api/errors/${code}`, rel: "noreferrer", target: "_blank" };
    title.append(" ", el("a", to, `Twilio ${code}`));
  }
  const position = line ? ` Line ${formatNumber(line)}, column ${formatNumber(column)}.` : "";
  const details = el("p", { class: "detail" }, ...withCode(`${toSentence(error)}${position}${OUTCOMES[failure.outcome] ?? ""}`));
  const isHtml = /<!doctype html|<html/i.test(excerpt?.text);
  const advice = isHtml ? HTML_ADVICE : help ? toSentence(help) : adviseOn(reason);
  const toDo = el("p", { class: "to-do" }, ...withCode(advice));
  return [title, details, ...(excerpt ? [createExcerpt(excerpt, line)] : []), toDo];
}

function toSentence(words) {
  const whole = /[.!?]$/.test(words) ? words : `${words}.`;
  return whole[0].toUpperCase() + whole.slice(1);
}

// The line that is wrong, with carets below.
function createExcerpt(excerpt, line) {
  const caret = el("span", { class: "caret", "aria-hidden": "true" }, "^".repeat(excerpt.width));
  const label = `Line ${line} of the app's document; letters and digits that aren't markup are masked`;
  const shown = el("pre", { tabindex: "0", role: "group", "aria-label": label },
    el("code", {}, excerpt.text), `\n${" ".repeat(excerpt.column - 1)}`, caret);
  // A line that is too long is scrolled to the carets.
  requestAnimationFrame(() => (shown.scrollLeft = caret.offsetLeft - shown.offsetLeft - shown.clientWidth / 2));
  return shown;
}

function updateFailureRow(row, { failures }) {
  const [newest, ...others] = failures;
  row.failures = failures;
  const { parts } = row;
  setText(parts.clock, formatTimeOfDay(newest.timestamp_seconds));
  setText(parts.sid, newest.sid ?? "–");
  setText(parts.took, `${formatNumber(newest.milliseconds)} ms`);
  setVisible(parts.others, others.length > 0);
  if (others.length) {
    const [summary, list] = parts.others.children;
    setText(summary, `${formatNumber(others.length)} more like it since ${formatTime(others.at(-1).timestamp_seconds)}`);
    const key = (failure) => `${failure.timestamp_seconds} ${failure.sid}`;
    updateList(list, others.slice(0, LISTED), key, () => el("li"), (item, failure) => {
      setText(item, `${formatTimeOfDay(failure.timestamp_seconds)}  ${failure.sid ?? "–"}  ${formatNumber(failure.milliseconds)} ms`);
    });
  }
  updateAge(row);
}

function updateAge(row) {
  setText(row.parts.ago, `${formatDuration(now() - row.failures[0].timestamp_seconds)} ago`);
}

function updateFailures() {
  const groups = groupFailures(status.failures);
  updateList(byId("failures"), groups.slice(0, ROWS), (group) => group.key, createFailureRow, updateFailureRow);
  const [kinds, all] = [Math.min(groups.length, ROWS), status.failures.length];
  setText(byId("failures-shown"), all > kinds ? `The last ${formatNumber(all)}, in ${plural(kinds, "kind")}` : "");
  setVisible(byId("failures-none"), all === 0);
  setVisible(byId("failures").parentElement, all > 0);
}

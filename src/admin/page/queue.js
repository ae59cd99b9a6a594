// The table of the queue: a row for each route that queues callbacks or has stored ones.

function createQueueRow(route) {
  const cell = (className, label) => el("td", { role: "cell", class: className, "data-label": label });
  const row = el("tr", { role: "row" });
  const parts = (row.parts = {
    note: el("span", { class: "about dim" }),
    waiting: cell("number", "waiting"),
    oldest: cell("number", "oldest"),
    next: cell("next", "next try"),
    dead: cell("number", "dead letters"),
    error: cell("last-error", "last error"),
  });
  row.append(el("th", { role: "rowheader", scope: "row", class: "route" }, isolate(route.name), parts.note), ...Object.values(parts).slice(1));
  return row;
}

function updateQueueRow(row, route) {
  row.route = route;
  row.seenAt = status.now_seconds;
  const { parts } = row;
  setAttribute(row, "class", route.waiting || route.dead ? "stored" : "quiet");
  setText(parts.note, route.configured ? "" : "not in the configuration any more: nothing of it is delivered");
  setText(parts.waiting, formatNumber(route.waiting));
  setText(parts.dead, formatNumber(route.dead));
  setAttribute(parts.dead, "class", route.dead ? "number dead" : "number");
  setText(parts.error, route.last_error ? toSentence(route.last_error) : "–");
  updateQueueTimes(row);
}

// The texts that change with time.
function updateQueueTimes(row) {
  const { parts, route, seenAt } = row;
  const passed = now() - seenAt;
  setText(parts.oldest, route.waiting ? formatDuration(route.oldest_age_seconds + passed) : "–");
  setText(parts.next, describeNextTry(route, passed));
}

function describeNextTry({ waiting, configured, breaker, next_try_in_seconds: seconds }, passed) {
  if (!waiting || !configured) return "–";
  if (breaker !== "closed") return "when the app responds";
  if (seconds === null) return "under way";
  return seconds - passed >= 1 ? `in ${formatDuration(seconds - passed)}` : "now";
}

function describeQueue({ waiting, dead, bytes, max_bytes: most, damaged, routes, routes_total: all }) {
  return [
    `${formatNumber(waiting)} waiting, ${plural(dead, "dead letter")}`,
    `${formatBytes(bytes)} of ${formatBytes(most)}`,
    damaged && `${plural(damaged, "callback was", "callbacks were")} found damaged`,
    routes.length < all && `${formatNumber(routes.length)} of ${formatNumber(all)} routes, the longest wait first`,
  ].filter(Boolean).join("; ");
}

function updateQueue() {
  const { queue } = status;
  setVisible(byId("queue-section"), Boolean(queue));
  const routes = queue?.routes ?? [];
  updateList(byId("queue"), routes, (route) => route.name, createQueueRow, updateQueueRow);
  setText(byId("queue-shown"), queue ? describeQueue(queue) : "");
  setVisible(byId("queue").parentElement, routes.length > 0);
  setVisible(byId("queue-none"), routes.length === 0);
}

// The table of routes: a row for each, in the order of the status.

function createRouteRow(route) {
  const part = (tag, className) => el(tag, { class: className });
  const cell = (className, ...children) => el("td", { role: "cell", class: className }, ...children);
  const row = el("tr", { role: "row" });
  const parts = (row.parts = {
    about: part("span", "about dim"),
    mark: part("span", "mark"),
    state: part("span", "words"),
    since: part("span", "since dim"),
    rate: part("span", "value"),
    requests: plot("requests"),
    ratio: part("span", "value"),
    failed: plot("failed"),
    inFlight: cell("number in-flight"),
    last: cell("last"),
    start: el("button", { type: "button", class: "start" }, "Drill…"),
    stop: el("button", { type: "button", class: "stop" }, "Stop"),
    drill: part("span", "countdown dim"),
  });
  parts.start.addEventListener("click", () => openDrillDialog(row.route, parts.start));
  parts.stop.addEventListener("click", () => stopDrill(row.route, parts));
  parts.start.setAttribute("aria-label", plainText(["Start a drill on ", [route.name]]));
  parts.stop.setAttribute("aria-label", plainText(["Stop the drill on ", [route.name]]));
  row.append(
    el("th", { role: "rowheader", scope: "row", class: "route" }, isolate(route.name), parts.about),
    cell("state", parts.mark, parts.state, parts.since, parts.drill),
    cell("plotted", parts.rate, parts.requests),
    cell("plotted", parts.ratio, parts.failed),
    parts.inFlight,
    parts.last,
    cell("drill-buttons", el("span", { class: "buttons" }, parts.stop, parts.start)),
  );
  return row;
}

function updateRouteRow(row, route) {
  row.route = route;
  const { parts } = row;
  setTextWithNames(parts.about, describeRoute(route));
  const isQuiet = !route.history && route.state === "app";
  setAttribute(row, "class", isQuiet ? "quiet" : route.state);
  if (parts.mark.dataset.state !== route.state) {
    parts.mark.dataset.state = route.state;
    parts.mark.replaceChildren(shape(route.state));
  }
  setText(parts.state, describeState(route));
  updateHistory(parts, route);
  setText(parts.inFlight, route.in_flight ? formatNumber(route.in_flight) : "");
  updateTimes(row);
}

// What a route is for, below its name.
function describeRoute(route) {
  const methods = route.methods.length ? [`${route.methods.join(", ")} `] : [];
  const where = route.name === "unmatched" ? ["requests that no route matches"] : [[`${route.host ?? ""}${route.path}`]];
  const mode = route.mode === "observe" ? ["only observed"] : [];
  return [...methods, ...where, ` · ${[route.kind, ...mode].join(" · ")}`];
}

function describeState(route) {
  const breaker = { open: "breaker open", "half-open": "breaker half-open: the next request tries the app" }[route.breaker];
  const words = {
    app: "app",
    fallback: "fallback",
    down: route.queues ? "app is down, callbacks are queued" : "app is down",
    drill: route.drill?.percent === 100 ? "drill" : "app, and a drill",
  }[route.state];
  return breaker ? `${words}, ${breaker}` : words;
}

function updateHistory(parts, route) {
  setVisible(parts.requests, Boolean(route.history));
  setVisible(parts.failed, Boolean(route.history));
  if (!route.history) {
    setText(parts.rate, "quiet");
    setText(parts.ratio, "");
    return;
  }
  const summary = summarizeHistory(route.history, status.history);
  setText(parts.rate, summary.rate);
  setText(parts.ratio, summary.ratio);
  setAttribute(parts.ratio, "class", summary.isFailing ? "value failing" : "value");
  drawPlot(parts.requests, summary.requests, summary.requestsLabel);
  drawPlot(parts.failed, summary.failed, summary.failedLabel);
}

// The texts that change with time.
function updateTimes(row) {
  const { parts, route } = row;
  const since = route.fallback_since_seconds;
  setText(parts.since, since ? `since ${formatTime(since)} (${formatDuration(now() - since)})` : "");
  const last = route.last_failure;
  setTextWithNames(parts.last, last ? [`${reasonName(last.reason)}, ${formatDuration(now() - last.timestamp_seconds)} ago`] : []);
  const { drill } = route;
  setVisible(parts.drill, Boolean(drill));
  setVisible(parts.stop, Boolean(drill));
  if (drill) {
    const injected = `${formatNumber(drill.injected)} of ${plural(drill.requests, "request")} failed on purpose`;
    setText(parts.drill, `${formatCountdown(drill.ends_at_seconds - now())} left; the app ${FAULTS[drill.fault]}, ${drill.percent} %; ${injected}`);
  }
}

function updateRoutes() {
  updateList(byId("routes"), status.routes, (route) => route.name, createRouteRow, updateRouteRow);
  const [shown, matching] = [status.routes.length, status.routes_matching];
  const isFiltered = query.match !== "";
  const all = `${formatNumber(matching)}${isFiltered ? " that match" : ""}`;
  const words = shown < matching ? `Showing ${formatNumber(shown)} of ${all}` : isFiltered ? all : "";
  setText(byId("routes-shown"), words ? `${words}; trouble first` : "");
  setVisible(byId("routes-none"), shown === 0);
}

// The table of routes: one row for each, those in trouble first, as they come.

function makeRoute(route) {
  const part = (tag, className) => el(tag, { class: className });
  const cell = (className, ...children) => el("td", { role: "cell", class: className }, ...children);
  const row = el("tr", { role: "row" });
  const at = (row.at = {
    about: part("span", "about dim"),
    mark: part("span", "mark"),
    stage: part("span", "words"),
    since: part("span", "since dim"),
    rate: part("span", "value"),
    calls: plot("calls"),
    ratio: part("span", "value"),
    failed: plot("failed"),
    inFlight: cell("number in-flight"),
    last: cell("last"),
    begin: el("button", { type: "button", class: "begin" }, "Drill…"),
    end: el("button", { type: "button", class: "end" }, "Stop"),
    drill: part("span", "countdown dim"),
  });
  at.begin.addEventListener("click", () => askForDrill(row.route, at.begin));
  at.end.addEventListener("click", () => stopDrill(row.route, at));
  at.begin.setAttribute("aria-label", plain(["Start a drill on ", [route.name]]));
  at.end.setAttribute("aria-label", plain(["Stop the drill on ", [route.name]]));
  row.append(
    el("th", { role: "rowheader", scope: "row", class: "route" }, name(route.name), at.about),
    cell("stage", at.mark, at.stage, at.since, at.drill),
    cell("plotted", at.rate, at.calls),
    cell("plotted", at.ratio, at.failed),
    at.inFlight,
    at.last,
    cell("drill-buttons", el("span", { class: "buttons" }, at.end, at.begin)),
  );
  return row;
}

function patchRoute(row, route) {
  row.route = route;
  const { at } = row;
  sayWithNames(at.about, about(route));
  const isQuiet = !route.history && route.stage === "app";
  set(row, "class", isQuiet ? "quiet" : route.stage);
  if (at.mark.dataset.stage !== route.stage) {
    at.mark.dataset.stage = route.stage;
    at.mark.replaceChildren(shape(route.stage));
  }
  say(at.stage, stageOf(route));
  patchMinutes(at, route);
  say(at.inFlight, route.in_flight ? number(route.in_flight) : "");
  patchTimes(row);
}

// What a route is, in dim letters below its name.
function about(route) {
  const methods = route.methods.length ? [`${route.methods.join(", ")} `] : [];
  const where = route.name === "unmatched" ? ["whatever no route matches"] : [[`${route.host ?? ""}${route.path}`]];
  const mode = route.mode === "observe" ? ["only observed"] : [];
  return [...methods, ...where, ` · ${[route.kind, ...mode].join(" · ")}`];
}

function stageOf(route) {
  const breaker = { open: "breaker open", "half-open": "breaker half-open: the next call tries the app" }[route.breaker];
  const words = {
    app: "app",
    fallback: "fallback",
    down: "app is down",
    drill: route.drill?.percent === 100 ? "drill" : "app, and a drill",
  }[route.stage];
  return breaker ? `${words}, ${breaker}` : words;
}

function patchMinutes(at, route) {
  show(at.calls, Boolean(route.history));
  show(at.failed, Boolean(route.history));
  if (!route.history) {
    say(at.rate, "quiet");
    say(at.ratio, "");
    return;
  }
  const minutes = lastMinutes(route.history, told.history);
  say(at.rate, minutes.rate);
  say(at.ratio, minutes.ratio);
  set(at.ratio, "class", minutes.isFailing ? "value failing" : "value");
  draw(at.calls, minutes.calls, minutes.callsInWords);
  draw(at.failed, minutes.failed, minutes.failedInWords);
}

// What changes by itself as time goes by.
function patchTimes(row) {
  const { at, route } = row;
  const since = route.fallback_since_seconds;
  say(at.since, since ? `since ${clock(since)} (${lasting(now() - since)})` : "");
  const last = route.last_failure;
  sayWithNames(at.last, last ? [`${inShort(last.reason)}, ${lasting(now() - last.timestamp_seconds)} ago`] : []);
  const { drill } = route;
  show(at.drill, Boolean(drill));
  show(at.end, Boolean(drill));
  if (drill) {
    const injected = `${number(drill.injected)} of ${many(drill.calls, "request")} failed on purpose`;
    say(at.drill, `${left(drill.ends_at_seconds - now())} left; the app ${FAULTS[drill.fault]}, ${drill.percent} %; ${injected}`);
  }
}

function patchRoutes() {
  keyed(byId("routes"), told.routes, (route) => route.name, makeRoute, patchRoute);
  const [shown, matching] = [told.routes.length, told.routes_matching];
  const isFiltered = asked.match !== "";
  const all = `${number(matching)}${isFiltered ? " that match" : ""}`;
  const words = shown < matching ? `Showing ${number(shown)} of ${all}` : isFiltered ? all : "";
  say(byId("routes-shown"), words ? `${words}; trouble first` : "");
  show(byId("routes-none"), shown === 0);
}

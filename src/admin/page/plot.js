// The last minutes as small bar plots: one bar for each slot, the oldest on the left.

const WIDTH = 120;
const HEIGHT = 24;

const plot = (kind) => svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: `plot ${kind}`, role: "img", preserveAspectRatio: "none" },
  svg("path", { class: "ground", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }),
  svg("path", { class: "bars", d: "" }));

// Draws shares of the height, from 0 to 1. A share above 0 is always visible.
function drawPlot(node, shares, label) {
  const step = WIDTH / shares.length;
  const bars = shares.map((share, at) => {
    if (!share) return "";
    const height = Math.max(1.5, share * (HEIGHT - 1));
    return `M${round(at * step)} ${HEIGHT}v-${round(height)}h${round(step - 0.25)}v${round(height)}z`;
  });
  setAttribute(node.lastChild, "d", bars.join(""));
  setAttribute(node, "aria-label", label);
}

const round = (value) => Math.round(value * 100) / 100;

const sum = (values) => values.reduce((one, other) => one + other, 0);

// What the plots of a route show, and the numbers beside them.
function summarizeHistory(history, slots) {
  const minute = Math.round(60 / slots.slot_seconds) + 1;
  const seconds = (minute - 1) * slots.slot_seconds + slots.running_seconds;
  const most = Math.max(...history.requests);
  const [requests, failed] = [sum(history.requests), sum(history.failed)];
  const [recent, recentlyFailed] = [sum(history.requests.slice(-minute)), sum(history.failed.slice(-minute))];
  const perSecond = recent / seconds;
  return {
    rate: perSecond >= 1 ? `${formatSmall(perSecond)} /s` : `${formatNumber(recent && Math.max(1, Math.round(perSecond * 60)))} /min`,
    ratio: recent ? formatPercent(recentlyFailed, recent) : "–",
    isFailing: recentlyFailed > 0,
    requests: history.requests.map((count) => count / most),
    requestsLabel: `${plural(requests, "request")} in the last 10 minutes, at most ${formatNumber(most)} in ${slots.slot_seconds} seconds`,
    failed: history.failed.map((count, at) => (count ? count / history.requests[at] : 0)),
    failedLabel: failed
      ? `${formatNumber(failed)} of ${plural(requests, "request")} in the last 10 minutes without a good response from the app: ${formatPercent(failed, requests)}`
      : "every request in the last 10 minutes got the app's own response",
  };
}

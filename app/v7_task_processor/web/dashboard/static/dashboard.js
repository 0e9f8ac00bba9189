// What the pages do beside what htmx does for them: they pause, draw, tick and copy. Without it all of them still work.
"use strict";
(() => {
  const STILL_MS = 4000; // after scrolling or a key
  const SCROLLED_PX = 160;
  const pause = document.getElementById("pause");
  let stopped = false, movedAt = -STILL_MS, plot = null;

  const live = () => document.getElementById("live");

  // Why the page does not change just now; an empty text: it does.
  function held() {
    const part = live();
    if (!part) return "nothing here changes";
    if (stopped) return "paused";
    if (document.hidden) return "the tab is hidden";
    if (part.querySelector("input:checked")) return "something is ticked";
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed && selection.toString()) return "text is selected";
    if (performance.now() - movedAt < STILL_MS) return "you scroll";
    if (part.querySelector("form.list, .timeline") && window.scrollY > SCROLLED_PX) return "you scrolled";
    const focused = document.activeElement;
    if (focused && focused !== document.body && part.contains(focused)) return "something has the focus";
    return "";
  }

  function show(why, lost) {
    pause.classList.toggle("paused", Boolean(why));
    pause.classList.toggle("lost", Boolean(lost));
    pause.textContent = lost ? "No answer" : why ? "Paused" : "Live";
    pause.title = lost || (why ? `Paused: ${why}. Press to ${stopped ? "go on" : "pause until you press again"}.` : "Changes by itself. Press to pause.");
    pause.setAttribute("aria-pressed", String(stopped));
  }

  if (live()) {
    pause.hidden = false;
    show(held());
    pause.addEventListener("click", () => { stopped = !stopped; show(held()); pause.blur(); });
    const moved = () => { movedAt = performance.now(); };
    window.addEventListener("scroll", moved, { passive: true });
    window.addEventListener("wheel", moved, { passive: true });
    window.addEventListener("touchmove", moved, { passive: true });
    document.addEventListener("htmx:beforeRequest", (event) => {
      const why = held();
      show(why);
      if (why) event.preventDefault();
    });
    // What was begun before somebody ticked or selected something must not take it away.
    document.addEventListener("htmx:beforeSwap", (event) => {
      if (held()) event.detail.shouldSwap = false;
      else keepOpen();
    });
    document.addEventListener("htmx:responseError", (event) => show("", `The server answered ${event.detail.xhr.status}. It is asked again.`));
    document.addEventListener("htmx:sendError", () => show("", "The server does not answer. It is asked again."));
    document.addEventListener("htmx:afterSwap", () => { reopen(); ready(); show(held()); });
    document.addEventListener("visibilitychange", () => {
      show(held());
      if (!document.hidden && live()) htmx.trigger(live(), "again");
    });
  }

  // Details that somebody opened or closed stay so.
  let opened = [];
  function keepOpen() { opened = [...live().querySelectorAll("details")].map((each) => each.open); }
  function reopen() {
    const found = [...live().querySelectorAll("details")];
    if (found.length === opened.length) found.forEach((each, place) => { each.open = opened[place]; });
  }

  function draw() {
    const chart = document.querySelector("[data-chart]");
    if (plot) { plot.destroy(); plot = null; }
    if (!chart || !window.uPlot) return;
    const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const data = JSON.parse(chart.dataset.chart);
    const grid = { stroke: style("--line"), width: 1 };
    const axis = { stroke: style("--muted"), grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const line = (label, colour, fill) => ({ label, stroke: style(colour), width: 1.75, fill, points: { show: false } });
    chart.replaceChildren();
    plot = new uPlot({
      width: chart.clientWidth, height: chart.clientHeight,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
      scales: { y: { range: (_plot, _low, high) => [0, Math.max(4, high * 1.1)] } },
      axes: [{ ...axis, size: 28, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 180, 360].map((minutes) => 60 * minutes), values: [[3600, "{HH}:{mm}", null, null, null, null, null, null, 0], [60, "{HH}:{mm}", null, null, null, null, null, null, 0]] },
        { ...axis, size: 46, space: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7] }],
      series: [{}, line("received", "--link", style("--note-ground")), line("succeeded", "--succeeded"), line("failed", "--dead")],
      hooks: { setCursor: [(self) => told(self, chart)] },
    }, data, chart);
  }

  // Below the curves: what they say where one points, else what the server said.
  function told(self, chart) {
    const note = chart.parentElement.querySelector(".chart-note"), place = self.cursor.idx;
    note.dataset.said ??= note.textContent;
    if (place == null || self.cursor.left < 0) { note.textContent = note.dataset.said; return; }
    const at = new Date(self.data[0][place] * 1000).toISOString().slice(11, 16);
    note.textContent = `${at} UTC: ` + self.series.slice(1).map((each, n) => `${self.data[n + 1][place].toLocaleString("en")} ${each.label}`).join(", ");
  }

  function ready() {
    draw();
    for (const button of document.querySelectorAll(".copy")) button.hidden = !navigator.clipboard;
    for (const label of document.querySelectorAll("label.all")) label.hidden = false;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; button.blur(); }, 1500);
  });
  document.addEventListener("change", (event) => {
    if ("all" in event.target.dataset) {
      for (const box of event.target.form.querySelectorAll("input[name=id]")) box.checked = event.target.checked;
    }
    if (live()) show(held());
  });
  window.addEventListener("resize", () => draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  document.querySelector(".top [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  ready();
})();

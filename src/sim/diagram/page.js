"use strict";
(() => {
  const scale = DATA.scale, arrows = DATA.arrows;
  const view = document.getElementById("view"), picture = document.getElementById("picture");
  const tip = document.getElementById("tip"), said = document.getElementById("said");
  const all = (selector) => [...picture.querySelectorAll(selector)];
  const fans = all(".fan"), lines = all(".arrow"), labels = all(".label"), remarks = all(".remark");
  const moving = all("[data-t]").filter((e) => !e.matches(".label, .remark"));
  const axis = picture.querySelector(".axis"), breaks = picture.querySelector(".break");
  let zoom = 1, knots = [], heights = [];

  // The browser's own way to show a title is slow, and this page has a better one.
  for (const title of all("title")) {
    title.parentNode.story = title.textContent;
    title.remove();
  }
  lines.forEach((line, index) => { line.index = index; line.fan = line.closest(".fan"); });
  const number = (element, name) => Number(element.dataset[name]);
  const shown = (element) => !element.closest(".fan.hidden");

  /* Where in height each moment stands: the same rule as in the still picture. */
  function wind() {
    const moments = new Set();
    for (const element of moving) {
      if (!shown(element)) continue;
      for (const name of ["t", "u", "v"]) if (name in element.dataset) moments.add(number(element, name));
    }
    for (const fan of fans) if (!fan.classList.contains("hidden")) moments.add(number(fan.querySelector(".label"), "t"));
    for (const remark of remarks) moments.add(number(remark, "t"));
    knots = [...moments].sort((a, b) => a - b);
    heights = [0];
    const cuts = [];
    for (let i = 1; i < knots.length; i++) {
      const length = knots[i] - knots[i - 1], natural = (length * scale.flight_height) / scale.flight;
      const rise = Math.min(Math.max(natural, scale.least), scale.gap);
      heights[i] = heights[i - 1] + rise * zoom;
      if (natural > scale.break * scale.gap) cuts.push([heights[i - 1] + (rise * zoom) / 2, length]);
    }
    return cuts;
  }
  function behind(list, value) {
    let low = 0, high = list.length;
    while (low < high) { const middle = (low + high) >> 1; if (list[middle] < value) low = middle + 1; else high = middle; }
    return low;
  }
  function between(from, to, value) {
    const i = behind(from, value);
    if (i >= from.length) return to[to.length - 1] ?? 0;
    if (i === 0 || from[i] === value) return to[i];
    return to[i - 1] + ((value - from[i - 1]) / (from[i] - from[i - 1])) * (to[i] - to[i - 1]);
  }
  const height = (moment) => between(knots, heights, moment);

  const seconds = (ns) => (ns / 1e9).toFixed(6) + "s";
  function silence(ns) {
    const us = ns / 1e3;
    if (us < 1e3) return us.toFixed(0) + " µs";
    if (us < 1e5) return (us / 1e3).toFixed(1) + " ms";
    return us < 1e6 ? (us / 1e3).toFixed(0) + " ms" : (us / 1e6).toFixed(1) + " s";
  }

  function place() {
    const cuts = wind();
    for (const element of moving) {
      const low = height(number(element, "t"));
      if ("x" in element.dataset) {
        element.setAttribute("transform", `translate(${element.dataset.x},${low.toFixed(1)})`);
        continue;
      }
      const high = height(number(element, "u"));
      const [first, second] = element.tagName === "rect" ? ["y", "height"] : ["y1", "y2"];
      element.setAttribute(first, low.toFixed(1));
      element.setAttribute(second, (second === "height" ? high - low : high).toFixed(1));
    }
    const last = {};
    for (const label of labels) {
      const y = height(number(label, "t")), side = label.dataset.side;
      const room = shown(label) && !(y - last[side] < 10);
      label.classList.toggle("hidden", !room);
      if (room) last[side] = y;
      label.setAttribute("y", (y - 3).toFixed(1));
    }
    let free = -Infinity;
    for (const remark of remarks) {
      const y = height(number(remark, "t")), line = Math.max(y, free), path = remark.querySelector("path");
      const x = number(path, "x");
      free = line + scale.line;
      path.setAttribute("d", `M${x - 20} ${y.toFixed(1)}L${x - 4} ${line.toFixed(1)}`);
      remark.querySelector("text").setAttribute("y", (line + 3.5).toFixed(1));
    }
    const total = heights[heights.length - 1] ?? 0, full = Math.max(total, free) + scale.top + scale.bottom;
    const rule = (y) => `<line x1="${scale.axis}" x2="${scale.right}" y1="${y}" y2="${y}"/>`;
    const word = (y, words) => `<text x="${scale.axis - 6}" y="${y + 3.5}">${words}</text>`;
    let ticks = "", previous = -Infinity;
    knots.forEach((moment, i) => {
      if (heights[i] - previous < 58) return;
      previous = heights[i];
      ticks += rule(heights[i]) + word(heights[i], seconds(moment));
    });
    axis.innerHTML = ticks;
    breaks.innerHTML = cuts.map(([y, length]) => rule(y) + word(y, "… " + silence(length))).join("");
    picture.setAttribute("height", full.toFixed(0));
    picture.setAttribute("viewBox", `0 0 ${scale.width} ${full.toFixed(0)}`);
    segments = lines.filter(shown).map((line) => ({
      line, x1: +line.getAttribute("x1"), x2: +line.getAttribute("x2"), y1: +line.getAttribute("y1"), y2: +line.getAttribute("y2"),
    }));
  }
  let segments = [];

  /* The arrow closest to a point, if one is close. */
  function nearest(x, y) {
    let best = null, least = 7 * 7;
    for (const s of segments) {
      if (y < s.y1 - 7 || y > s.y2 + 7) continue;
      const dx = s.x2 - s.x1, dy = s.y2 - s.y1;
      const part = Math.min(1, Math.max(0, ((x - s.x1) * dx + (y - s.y1) * dy) / (dx * dx + dy * dy || 1)));
      const off = (s.x1 + part * dx - x) ** 2 + (s.y1 + part * dy - y) ** 2;
      if (off < least) { least = off; best = s.line; }
    }
    return best;
  }
  function point(event) {
    const box = picture.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top - scale.top];
  }
  let hot = null;
  function show(event) {
    let owner = event.target.closest?.("#picture *");
    while (owner && owner !== picture && !(owner.story && !owner.classList.contains("fan"))) owner = owner.parentNode;
    const line = !owner || owner === picture ? nearest(...point(event)) : null;
    const fan = line?.fan ?? null, story = fan ? fan.story : owner?.story;
    if (hot !== fan) { hot?.classList.remove("hot"); fan?.classList.add("hot"); hot = fan; }
    tip.hidden = !story;
    if (!story) return;
    tip.textContent = story;
    const wide = tip.offsetWidth, high = tip.offsetHeight;
    tip.style.left = Math.max(4, Math.min(event.clientX + 16, innerWidth - wide - 8)) + "px";
    tip.style.top = Math.max(4, event.clientY + 18 + high > innerHeight ? event.clientY - high - 12 : event.clientY + 18) + "px";
  }

  /* What may have caused a message, and what it may have caused. Arrows are in
     the order of their sending; each knows its lanes and its places in the run. */
  function trace(line) {
    for (const other of lines) other.classList.remove("past", "future", "chosen");
    picture.classList.toggle("traced", !!line);
    said.textContent = "";
    if (!line) return;
    const [from, to, left, heard] = arrows[line.index];
    let causes = 0, effects = 0;
    const known = new Map(heard < 0 ? [] : [[to, heard]]);
    arrows.forEach(([source, target, order, end], index) => {
      if (!(known.get(source) <= order)) return;
      lines[index].classList.add("future");
      effects++;
      if (end >= 0 && !(known.get(target) <= end)) known.set(target, end);
    });
    const needed = new Map([[from, left]]);
    const byHearing = arrows.map((arrow, index) => [arrow[3], index]).filter(([end]) => end >= 0).sort((a, b) => b[0] - a[0]);
    for (const [end, index] of byHearing) {
      const [source, target, order] = arrows[index];
      if (!(needed.get(target) >= end)) continue;
      lines[index].classList.add("past");
      causes++;
      if (!(needed.get(source) >= order)) needed.set(source, order);
    }
    line.classList.add("chosen");
    said.textContent = `${causes} arrows may have led to this one, ${effects} may follow from it (Esc to end)`;
  }

  function stretch(factor, y = view.clientHeight / 2) {
    const inside = view.scrollTop + y - scale.top - scale.heads;
    const moment = between(heights, knots, inside);
    zoom = factor ? Math.min(40, Math.max(0.05, zoom * factor)) : 1;
    place();
    view.scrollTop = height(moment) - y + scale.top + scale.heads;
  }

  function filter() {
    for (const box of document.querySelectorAll("[data-shows]")) {
      box.parentNode.classList.toggle("off", !box.checked);
      for (const fan of fans) if (fan.dataset.kind === box.dataset.shows) fan.classList.toggle("hidden", !box.checked);
    }
    picture.classList.toggle("nolabels", !document.getElementById("labels").checked);
    picture.classList.toggle("nodisk", !document.getElementById("disk").checked);
    place();
  }

  document.querySelector("header").addEventListener("change", filter);
  document.getElementById("every").addEventListener("click", () => {
    const boxes = [...document.querySelectorAll("[data-shows]")], on = !boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = on;
    filter();
  });
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => stretch(Number(button.dataset.zoom)));
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    stretch(event.deltaY < 0 ? 1.25 : 0.8, event.clientY - view.getBoundingClientRect().top);
  }, { passive: false });

  let drag = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag = { x: event.clientX, y: event.clientY, left: view.scrollLeft, top: view.scrollTop, far: false };
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.far && Math.hypot(dx, dy) < 5) return;
    drag.far = true;
    view.classList.add("dragging");
    view.scrollLeft = drag.left - dx;
    view.scrollTop = drag.top - dy;
  });
  addEventListener("pointerup", (event) => {
    if (drag && !drag.far && picture.contains(event.target)) trace(nearest(...point(event)));
    drag = null;
    view.classList.remove("dragging");
  });
  picture.addEventListener("mousemove", (event) => { if (!drag?.far) show(event); });
  picture.addEventListener("mouseleave", () => { tip.hidden = true; hot?.classList.remove("hot"); hot = null; });

  function jump(direction) {
    const middle = view.scrollTop + 90;
    const tops = remarks.map((remark) => height(number(remark, "t")) + scale.top + scale.heads);
    const next = direction > 0 ? tops.find((top) => top > middle + 2) : tops.filter((top) => top < middle - 2).pop();
    if (next !== undefined) view.scrollTop = next - 90;
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {
      "+": () => stretch(1.25), "=": () => stretch(1.25), "-": () => stretch(0.8), "0": () => stretch(0),
      n: () => jump(1), p: () => jump(-1), Escape: () => trace(null),
      ArrowDown: () => view.scrollBy(0, 60), ArrowUp: () => view.scrollBy(0, -60),
      ArrowRight: () => view.scrollBy(60, 0), ArrowLeft: () => view.scrollBy(-60, 0),
      PageDown: () => view.scrollBy(0, view.clientHeight * 0.85), PageUp: () => view.scrollBy(0, -view.clientHeight * 0.85),
      Home: () => view.scrollTo(0, 0), End: () => view.scrollTo(0, view.scrollHeight),
    }[event.key];
    if (does && !(event.target.matches?.("input") && event.key.startsWith("Arrow"))) { event.preventDefault(); does(); }
  });
  filter();
  if (picture.querySelector(".broken")) document.getElementById("violation")?.addEventListener("click", () => {
    view.scrollTop = height(number(picture.querySelector(".broken"), "t")) - view.clientHeight / 2;
  });
})();

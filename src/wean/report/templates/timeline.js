(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("timeline-data").textContent);
  var part = function (name) { return document.querySelector("[data-tl=" + name + "]"); };
  var shown = [], steps = [], at = 0;

  function hue(number) { return "hsl(" + (number * 137) % 360 + " 55% 50%)"; }

  function choose() {
    var task = part("task").value;
    shown = data.episodes.filter(function (episode) { return !task || episode.task === task; });
    part("episode").textContent = "";
    shown.forEach(function (episode, index) {
      var option = document.createElement("option");
      option.value = index;
      option.textContent = episode.task + " " + episode.variation + ": " + Math.max(0, episode.score);
      part("episode").appendChild(option);
    });
    open();
  }

  function open() {
    var episode = shown[Number(part("episode").value) || 0], goal = "", number = 0, score = 0;
    steps = [];
    ((episode && episode.trace) || []).forEach(function (entry) {
      if (entry.goal !== undefined) { goal = entry.goal; number += 1; }
      if (entry.score !== undefined) { score = entry.score; }
      steps.push({ entry: entry, goal: goal, number: number, score: score });
    });
    part("strip").textContent = "";
    steps.forEach(function (step, index) {
      var button = document.createElement("button");
      button.type = "button";
      button.style.background = hue(step.number);
      button.className = step.entry.goal === undefined ? "" : "goal";
      button.title = step.entry.goal || step.entry.action || "no sub-goal";
      button.setAttribute("aria-label", index + 1 + ": " + button.title);
      button.addEventListener("click", function () { show(index); });
      part("strip").appendChild(button);
    });
    part("at").max = Math.max(0, steps.length - 1);
    show(0);
  }

  function line(name, text) {
    var term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = name;
    said.textContent = text;
    part("moment").append(term, said);
  }

  function show(index) {
    if (!steps.length) { return; }
    at = Math.min(Math.max(0, index), steps.length - 1);
    var step = steps[at], entry = step.entry;
    part("at").value = at;
    part("count").textContent = at + 1 + " of " + steps.length;
    Array.prototype.forEach.call(part("strip").children, function (button, number) {
      if (number === at) { button.setAttribute("aria-current", "step"); } else { button.removeAttribute("aria-current"); }
    });
    part("moment").textContent = "";
    if (step.goal) { line("Sub-goal", step.goal); }
    if (entry.goal) { line("", "the planner names it"); }
    if (entry.action) {
      line("Action", entry.action);
      if (entry.observation !== undefined) { line("Observation", entry.observation); }
      line("Moves", String(entry.moves));
    }
    line("Score", String(step.score));
  }

  part("task").addEventListener("change", choose);
  part("episode").addEventListener("change", open);
  part("at").addEventListener("input", function () { show(Number(part("at").value)); });
  part("back").addEventListener("click", function () { show(at - 1); });
  part("on").addEventListener("click", function () { show(at + 1); });
  choose();
}());

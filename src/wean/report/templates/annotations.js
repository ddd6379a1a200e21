(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("annotations-data").textContent);
  var demos = data.demonstrations, page = 60, shown = page, open = null;
  var form = /^[a-z][a-z0-9]*(_[a-z0-9]+)*\([^()]*\)$/;
  var list = function (name) { return document.querySelector("[data-list=" + name + "]"); };
  var save = function (name) { return document.querySelector("[data-save=" + name + "]"); };
  var filter = function (name) { return document.querySelector("[data-filter=" + name + "]"); };
  var make = function (tag, text, style) {
    var node = document.createElement(tag);
    if (text !== undefined) { node.textContent = text; }
    if (style) { node.className = style; }
    return node;
  };
  var unclear = function (demo) {
    return demo.origin === "propagated" && demo.confidence !== null && demo.confidence < data.threshold;
  };
  var colour = function (text) {
    var rank = data.colours[text.split("(")[0]];
    return "var(--verb-" + (rank === undefined ? 11 : rank) + ")";
  };
  var plain = function (text) {
    var at = text.indexOf("(");
    if (at < 0) { return text.trim(); }
    var verb = text.slice(0, at).trim().toLowerCase().replace(/[ -]+/g, "_");
    var inner = text.slice(at + 1).replace(/\)\s*$/, "").toLowerCase().split(",");
    inner = inner.map(function (part) { return part.trim(); });
    return verb + "(" + inner.join(", ") + ")";
  };
  var valid = function (text) {
    if (!form.test(text)) { return false; }
    var inner = text.slice(text.indexOf("(") + 1, -1);
    return inner === "" || inner.split(",").every(function (part) { return part.trim() !== ""; });
  };

  demos.forEach(function (demo) { demo.sure = demo.confidence === null ? 2 : demo.confidence; });

  function chosen() {
    var task = filter("task").value, origin = filter("origin").value, order = filter("order").value;
    var rows = demos.filter(function (demo) {
      if (demo === open) { return true; } // what is being corrected does not leave the list
      if (task && demo.task !== task) { return false; }
      return !origin || (origin === "unclear" ? unclear(demo) : demo.origin === origin);
    });
    if (order === "confidence") {
      rows = rows.slice().sort(function (one, other) { return one.sure - other.sure; });
    }
    return rows;
  }

  function draw() {
    var rows = chosen(), holder = list("rows");
    holder.textContent = "";
    rows.slice(0, shown).forEach(function (demo) { holder.appendChild(row(demo)); });
    list("count").textContent = Math.min(shown, rows.length) + " of " + rows.length;
    list("more").hidden = rows.length <= shown;
  }

  function row(demo) {
    var article = make("article", undefined, "demo"), button = make("button"), head = make("span", undefined, "head");
    button.type = "button";
    button.setAttribute("aria-expanded", String(open === demo));
    head.appendChild(make("strong", demo.task + " " + demo.variation));
    head.appendChild(make("span", demo.actions.length + " actions, " + demo.subgoals.length + " sub-goals", "told"));
    var doubtful = unclear(demo);
    head.appendChild(make("span", doubtful ? "unclear" : demo.origin, "origin " + (doubtful ? "unclear" : demo.origin)));
    if (demo.confidence !== null && demo.origin === "propagated") {
      var certain = make("span", undefined, "certain" + (doubtful ? " low" : "")), bar = make("i"), fill = make("b");
      fill.style.width = 100 * demo.confidence + "%";
      bar.appendChild(fill);
      certain.appendChild(bar);
      certain.appendChild(make("span", Math.round(100 * demo.confidence) + "\u202f%"));
      certain.title = "estimated probability that every sub-goal is right";
      head.appendChild(certain);
    }
    button.appendChild(head);
    button.appendChild(timeline(demo));
    button.addEventListener("click", function () { open = open === demo ? null : demo; draw(); });
    article.appendChild(button);
    if (open === demo) { article.appendChild(editor(demo)); }
    return article;
  }

  // Long repetitions would leave no room for the rest: a sub-goal is as wide as the square root of its actions.
  function timeline(demo) {
    var line = make("span", undefined, "timeline"), first = 1;
    demo.subgoals.forEach(function (goal) {
      var weight = Math.sqrt(goal[1]), part = make("span", goal[0], weight < 1.2 && demo.subgoals.length > 16 ? "tight" : "");
      part.style.setProperty("--weight", weight);
      part.style.setProperty("--colour", colour(goal[0]));
      part.title = goal[0] + ", actions " + first + (goal[1] > 1 ? " to " + (first + goal[1] - 1) : "");
      first += goal[1];
      line.appendChild(part);
    });
    return line;
  }

  function editor(demo) {
    var holder = make("div", undefined, "editor"), first = 0;
    holder.appendChild(make("p", demo.description));
    demo.subgoals.forEach(function (goal, index) {
      var block = make("div", undefined, "goal"), name = make("div", undefined, "name"), input = make("input");
      var hint = make("p", "Write verb(argument, argument).", "hint"), start = first;
      block.style.setProperty("--colour", colour(goal[0]));
      input.value = goal[0];
      input.setAttribute("aria-label", "Sub-goal " + (index + 1));
      var check = function () {
        var right = valid(plain(input.value));
        input.setAttribute("aria-invalid", String(!right));
        hint.hidden = right;
        return right;
      };
      check();
      input.addEventListener("input", check);
      input.addEventListener("change", function () {
        if (check() && plain(input.value) !== goal[0]) { goal[0] = plain(input.value); changed(demo); }
      });
      name.appendChild(input);
      name.appendChild(hint);
      if (index > 0) {
        var join = make("button", "join with the one above");
        join.type = "button";
        join.addEventListener("click", function () {
          demo.subgoals[index - 1][1] += goal[1];
          demo.subgoals.splice(index, 1);
          changed(demo);
        });
        name.appendChild(join);
      }
      var actions = make("ol");
      for (var offset = 0; offset < goal[1]; offset++) { actions.appendChild(action(demo, index, start, offset)); }
      block.appendChild(name);
      block.appendChild(actions);
      holder.appendChild(block);
      first += goal[1];
    });
    return holder;
  }

  function action(demo, index, start, offset) {
    var item = make("li");
    item.appendChild(make("b", String(start + offset + 1)));
    item.appendChild(make("span", demo.actions[start + offset]));
    if (offset > 0) {
      var cut = make("button", "begin a sub-goal here");
      cut.type = "button";
      cut.addEventListener("click", function () {
        var goal = demo.subgoals[index];
        demo.subgoals.splice(index + 1, 0, [goal[0], goal[1] - offset]);
        goal[1] = offset;
        changed(demo);
      });
      item.appendChild(cut);
    }
    return item;
  }

  function changed(demo) {
    demo.origin = "corrected";
    demo.changed = true;
    demo.confidence = null;
    draw();
    var count = demos.filter(function (one) { return one.changed; }).length;
    save("bar").hidden = count === 0;
    save("count").textContent = count === 1 ? "1 demonstration changed" : count + " demonstrations changed";
    save("text").value = corrections();
  }

  function corrections() {
    return demos.filter(function (demo) { return demo.changed; }).map(function (demo) {
      return JSON.stringify({
        schema: data.schema, task: demo.task, variation: demo.variation, model: "",
        recorded: new Date().toISOString().slice(0, 10), origin: "corrected", confidence: null,
        digest: demo.digest, subgoals: demo.subgoals
      }) + "\n";
    }).join("");
  }

  save("button").addEventListener("click", function () {
    var link = make("a"), blob = new Blob([corrections()], { type: "application/jsonl" });
    link.href = URL.createObjectURL(blob);
    link.download = "corrections.jsonl";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  ["task", "origin", "order"].forEach(function (name) {
    filter(name).addEventListener("change", function () { shown = page; open = null; draw(); });
  });
  list("more").addEventListener("click", function () { shown += page; draw(); });
  draw();
}());

(function () {
  "use strict";
  var episodes = JSON.parse(document.getElementById("episodes-data").textContent);
  var find = function (name) { return document.querySelector("[data-player=" + name + "]"); };
  var make = function (tag, text, style) {
    var node = document.createElement(tag);
    if (text !== undefined) { node.textContent = text; }
    if (style) { node.className = style; }
    return node;
  };
  var percent = function (share) {
    if (share < 0.0005) { return share > 0 ? "< 0.1\u202f%" : "0\u202f%"; }
    return (100 * share).toFixed(share < 0.0995 ? 1 : 0) + "\u202f%";
  };
  var tabs = Array.prototype.slice.call(document.querySelectorAll("[data-episode]"));
  var image = find("frame"), slider = find("slider"), player = find("root"), timer = null;
  var episode = 0, step = 0;

  // Few pixels are drawn as squares, many are smoothed: that is how either looks best enlarged.
  image.addEventListener("load", function () { image.classList.toggle("small", image.naturalWidth < 160); });

  function show() {
    var steps = episodes[episode].steps, now = steps[step], sum = 0, total = 0;
    for (var index = 0; index <= step; index++) { sum += steps[index].reward || 0; }
    steps.forEach(function (one) { total += one.reward || 0; });
    if (now.frame) { image.src = now.frame; } else { image.removeAttribute("src"); }
    image.alt = "Step " + (step + 1) + ". " + (now.text || "");
    slider.max = steps.length - 1;
    slider.value = step;
    slider.setAttribute("aria-valuetext", "step " + (step + 1) + " of " + steps.length);
    find("count").textContent = "Step " + (step + 1) + " of " + steps.length + " \u00b7 reward so far " +
      sum.toFixed(2) + (total ? " of " + total.toFixed(2) : "");
    find("said").textContent = now.text || "";
    var choice = find("choice");
    choice.textContent = "";
    var shares = now.probabilities || {};
    Object.keys(shares).forEach(function (name) {
      var taken = name === String(now.action) ? "taken" : "", bar = make("i", undefined, taken), fill = make("b");
      fill.style.width = 100 * shares[name] + "%";
      bar.appendChild(fill);
      choice.appendChild(make("span", name, taken));
      choice.appendChild(bar);
      choice.appendChild(make("span", percent(shares[name]), "share " + taken));
    });
    find("action").textContent = now.action === undefined || now.action === null ? "" : now.action;
  }
  function go(to) {
    step = Math.max(0, Math.min(episodes[episode].steps.length - 1, to));
    show();
  }
  function stop() {
    if (timer !== null) { clearInterval(timer); timer = null; }
    find("play").setAttribute("aria-label", "Play");
    player.classList.remove("playing");
  }
  function play() {
    if (timer !== null) { stop(); return; }
    if (step === episodes[episode].steps.length - 1) { go(0); }
    find("play").setAttribute("aria-label", "Pause");
    player.classList.add("playing");
    timer = setInterval(function () {
      if (step + 1 >= episodes[episode].steps.length) { stop(); } else { go(step + 1); }
    }, 260);
  }
  function choose(which) {
    stop();
    episode = which;
    tabs.forEach(function (tab, index) {
      tab.setAttribute("aria-selected", String(index === which));
      tab.tabIndex = index === which ? 0 : -1;
    });
    go(0);
  }
  function inView() {
    var box = player.getBoundingClientRect();
    return box.bottom > 80 && box.top < window.innerHeight - 80;
  }

  tabs.forEach(function (tab, index) {
    tab.addEventListener("click", function () { choose(index); });
  });
  find("play").addEventListener("click", play);
  find("first").addEventListener("click", function () { stop(); go(0); });
  find("back").addEventListener("click", function () { stop(); go(step - 1); });
  find("next").addEventListener("click", function () { stop(); go(step + 1); });
  find("last").addEventListener("click", function () { stop(); go(Infinity); });
  slider.addEventListener("input", function () { stop(); go(Number(slider.value)); });
  document.addEventListener("keydown", function (event) {
    var way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    var onTab = tabs.indexOf(event.target) >= 0;
    if (!way || event.altKey || event.ctrlKey || event.metaKey || !(onTab || inView())) { return; }
    event.preventDefault();
    stop();
    if (onTab) {
      var which = (episode + way + episodes.length) % episodes.length;
      choose(which);
      tabs[which].focus();
    } else {
      go(step + way);
    }
  });

  // Paper cannot be stepped through: it gets eight frames of each episode.
  var strips = find("strips");
  episodes.forEach(function (one) {
    var article = make("article"), row = make("div"), many = Math.min(8, one.steps.length), last = one.steps.length - 1;
    article.appendChild(make("h3", one.title));
    for (var index = 0; index < many; index++) {
      var at = many === 1 ? 0 : Math.round(index * last / (many - 1)), cell = make("figure"), picture = make("img");
      if (one.steps[at].frame) { picture.src = one.steps[at].frame; }
      picture.alt = "Step " + (at + 1);
      cell.style.margin = 0;
      cell.appendChild(picture);
      cell.appendChild(make("span", at + 1 + ": " + one.steps[at].action));
      row.appendChild(cell);
    }
    article.appendChild(row);
    strips.appendChild(article);
  });
  choose(0);
  find("root").hidden = false;
})();

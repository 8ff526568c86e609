// Keeps open pages true: words like "12 s ago", and parts that the server renders anew after a change.
// Without it every page still works; it only does not move by itself.
"use strict";

(() => {
  const words = document.body.dataset;
  const CALM_MS = 1500; // a storm of changes costs one refresh in this time
  const AGAIN_MS = [2000, 5000, 15000, 30000]; // pauses between tries to connect again

  const told = (seconds) => {
    if (seconds <= 0) return words.now;
    if (seconds < 90) return words.s.replace("{}", seconds);
    if (seconds < 5400) return words.min.replace("{}", Math.floor(seconds / 60));
    if (seconds < 172800) return words.h.replace("{}", Math.floor(seconds / 3600));
    return words.d.replace("{}", Math.floor(seconds / 86400));
  };

  const tellAges = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = told(Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const liveState = document.getElementById("live-state");
  const showLive = (on) => {
    if (!liveState) return;
    liveState.hidden = false;
    liveState.classList.toggle("lost", !on);
  };

  class Part {
    constructor(element) {
      this.element = element;
      this.url = element.dataset.live;
      this.stream = element.dataset.stream || "/api/v1/events";
      this.names = element.dataset.on.split(" ");
      this.about = element.dataset.about;
      this.failures = 0;
      this.lastAt = 0;
      this.connect();
      if (element.dataset.every) setInterval(() => this.refresh(), element.dataset.every * 1000);
    }

    connect() {
      const source = new EventSource(this.stream);
      source.onopen = () => {
        showLive(true);
        // Whatever happened while nobody listened.
        if (this.failures > 0) this.refresh();
        this.failures = 0;
      };
      source.onerror = () => {
        source.close();
        if (this.ended) return;
        showLive(false);
        const pause = AGAIN_MS[Math.min(this.failures, AGAIN_MS.length - 1)];
        this.failures += 1;
        setTimeout(() => this.connect(), pause);
      };
      for (const name of [...this.names, "reload"]) {
        source.addEventListener(name, (event) => {
          if (name === "done") {
            this.ended = true;
            source.close();
          }
          if (this.concerns(event)) this.soon();
        });
      }
    }

    concerns(event) {
      if (!this.about || event.type === "reload") return true;
      try {
        const { kiosk } = JSON.parse(event.data);
        return !kiosk || kiosk === this.about;
      } catch {
        return true;
      }
    }

    soon() {
      if (this.timer) return;
      const wait = Math.max(150, CALM_MS - (Date.now() - this.lastAt));
      this.timer = setTimeout(() => {
        this.timer = 0;
        this.refresh();
      }, wait);
    }

    async refresh() {
      this.lastAt = Date.now();
      try {
        const answer = await fetch(this.url, { headers: { accept: "text/html" } });
        if (answer.status === 401) return location.assign("/login");
        if (!answer.ok) return;
        this.replace(await answer.text());
      } catch {
        showLive(false);
      }
    }

    // What a reader opened stays open, and what had the focus keeps it.
    replace(html) {
      const open = [...this.element.querySelectorAll("details[open]")].map((d) => d.id);
      const focused = this.element.contains(document.activeElement) && document.activeElement.getAttribute("href");
      this.element.innerHTML = html;
      for (const details of this.element.querySelectorAll("details")) details.open = open.includes(details.id);
      if (focused) this.element.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      tellAges();
    }
  }

  for (const element of document.querySelectorAll("[data-live]")) new Part(element);
  setInterval(tellAges, 5000);
})();

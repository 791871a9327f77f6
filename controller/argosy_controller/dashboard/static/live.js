// Keeps a page current: fetches it again and changes only what differs, so that focus, scrolling, open details and
// half-typed text stay. Without this script every page is complete, only not live.
(() => {
  "use strict";
  const EVERY_MS = 2000;
  const live = document.getElementById("live");
  const lost = document.getElementById("connection-lost");
  if (!live) return;
  let last = "";

  const sameNode = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  function morph(from, to) {
    if (from.nodeType === Node.TEXT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE || from.hasAttribute("data-keep")) return;
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && !(from.nodeName === "DETAILS" && name === "open")) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    morphChildren(from, to);
  }

  function morphChildren(from, to) {
    const incoming = [...to.childNodes];
    let current = from.firstChild;
    for (const next of incoming) {
      if (next.id) {
        const kept = [...from.children].find((child) => child.id === next.id);
        if (kept && kept !== current) from.insertBefore(kept, current), (current = kept);
      }
      if (current && sameNode(current, next)) {
        const following = current.nextSibling;
        morph(current, next);
        current = following;
      } else {
        from.insertBefore(document.importNode(next, true), current);
      }
    }
    while (current) {
      const following = current.nextSibling;
      current.remove();
      current = following;
    }
  }

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin", redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (lost) lost.hidden = true;
      if (text === last) return;
      last = text;
      const page = new DOMParser().parseFromString(text, "text/html");
      const fresh = page.getElementById("live");
      if (fresh) morphChildren(live, fresh);
      document.title = page.title;
    } catch {
      if (lost) lost.hidden = false;
    }
  }

  const loop = () => refresh().finally(() => setTimeout(loop, EVERY_MS));
  setTimeout(loop, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
    }
  });
})();

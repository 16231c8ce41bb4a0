/** On every page: the styles, htmx, and what forms need besides. */
import htmx from "htmx.org";
import "../styles/base.css";
import { announceChanges } from "./announce";
import { reachScrollers } from "./scrollers";

// The content security policy allows neither inline styles nor eval.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
htmx.config.selfRequestsOnly = true;

announceChanges();
reachScrollers();

/** A form sent twice by a tired hand is sent once. */
addEventListener("submit", ({ target }) => {
  if (!(target instanceof HTMLFormElement) || target.method !== "post") return;
  for (const button of target.querySelectorAll<HTMLButtonElement>("button[type=submit]")) {
    setTimeout(() => (button.disabled = true));
  }
});

addEventListener("click", ({ target }) => {
  const button = target instanceof Element ? target.closest<HTMLElement>("[data-copy]") : null;
  if (!button) return;
  const text = document.getElementById(button.dataset["copy"] ?? "")?.textContent ?? "";
  void navigator.clipboard.writeText(text.trim()).then(() => (button.textContent = "Copied"));
});

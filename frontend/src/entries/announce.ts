/** Parts of pages that refresh themselves say aloud what has changed in them, and nothing else. */

/** Each `data-announce` (a name) with its state: what it says, or `data-said`. */
function states(): Map<string, string> {
  const found = document.querySelectorAll<HTMLElement>("[data-announce]");
  return new Map(
    [...found].map(({ dataset, textContent }) => [
      dataset["announce"] ?? "",
      (dataset["said"] ?? textContent).trim(),
    ]),
  );
}

/** Into the page's one status region: a region that is itself exchanged is read by nobody. */
export function announceChanges(): void {
  let before = states(); // as they were last looked at: several parts may be exchanged at once
  addEventListener("htmx:afterSettle", () => {
    const now = states();
    const news = [...now].filter(([name, state]) => (before.get(name) ?? state) !== state);
    before = now;
    const announcer = document.getElementById("announcer");
    if (announcer && news.length > 0) {
      announcer.textContent = news.map(([name, state]) => `${name}: ${state}`).join(". ");
    }
  });
}

/** Second looks and disagreements: one building, its picture, and what it is. */
import { render } from "preact";
import "../styles/teams.css";

import * as api from "../api/teams";
import { createJudging } from "../teams/judging";
import { JudgingPage } from "../teams/JudgingPage";
import { element, pageData } from "./page";

const ASK_AGAIN_MS = 15_000; // while nothing waits
const page = pageData<{ id: string; what: "look" | "settle"; verdicts: api.Answer[] }>();
const settles = page.what === "settle";

const judge = createJudging({
  async next(count) {
    if (settles) {
      const items = await api.disagreements(page.id);
      return { items, left: items.length };
    }
    const { looks, left } = await api.serve(page.id, count);
    return { items: looks, left };
  },
  send({ item, answer, id }) {
    if (!settles) return api.answer(item.id, answer);
    return api.settle(item.id, { id, answer, on_version: item.version ?? 0 });
  },
  prefetch({ id, before }) {
    for (const when of before ? (["after", "before"] as const) : (["after"] as const)) {
      new Image().src = api.picture(id, when, false);
    }
  },
  wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
});

const place = element("judging");
place.replaceChildren(); // what the page says until its script has come
render(<JudgingPage judge={judge} settles={settles} answers={page.verdicts} />, place);
void judge.ask();

setInterval(() => {
  const { items, asking } = judge.store.now;
  if (!items.length && !asking && !document.hidden) void judge.ask();
}, ASK_AGAIN_MS);
document.addEventListener("visibilitychange", () => document.hidden && judge.flush());
addEventListener("pagehide", () => judge.flush());
addEventListener("beforeunload", (event) => {
  judge.flush();
  if (judge.store.now.unsaved) event.preventDefault();
});
